package engine

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/dependency"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/health"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/sli"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/tracetest"
	"github.com/throughline-otel/throughline/internal/layer"
)

const second = int64(time.Second)

func batchEnding(ends ...int64) ptrace.Traces {
	td := ptrace.NewTraces()
	spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for _, end := range ends {
		spans.AppendEmpty().SetEndTimestamp(pcommon.Timestamp(end))
	}
	return td
}

func TestTheEventClock(t *testing.T) {
	var c eventClock
	see := func(ends ...int64) int64 {
		return c.see(func(into []int64) []int64 { return append(into, ends...) }, 1<<60)
	}
	assert.Equal(t, int64(0), see(), "nothing was seen yet")
	assert.Equal(t, int64(20), see(10, 20, 1<<50), "one wrong time does not move it")
	assert.Equal(t, int64(20), see(15), "it never goes back")
	assert.Equal(t, int64(20), see(1<<62, 0, -5), "nor beyond the present, nor by what has no time")
	assert.Equal(t, int64(30), see(30))
}

func TestEachSignalHasATime(t *testing.T) {
	md := pmetric.NewMetrics()
	metrics := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics()
	metrics.AppendEmpty()
	metrics.AppendEmpty().SetEmptyGauge().DataPoints().AppendEmpty().SetTimestamp(1)
	metrics.AppendEmpty().SetEmptySum().DataPoints().AppendEmpty().SetTimestamp(2)
	metrics.AppendEmpty().SetEmptyHistogram().DataPoints().AppendEmpty().SetTimestamp(3)
	metrics.AppendEmpty().SetEmptyExponentialHistogram().DataPoints().AppendEmpty().SetTimestamp(4)
	metrics.AppendEmpty().SetEmptySummary().DataPoints().AppendEmpty().SetTimestamp(5)
	assert.Equal(t, []int64{1, 2, 3, 4, 5}, pointTimes(md, nil))

	ld := plog.NewLogs()
	records := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	happened := records.AppendEmpty()
	happened.SetTimestamp(1)
	happened.SetObservedTimestamp(9)
	records.AppendEmpty().SetObservedTimestamp(2)
	records.AppendEmpty()
	assert.Equal(t, []int64{1, 2, 0}, recordTimes(ld, nil))

	td := batchEnding(1, 2, 3)
	td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(1).SetStartTimestamp(9)
	assert.Equal(t, []int64{1, 3}, ends(td, nil), "what ended before it began says nothing")
}

// What is due by the time of one signal is told, whichever other signal it is about.
func TestEachSignalMovesTheTime(t *testing.T) {
	binder, err := sli.Compile(nil, componenttest.NewNopTelemetrySettings())
	require.NoError(t, err)
	wall := 1_700_000_000 * second
	for name, later := range map[string]func(e *Engine, at pcommon.Timestamp){
		"metrics": func(e *Engine, at pcommon.Timestamp) {
			md := pmetric.NewMetrics()
			md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty().SetEmptySum().DataPoints().AppendEmpty().SetTimestamp(at)
			e.Metrics(t.Context(), md, wall)
		},
		"logs": func(e *Engine, at pcommon.Timestamp) {
			ld := plog.NewLogs()
			ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().SetTimestamp(at)
			e.Logs(t.Context(), ld, wall)
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := New(Settings{
				TraceWindow: 10 * time.Second, MaxSpans: 1000, MaxEdges: 10, MaxEdgesPerCaller: 10, Silence: time.Hour,
				FlushInterval: 15 * time.Second, Late: 5 * time.Minute, Binder: binder, EventTime: true,
			}, &told{})
			td := batchEnding(1000 * second)
			td.ResourceSpans().At(0).Resource().Attributes().PutStr("service.name", "back")
			span := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
			span.SetTraceID(pcommon.TraceID{1})
			span.SetSpanID(pcommon.SpanID{1})
			span.SetStartTimestamp(span.EndTimestamp() - 1)
			e.Traces(t.Context(), td, wall)
			later(e, pcommon.Timestamp(1009*second))
			assert.Zero(t, e.Stats().Decided)
			later(e, pcommon.Timestamp(1010*second))
			assert.Equal(t, uint64(1), e.Stats().Decided)
		})
	}
}

func TestTheWallClockNeverGoesBack(t *testing.T) {
	var c WallClock
	at := func(wall, elapsed int64) int64 { return c.At(wall*second, elapsed*second) / second }
	assert.Equal(t, int64(1000), at(1000, 0))
	assert.Equal(t, int64(1010), at(1010, 10))
	assert.Equal(t, int64(1009+1), at(1009, 9), "somebody read it before and comes after")
	assert.Equal(t, int64(2020), at(2020, 20), "it was set forward by 1000 s")
	assert.Equal(t, int64(2025), at(1970, 30), "it was set back by 60 s")
	assert.Equal(t, int64(2060), at(2040, 100))
	assert.Equal(t, int64(2080), at(2080, 140), "they agree again")
	assert.Equal(t, int64(2090), at(2090, 150))
}

// told counts what an engine sends.
type told struct{ metrics int }

func (t *told) Metrics(context.Context, pmetric.Metrics) { t.metrics++ }
func (*told) Logs(context.Context, plog.Logs)            {}

