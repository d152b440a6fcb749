package engine

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/sli"
)

// simulation is a system of services with the variety that healthy traffic has: users who ask for different things, calls in parallel,
// caches, pauses of garbage collectors, and times with a long tail.
type simulation struct {
	rand    *rand.Rand
	entries []*routine
	fault   fault
	// broken is the time in nanoseconds from which on the fault is there.
	broken int64

	td    ptrace.Traces
	spans map[*simulated]ptrace.SpanSlice
	trace uint64
	id    uint64
}

type simulated struct {
	name string
	// every and lasting are those of its pauses in nanoseconds, which begin at an offset.
	every, lasting, offset int64
}

// routine is what one service does when it is called so.
type routine struct {
	of    *simulated
	name  string
	works int64
	steps []step
	// database is called for so long at the end, if that is not 0.
	database int64
	messages *routine
}

// step are calls in parallel, and how often they are made.
type step struct {
	calls []*routine
	share float64
	// stagger is the time between the beginnings of two calls.
	stagger int64
	most    int
}

type fault struct {
	kind string
	in   *routine
}

func newSimulation(seed uint64, depth int) *simulation {
	s := &simulation{rand: rand.New(rand.NewPCG(seed, 7))}
	var levels [][]*routine
	for level := range depth {
		var here []*routine
		for n := range 1 + min(level, 1) + s.rand.IntN(2) {
			of := &simulated{name: fmt.Sprintf("s%d-%d", level, n)}
			if s.rand.IntN(2) == 0 {
				of.every, of.lasting = int64(10e9+s.rand.Int64N(30e9)), 50e6+s.rand.Int64N(250e6)
				of.offset = s.rand.Int64N(of.every)
			}
			for r := range 1 + s.rand.IntN(2) {
				here = append(here, &routine{of: of, name: fmt.Sprintf("op%d", r), works: 1e6 + s.rand.Int64N(8e6)})
			}
		}
		levels = append(levels, here)
	}
	for level, here := range levels {
		for _, r := range here {
			if level == depth-1 || s.rand.IntN(3) == 0 {
				r.database = 1e6 + s.rand.Int64N(5e6)
			}
			if level == depth-1 {
				continue
			}
			below := levels[level+1]
			for range 1 + s.rand.IntN(3) {
				st := step{share: 1, stagger: s.rand.Int64N(3) * 2e6, most: 1}
				if s.rand.IntN(2) == 0 {
					st.share = []float64{0.02, 0.1, 0.5, 0.9}[s.rand.IntN(4)]
				}
				if s.rand.IntN(4) == 0 {
					st.most = 4
				}
				for range 1 + s.rand.IntN(3) {
					st.calls = append(st.calls, below[s.rand.IntN(len(below))])
				}
				r.steps = append(r.steps, st)
			}
			if level < depth-2 && s.rand.IntN(4) == 0 {
				r.messages = below[s.rand.IntN(len(below))]
			}
		}
	}
	s.entries = levels[0]
	return s
}

func (s *simulation) lasts(mean int64) int64 {
	return int64(float64(mean) * math.Exp(0.4*s.rand.NormFloat64()))
}

// work is when work of a service that begins at a time is done.
func (s *simulation) work(r *routine, at, takes int64) int64 {
	takes = s.lasts(takes)
	if s.is("slow", r, at) {
		takes += 150e6
	}
	if of := r.of; of.every > 0 {
		if into := (at + of.offset) % of.every; into < of.lasting {
			takes += of.lasting - into
		}
	}
	return at + takes
}

func (s *simulation) is(kind string, r *routine, at int64) bool {
	return s.fault.kind == kind && s.fault.in == r && at >= s.broken
}

func (s *simulation) span(of *simulated, parent uint64, kind ptrace.SpanKind, name string, from int64) (ptrace.Span, uint64) {
	in, ok := s.spans[of]
	if !ok {
		rs := s.td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", of.name)
		in = rs.ScopeSpans().AppendEmpty().Spans()
		s.spans[of] = in
	}
	span := in.AppendEmpty()
	s.id++
	id := func(n uint64) (id pcommon.SpanID) {
		binary.BigEndian.PutUint64(id[:], n)
		return id
	}
	var trace pcommon.TraceID
	binary.BigEndian.PutUint64(trace[8:], s.trace)
	span.SetTraceID(trace)
	span.SetSpanID(id(s.id))
	if parent != 0 {
		span.SetParentSpanID(id(parent))
	}
	span.SetKind(kind)
	span.SetName(name)
	span.SetStartTimestamp(pcommon.Timestamp(from))
	return span, s.id
}

