// Package engine owns the state of one service_health connector: it holds spans until their trace is decided, counts
// what the traces amount to, and says at each tick what is to be told.
package engine

import (
	"cmp"
	"context"
	"encoding/binary"
	"maps"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlspan"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/blame"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/dependency"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/hold"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/openslo"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/reader"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/report"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/sli"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/trace"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/usual"
	"github.com/throughline-otel/throughline/internal/service"
)

const (
	// tick is how often traces are decided and objectives looked at.
	tick = time.Second
	// maxTicks bounds how many ticks are made up for when recorded telemetry has a gap. Past it all held traces are long
	// decided, and the windows that page are empty.
	maxTicks = 900
	// maxLinks bounds the links of one span that are followed.
	maxLinks = 64
	// viewed is how often, in nanoseconds, what is usual is computed anew.
	viewed = int64(5 * time.Second)
)

// Settings are what an engine is made from.
type Settings struct {
	TraceWindow   time.Duration
	MaxSpans      int
	MaxEdges      int
	FlushInterval time.Duration
	Late          time.Duration
	// EventTime makes the time of the telemetry the time of the verdicts.
	EventTime  bool
	Objectives []openslo.Objective
	Binder     *sli.Binder
	// Scope and Version name the emitter.
	Scope, Version string
}

// Sink takes what the engine tells. It is called by one goroutine at a time.
type Sink interface {
	Metrics(context.Context, pmetric.Metrics)
	Logs(context.Context, plog.Logs)
}

// Engine is safe for concurrent use.
type Engine struct {
	settings Settings
	sink     Sink
	names    *names.Table
	shards   []*shard
	batches  chan *batch
	usual    atomic.Pointer[usual.Usual]
	clock    eventClock
	refused  refusals
	// notJudged counts the events that an objective could not be asked about.
	notJudged atomic.Uint64

	// ticking makes ticks follow one another; what they tell is sent outside of mu.
	ticking                  sync.Mutex
	started, ticked, flushed int64
	swept                    outcome

	// mu guards all that follows. Whoever holds it may lock a shard, but not the other way round.
	mu         sync.Mutex
	past       *usual.Past
	objectives *objectives
	changes    changes
	admission  *dependency.Admission
	viewedAt   int64
}

// event is an SLI event of a decided trace.
type event struct {
	mark    hold.Mark
	at      int64
	count   float64
	service uint32
	verdict blame.Verdict
	id      pcommon.TraceID
}

// outcome is what decided traces amount to beyond their shard.
type outcome struct {
	events  []event
	follows []follow
}

// batch is what one call of Traces needs to work with.
type batch struct {
	reader *reader.Reader
	items  [][]item
	marks  []hold.Mark
	links  []hold.Link
	out    outcome
	// versions are what services ran when this batch last told of it.
	versions map[uint32]served
}

type served struct {
	version string
	at      int64
}

// New returns an engine.
func New(settings Settings, sink Sink) *Engine {
	n := runtime.GOMAXPROCS(0)
	e := &Engine{
		settings:   settings,
		sink:       sink,
		names:      names.New(),
		batches:    make(chan *batch, 2*n),
		past:       usual.NewPast(),
		objectives: newObjectives(settings),
		changes:    changes{versions: map[uint32]*versions{}},
		admission:  dependency.NewAdmission(settings.MaxEdges),
	}
	for range n {
		e.shards = append(e.shards, newShard(max(1, settings.MaxSpans/n), e.admission))
	}
	e.usual.Store(e.past.View())
	return e
}

// Traces takes in spans. now is in nanoseconds since the epoch; it counts only where the engine does not follow the time
// of the telemetry.
func (e *Engine) Traces(ctx context.Context, td ptrace.Traces, now int64) {
	if e.settings.EventTime {
		if now = e.clock.see(td, now); now == 0 {
			return
		}
		// First what was due before this batch, so that each verdict has its time however fast a recording is replayed.
		e.tickEvents(ctx, now)
	}
	b := e.batch()
	for _, rs := range td.ResourceSpans().All() {
		identity := service.Of(rs.Resource().Attributes())
		resource := b.reader.Resource(identity, rs.Resource().Attributes())
		served := false
		slis := e.settings.Binder.Spans(identity)
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				record, refusal := b.reader.Span(resource, span, now)
				if refusal != reader.Accepted {
					e.refused.add(refusal)
					continue
				}
				if !served {
					served = true
					e.serve(b, resource, now)
				}
				it := item{id: span.TraceID(), record: record}
				if len(slis) > 0 {
					it.marks = e.judge(ctx, b, slis, rs, ss, span)
				}
				if links := span.Links(); links.Len() > 0 && record.SpanKind() == ptrace.SpanKindConsumer {
					from := len(b.links)
					for i := range min(links.Len(), maxLinks) {
						link := links.At(i)
						b.links = append(b.links, hold.Link{Trace: link.TraceID(), Span: trace.Number(link.SpanID())})
					}
					it.links = b.links[from:len(b.links):len(b.links)]
				}
				at := e.shardOf(it.id)
				b.items[at] = append(b.items[at], it)
			}
		}
	}
	for i, items := range b.items {
		if len(items) == 0 {
			continue
		}
		s := e.shards[i]
		s.mu.Lock()
		s.add(items, now+int64(e.settings.TraceWindow))
		s.decide(now, e.objectives, e.usual.Load(), &b.out)
		s.mu.Unlock()
	}
	e.settle(&b.out)
	e.giveBack(b)
}