func TestTheClockMayBeSetBack(t *testing.T) {
	binder, err := sli.Compile(nil, componenttest.NewNopTelemetrySettings())
	require.NoError(t, err)
	var sink told
	e := New(Settings{
		TraceWindow: 10 * time.Second, MaxSpans: 1000, MaxEdges: 10, MaxEdgesPerCaller: 10, Silence: time.Hour,
		FlushInterval: 15 * time.Second, Late: 5 * time.Minute, Binder: binder,
	}, &sink)
	var clock WallClock
	wall, elapsed := 1_700_000_000*second, int64(0)
	run := func(seconds int) {
		for range seconds {
			td := batchEnding(wall)
			td.ResourceSpans().At(0).Resource().Attributes().PutStr("service.name", "back")
			span := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
			span.SetTraceID(pcommon.TraceID{1, 15: byte(elapsed / second)})
			span.SetSpanID(pcommon.SpanID{1})
			span.SetStartTimestamp(span.EndTimestamp() - 1)
			e.Traces(t.Context(), td, clock.At(wall, elapsed))
			wall, elapsed = wall+second, elapsed+second
			e.TickWall(t.Context(), clock.At(wall, elapsed))
		}
	}
	run(60)
	before := sink.metrics
	wall -= int64(10 * time.Minute)
	run(60)
	assert.Equal(t, 2, sink.metrics-before, "time goes at half its speed")
	assert.LessOrEqual(t, e.Stats().Held, 20)
	assert.Empty(t, e.Stats().Refused)
}

func TestTheServicesWhoseRequestsAreWatchedAreBounded(t *testing.T) {
	ds := newDependencies(Settings{MaxEdges: 2}, 0)
	table := names.New()
	for service := range uint32(10) {
		assert.Equal(t, service < 2, ds.of(dependency.Entry(service+2), table) != nil)
	}
	assert.NotNil(t, ds.of(dependency.Entry(2), table), "it has its place")
	assert.NotNil(t, ds.of(dependency.Edge{Caller: 11, Callee: 2}, table), "dependencies have their own")
	assert.Len(t, ds.edges, 3)
}

func TestWhoIsInTroubleOrNewIsNotDisplaced(t *testing.T) {
	const most = 4
	ds, table, admission := newDependencies(Settings{MaxEdges: most}, 0), names.New(), dependency.NewAdmission(most, most)
	book := dependency.NewBook(admission, nil)
	tree := tracetest.Build(table, "a - front client 0-10 peer=p")
	call := dependency.Calls(tree, table, nil)[0]
	edge := func(peer int) dependency.Edge {
		call.Callee = tracetest.Peer(table, fmt.Sprint("p", peer))
		return call.Edge
	}
	count := func(peer, times int) {
		edge(peer)
		for range times {
			book.Count(tree, call)
		}
	}
	for peer := range most {
		count(peer, 1)
		w := ds.of(edge(peer), table)
		w.flushes = settled
	}
	failing := ds.of(edge(0), table)
	failing.Limit.FailureRate = 0.1
	for now := range int64(3) {
		failing.Add(&dependency.Recent{Calls: 100, Failed: 100})
		failing.Close(now*second, 0)
	}
	assert.True(t, failing.Verdict().State.IsBad())
	ds.of(edge(1), table).flushes = 0
	ds.of(edge(2), table).calls = 1000
	count(7, 100)
	count(8, 100)
	assert.Equal(t, []dependency.Edge{edge(3)}, ds.displace(admission))
	assert.True(t, ds.watched[edge(3)].leaving)
}

func TestLinksTakeRoomAsSpansDo(t *testing.T) {
	binder, err := sli.Compile(nil, componenttest.NewNopTelemetrySettings())
	require.NoError(t, err)
	e := New(Settings{
		TraceWindow: 10 * time.Second, MaxSpans: 1000, MaxEdges: 10, MaxEdgesPerCaller: 10, Silence: time.Hour,
		FlushInterval: 15 * time.Second, Late: 5 * time.Minute, Binder: binder,
	}, &told{})
	now := 1_700_000_000 * second
	for i := range 100 {
		td := batchEnding(now)
		td.ResourceSpans().At(0).Resource().Attributes().PutStr("service.name", "mail")
		span := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
		span.SetTraceID(pcommon.TraceID{byte(i), 1})
		span.SetSpanID(pcommon.SpanID{1})
		span.SetStartTimestamp(span.EndTimestamp())
		span.SetKind(ptrace.SpanKindConsumer)
		for range 2 * maxLinks {
			span.Links().AppendEmpty()
		}
		e.Traces(t.Context(), td, now)
	}
	assert.LessOrEqual(t, e.Stats().Held*(1+maxLinks), 1000)
	assert.Positive(t, e.Stats().CutShort)
}

func TestNoCallsAreExpectedToAPeerThatHasBecomeAService(t *testing.T) {
	table := names.New()
	front := tracetest.Service(table, "front")
	ds := newDependencies(Settings{MaxEdges: 10}, 0)
	edges := []dependency.Edge{dependency.Entry(front)}
	for _, name := range []string{"catalog", "pay.example.com", "gone.example.com"} {
		edges = append(edges, dependency.Edge{Caller: front, Callee: table.Peer(name, layer.External, names.FromHost), Type: dependency.External})
	}
	for now := range int64(60) {
		for _, edge := range edges {
			w := ds.of(edge, table)
			w.Add(&dependency.Recent{Calls: 50})
			w.Close(now*health.SlotLength, 0)
		}
	}
	expected := func() (calls []float64) {
		for _, edge := range edges[1:] {
			calls = append(calls, ds.expected(edge, ds.watched[edge], table))
		}
		return calls
	}
	before := expected()
	assert.Positive(t, before[0])
	assert.Equal(t, []float64{before[0], before[0], before[0]}, before)
	tracetest.Service(table, "catalog")
	table.Answered(edges[2].Callee, tracetest.Service(table, "payments"))
	assert.Equal(t, []float64{0, 0, before[0]}, expected())
}