// run runs a routine, and returns when it ended, and whether it failed.
func (s *simulation) run(r *routine, parent uint64, kind ptrace.SpanKind, from int64) (end int64, failed bool) {
	span, id := s.span(r.of, parent, kind, r.name, from)
	defer func() {
		span.SetEndTimestamp(pcommon.Timestamp(end))
		if failed {
			span.Status().SetCode(ptrace.StatusCodeError)
		}
	}()
	end = s.work(r, from, r.works)
	if s.is("fails", r, from) && s.rand.IntN(2) == 0 {
		return end, true
	}
	for i, st := range r.steps {
		if i == 1 && s.is("returns", r, from) {
			return end, false
		}
		if i == 0 && s.is("skips", r, from) {
			continue
		}
		if share := st.share; s.rand.Float64() >= share && (share > 0.5 || s.rand.Float64() >= 0.5*share*float64(from/300e9%2)) {
			continue
		}
		for range 1 + s.rand.IntN(st.most) {
			latest := end
			begins := end
			if st.stagger == 0 {
				s.rand.Shuffle(len(st.calls), func(i, k int) { st.calls[i], st.calls[k] = st.calls[k], st.calls[i] })
			}
			for _, callee := range st.calls {
				begins += st.stagger + s.rand.Int64N(200e3)
				call, number := s.span(r.of, id, ptrace.SpanKindClient, "call "+callee.name, begins)
				way := s.lasts(500e3)
				if s.fault.kind == "far" && s.fault.in.of == callee.of && from >= s.broken {
					way += 100e6
				}
				ended, fails := s.run(callee, number, ptrace.SpanKindServer, begins+way)
				ended += way
				call.SetEndTimestamp(pcommon.Timestamp(ended))
				if fails {
					call.Status().SetCode(ptrace.StatusCodeError)
					failed = true
				}
				latest = max(latest, ended)
			}
			end = latest
			if failed {
				return end, true
			}
		}
		end = s.work(r, end, r.works/4)
	}
	if r.database > 0 {
		query, _ := s.span(r.of, id, ptrace.SpanKindClient, "SELECT", end)
		query.Attributes().PutStr("db.system.name", "postgresql")
		query.Attributes().PutStr("db.namespace", "data-"+r.of.name)
		end += s.lasts(r.database)
		query.SetEndTimestamp(pcommon.Timestamp(end))
	}
	if r.messages != nil {
		send, number := s.span(r.of, id, ptrace.SpanKindProducer, "send", end)
		send.SetEndTimestamp(pcommon.Timestamp(end + 500e3))
		_, _ = s.run(r.messages, number, ptrace.SpanKindConsumer, end+s.lasts(20e6))
	}
	return s.work(r, end, r.works/4), false
}

// accusations are whom events have named first, and in which words.
type accusations struct {
	names  []string
	bodies []string
}

func (*accusations) Metrics(context.Context, pmetric.Metrics) {}

func (a *accusations) Logs(_ context.Context, ld plog.Logs) {
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, r := range sl.LogRecords().All() {
				if name, ok := r.Attributes().Get("service.name"); ok && r.EventName() == "service.suspected" {
					a.names = append(a.names, name.Str())
					a.bodies = append(a.bodies, r.Body().Str())
				}
			}
		}
	}
}

func (s *simulation) play(t *testing.T, seconds, perSecond int) accusations {
	binder, err := sli.Compile(nil, componenttest.NewNopTelemetrySettings())
	require.NoError(t, err)
	var sink accusations
	e := New(Settings{
		TraceWindow: 5 * time.Second, MaxSpans: 100_000, MaxEdges: 100, MaxEdgesPerCaller: 100, Silence: time.Hour,
		FlushInterval: 15 * time.Second, Late: 5 * time.Minute, Binder: binder,
	}, &sink)
	now := dawn
	for range seconds {
		s.td, s.spans = ptrace.NewTraces(), map[*simulated]ptrace.SpanSlice{}
		for range 1 + s.rand.IntN(2*perSecond) {
			s.trace++
			entry := s.entries[min(s.rand.IntN(len(s.entries)), s.rand.IntN(len(s.entries)))]
			s.run(entry, 0, ptrace.SpanKindServer, now+s.rand.Int64N(1e9))
		}
		now += 1e9
		e.Traces(t.Context(), s.td, now)
		e.TickWall(t.Context(), now)
	}
	return sink
}

// breakable returns the routines that a fault of a kind would be seen in: most requests come to them, and do what it leaves out.
func (s *simulation) breakable(kind string) (list []*routine) {
	const most = 0.9
	seen := map[*routine]bool{}
	var visit func(r *routine)
	visit = func(r *routine) {
		if seen[r] {
			return
		}
		seen[r] = true
		leavesOut := 0
		if kind == "returns" {
			leavesOut = 1
		}
		switch kind {
		case "slow", "fails":
			list = append(list, r)
		case "far":
			if !slices.Contains(s.entries, r) {
				list = append(list, r)
			}
		default:
			if len(r.steps) > leavesOut && r.steps[leavesOut].share >= most && !slices.Contains(s.entries, r) {
				list = append(list, r)
			}
		}
		for _, st := range r.steps {
			if st.share >= most {
				for _, c := range st.calls {
					visit(c)
				}
			}
		}
	}
	for _, r := range s.entries {
		visit(r)
	}
	return list
}

func TestHealthyTrafficMakesNobodySuspect(t *testing.T) {
	for _, seed := range []uint64{6, 25, 42} {
		s := newSimulation(seed, 2)
		assert.Empty(t, s.play(t, 600, 8).bodies, "seed %d", seed)
	}
}

// Which services there are, and whom of them the fault hits, is left to chance. Who is named first is right, or nobody is; of a way,
// either end.
func TestFaultsAreFoundWhereTheyAre(t *testing.T) {
	const (
		systems  = 6
		soundFor = 120
		foundIn  = 0.85
	)
	var all, found float64
	for _, kind := range []string{"slow", "far", "fails", "returns", "skips"} {
		t.Run(kind, func(t *testing.T) {
			for seed := range uint64(systems) {
				s := newSimulation(seed, 3)
				list := s.breakable(kind)
				if len(list) == 0 {
					continue
				}
				s.broken = dawn + soundFor*1e9
				s.fault = fault{kind, list[s.rand.IntN(len(list))]}
				told := s.play(t, soundFor+60, 1)
				all++
				if len(told.names) == 0 {
					continue
				}
				found++
				if name := s.fault.in.of.name; told.names[0] != name {
					assert.Contains(t, told.bodies[0], "on the way to "+name, "seed %d", seed)
				}
			}
		})
	}
	assert.GreaterOrEqual(t, found/all, foundIn)
}