// serve notes the version of a service. A batch that sees the same one again within a tick has nothing new to say.
func (e *Engine) serve(b *batch, resource reader.Resource, now int64) {
	if resource.Version == "" {
		return
	}
	if last := b.versions[resource.Service]; last.version == resource.Version && now-last.at < int64(tick) {
		return
	}
	b.versions[resource.Service] = served{names.Clean(resource.Version), now}
	e.changes.see(resource.Service, resource.Version, now)
}

// judge asks the objectives that look at a span whether it is an event of theirs.
func (e *Engine) judge(ctx context.Context, b *batch, slis []*sli.Span, rs ptrace.ResourceSpans, ss ptrace.ScopeSpans, span ptrace.Span) []hold.Mark {
	tctx := ottlspan.NewTransformContextPtr(rs, ss, span)
	defer tctx.Close()
	from := len(b.marks)
	for _, s := range slis {
		verdict, err := s.Judge(ctx, tctx)
		if err != nil {
			e.notJudged.Add(1)
			continue
		}
		if verdict.Relevant {
			b.marks = append(b.marks, hold.Mark{Objective: s.Objective(), Group: s.Group(tctx), Good: verdict.Good})
		}
	}
	return b.marks[from:len(b.marks):len(b.marks)]
}

// settle brings what decided traces amount to where it belongs beyond their shard.
func (e *Engine) settle(out *outcome) {
	for _, f := range out.follows {
		s := e.shards[e.shardOf(f.link.Trace)]
		s.mu.Lock()
		if producer, ok := s.producers.services[f.link]; !ok {
			s.seen.unmatchedLinks++
		} else if producer != f.consumer.Service {
			s.book.CountLinked(dependency.Linked(producer, &f.consumer), f.id, &f.consumer)
		}
		s.mu.Unlock()
	}
	if len(out.events) > 0 {
		e.mu.Lock()
		for i := range out.events {
			e.objectives.add(&out.events[i], e.names)
		}
		e.mu.Unlock()
	}
	out.events, out.follows = out.events[:0], out.follows[:0]
}

// TickWall is for the owner's timer, once a second. An engine that follows the time of the telemetry ticks by itself.
func (e *Engine) TickWall(ctx context.Context, now int64) {
	if e.settings.EventTime {
		return
	}
	e.ticking.Lock()
	defer e.ticking.Unlock()
	e.start(now)
	e.tick(ctx, now, now)
}

// tickEvents makes up for each tick since the last one, in the time of the telemetry.
func (e *Engine) tickEvents(ctx context.Context, now int64) {
	e.ticking.Lock()
	defer e.ticking.Unlock()
	e.start(now)
	for range maxTicks {
		if e.ticked+int64(tick) > now {
			return
		}
		e.tick(ctx, e.ticked+int64(tick), e.ticked+int64(tick))
	}
	e.tick(ctx, now, now)
}

func (e *Engine) start(now int64) {
	if e.started == 0 {
		e.started, e.ticked, e.flushed = now, now, now
	}
}

// Drain decides all traces now, whether due or not, and tells all there is to tell.
func (e *Engine) Drain(ctx context.Context, now int64) {
	e.ticking.Lock()
	defer e.ticking.Unlock()
	if e.settings.EventTime {
		now = e.clock.now.Load()
	}
	e.start(now)
	e.flushed = 0
	e.tick(ctx, now, math.MaxInt64)
}

// tick decides the traces whose deadline is not after due, and tells what there is to tell.
func (e *Engine) tick(ctx context.Context, now, due int64) {
	// Whose request it is that moves the time has nothing to do with what is told.
	ctx = context.WithoutCancel(ctx)
	e.ticked = now
	e.sweep(now, due)
	// The traces of the last window are not all decided yet, and what is missing must not be taken for good.
	horizon := now - int64(e.settings.TraceWindow)
	if due > now {
		horizon = now
	}
	events, metrics := e.tell(now, horizon)
	if events.Len() > 0 {
		e.sink.Logs(ctx, events.Logs())
	}
	if metrics != nil && metrics.Len() > 0 {
		e.sink.Metrics(ctx, metrics.Metrics())
	}
}

// sweep decides the traces whose deadline is not after due, and merges what the shards saw.
func (e *Engine) sweep(now, due int64) {
	for _, s := range e.shards {
		s.mu.Lock()
		s.decide(due, e.objectives, e.usual.Load(), &e.swept)
		s.mu.Unlock()
	}
	e.settle(&e.swept)
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.shards {
		s.mu.Lock()
		e.past.Merge(now, s.sample)
		s.mu.Unlock()
	}
	// In the first minutes every second counts; later, a view of many operations is too dear for that.
	if now-e.viewedAt >= viewed || now-e.started < 60*viewed {
		e.viewedAt = now
		e.usual.Store(e.past.View())
	}
}

// tell collects the events that are due and, at the end of a flush interval, the metrics.
func (e *Engine) tell(now, horizon int64) (*report.Events, *report.Metrics) {
	e.mu.Lock()
	defer e.mu.Unlock()
	events := report.NewEvents(e.settings.Scope, e.settings.Version)
	fresh := e.admission.Fresh()
	slices.SortFunc(fresh, func(a, b dependency.Edge) int {
		return cmp.Or(cmp.Compare(a.Caller, b.Caller), cmp.Compare(a.Callee, b.Callee), cmp.Compare(a.Type, b.Type))
	})
	for _, edge := range fresh {
		events.Discovered(time.Unix(0, now), edge, e.names)
	}
	for _, change := range e.changes.fresh() {
		events.VersionChanged(change.named(e.names))
	}
	e.objectives.tell(now, horizon, events, e.names, &e.changes)
	// A timer comes a little early or late, which must not put off a flush by a whole tick.
	if now-e.flushed < int64(e.settings.FlushInterval-tick/2) {
		return events, nil
	}
	e.flushed = now
	metrics := report.NewMetrics(e.settings.Scope, e.settings.Version, time.Unix(0, e.started), time.Unix(0, now))
	total := map[dependency.Key]*dependency.Series{}
	for _, s := range e.shards {
		s.mu.Lock()
		s.book.MergeInto(total)
		s.mu.Unlock()
	}
	for key, series := range total {
		metrics.Dependency(key, series, e.names)
	}
	e.objectives.read(horizon, metrics, e.names)
	return events, metrics
}

func (e *Engine) shardOf(id pcommon.TraceID) int {
	// Senders make the right half random; the left one may be a time.
	return int(binary.LittleEndian.Uint64(id[8:]) * 0x9E3779B97F4A7C15 >> 32 % uint64(len(e.shards)))
}

func (e *Engine) batch() *batch {
	select {
	case b := <-e.batches:
		return b
	default:
		return &batch{reader: reader.New(e.names), items: make([][]item, len(e.shards)), versions: map[uint32]served{}}
	}
}

func (e *Engine) giveBack(b *batch) {
	for i := range b.items {
		b.items[i] = b.items[i][:0]
	}
	b.marks, b.links = b.marks[:0], b.links[:0]
	select {
	case e.batches <- b:
	default:
	}
}

// Stats are what the engine tells of itself.
type Stats struct {
	// Refused are the spans that were passed over, by reason.
	Refused map[reader.Refusal]uint64
	// Decided is the number of spans whose trace is decided; Duplicates came twice.
	Decided, Duplicates uint64
	// NotJudged is how many events an objective could not be asked about.
	NotJudged uint64
	// Held is how many span records wait now.
	Held int
	// CutShort is how many traces were decided early because too many spans were held.
	CutShort uint64
	// UnmatchedLinks is how many consumers named a producer that is not known.
	UnmatchedLinks uint64
	// LateEvents is how many SLI events came too late for their bucket.
	LateEvents uint64
}

// Stats returns the present state.
func (e *Engine) Stats() Stats {
	s := Stats{Refused: e.refused.all(), NotJudged: e.notJudged.Load()}
	for _, shard := range e.shards {
		shard.mu.Lock()
		s.Held += shard.held.Len()
		s.Decided += shard.seen.decided
		s.Duplicates += shard.seen.duplicates
		s.CutShort += shard.seen.cutShort
		s.UnmatchedLinks += shard.seen.unmatchedLinks
		shard.mu.Unlock()
	}
	e.mu.Lock()
	s.LateEvents = e.objectives.ledger.Refused()
	e.mu.Unlock()
	return s
}

// refusals counts by reason.
type refusals struct {
	mu     sync.Mutex
	counts map[reader.Refusal]uint64
}

func (r *refusals) add(reason reader.Refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts == nil {
		r.counts = map[reader.Refusal]uint64{}
	}
	r.counts[reason]++
}

func (r *refusals) all() map[reader.Refusal]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.counts)
}
