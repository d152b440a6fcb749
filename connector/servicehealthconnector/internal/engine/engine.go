// Package engine owns the state of one service_health connector: it holds spans until their trace is decided, counts
// what the traces amount to, and says at each tick what is to be told.
package engine

import (
	"cmp"
	"context"
	"encoding/binary"
	"maps"
	"math"
	"math/bits"
	"math/rand/v2"
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
	"go.uber.org/zap"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/change"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/dependency"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/dimension"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/fleet"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/hold"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/limit"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/marks"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/openslo"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/reader"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/report"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/series"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/sli"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/trace"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/usual"
	"github.com/throughline-otel/throughline/internal/service"
)

const (
	// tick is how often objectives are looked at.
	tick = time.Second
	// maxTicks bounds how many ticks are made up for when recorded telemetry has a gap. Past it all held traces are long
	// decided, and the windows that page are empty.
	maxTicks = 900
	// maxLinks bounds the links of one span that are followed.
	maxLinks = 64
	// moved is how many edges' counts are moved while a decider waits.
	moved = 256
	// shardsPerDecider is how many shards a decider has.
	shardsPerDecider = 4
	// viewed is how often, in nanoseconds, what is usual is computed anew.
	viewed = int64(5 * time.Second)
	// seriesSilence is after how long without a point, in nanoseconds, a series of metrics is forgotten: far longer than anybody
	// waits between two of them.
	seriesSilence = int64(time.Hour)
)

// Settings are what an engine is made from.
type Settings struct {
	TraceWindow time.Duration
	MaxSpans    int
	MaxEdges    int
	// MaxEdgesPerCaller bounds the edges of one caller.
	MaxEdgesPerCaller int
	// Silence is after how long without calls a series leaves.
	Silence time.Duration
	// Delta makes the sums of calls begin anew with each flush.
	Delta bool
	// Dimensions are the attributes by which edges are divided, at most dimension.Most.
	Dimensions []string
	// Bounds are those of explicit histograms in seconds; without any, histograms are exponential.
	Bounds []float64
	// ServiceGraph tells calls under the names of service_graph, too.
	ServiceGraph bool
	// Sloth tells objectives under the names of Sloth, too.
	Sloth         bool
	Limits        *limit.Set
	FlushInterval time.Duration
	Late          time.Duration
	// CountOnly leaves the verdicts on objectives to whoever sums up what several engines count.
	CountOnly bool
	// MaxSeries bounds the series of metrics that objectives count.
	MaxSeries int
	// EventTime makes the time of the telemetry the time of the verdicts.
	EventTime  bool
	Objectives []openslo.Objective
	Binder     *sli.Binder
	// SnapshotInterval is how often the state is saved, if there is a store for it.
	SnapshotInterval time.Duration
	Logger           *zap.Logger
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
	// seed is that of shardIndex.
	seed  [2]uint64
	names *names.Table
	// dimensions are the extra ones of dependencies.
	dimensions *dimension.Table
	marks      *marks.Table
	shards     []*shard
	deciders   []*decider
	batches    chan *batch
	usual      atomic.Pointer[usual.Usual]
	clock      eventClock
	refused    counter[reader.Refusal]
	workers    workers
	// intake is held by whoever reads telemetry, so that what it says of objectives is held before these become others.
	intake sync.RWMutex
	binder *sli.Binder
	// held is the number of span records in all shards, and of the links that they came with.
	held atomic.Int64
	// notJudged counts the events that an objective could not be asked about.
	notJudged counter[sli.NotJudged]
	// series are those of the metrics that objectives count.
	series *series.Store
	hasher *series.Hasher

	// ticking makes ticks follow one another; what they tell is sent outside of mu.
	ticking                  sync.Mutex
	started, ticked, flushed int64
	past                     *usual.Past
	viewedAt, forgotten      int64
	// state is what is saved; nil if there is no store.
	state        atomic.Pointer[state]
	dependencies *dependencies
	diagnoser    *diagnoser

	changes   *change.Book
	admission *dependency.Admission

	// mu guards the objectives. Whoever holds the lock of a decider may lock it, but not the other way round.
	mu         sync.Mutex
	objectives *objectives
	roster     roster
}

// batch is what one call of Traces, Metrics or Logs needs to work with.
type batch struct {
	reader *reader.Reader
	items  [][]item
	// marks are those of the span that is being read.
	marks   []marks.Mark
	numbers *marks.Cache
	links   []hold.Link
	// served is when this batch last told what serves.
	served map[servedKey]int64
	// evaluations are those of flags that were read.
	evaluations []change.Evaluation
	// points are the indicators that ask about the metric that is being read, and events what they and those on records found.
	points []*sli.Point
	events []event
}

// New returns an engine.
func New(settings Settings, sink Sink) *Engine {
	n := runtime.GOMAXPROCS(0)
	e := &Engine{
		settings:   settings,
		sink:       sink,
		binder:     settings.Binder,
		names:      names.New(),
		dimensions: dimension.New(settings.Dimensions),
		marks:      marks.New(),
		batches:    make(chan *batch, 2*n),
		past:       usual.NewPast(),
		roster:     newRoster(settings.Objectives),
		diagnoser:  newDiagnoser(settings),
		series:     series.New(settings.MaxSeries),
		hasher:     series.NewHasher(),
		changes:    change.New(),
		admission:  dependency.NewAdmission(settings.MaxEdges, settings.MaxEdgesPerCaller),
	}
	if e.seed = [2]uint64{rand.Uint64(), rand.Uint64()}; settings.EventTime {
		// A recording comes from no stranger, and has the same order each time.
		e.seed = [2]uint64{0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93}
	}
	for range n {
		e.deciders = append(e.deciders, newDecider(e, e.admission))
	}
	// Consumers of batches that come at once seldom want the same of several shards.
	for i := range shardsPerDecider * n {
		d := e.deciders[i%n]
		s := newShard(&e.held, maxProducers/(shardsPerDecider*n), settings.MaxSpans/(shardsPerDecider*n), d)
		e.shards, d.shards = append(e.shards, s), append(d.shards, s)
	}
	e.objectives = newObjectives(settings, e.names)
	e.usual.Store(e.past.View())
	return e
}

// Traces takes in spans. now is in nanoseconds since the epoch; it counts only where the engine does not follow the time
// of the telemetry.
func (e *Engine) Traces(ctx context.Context, td ptrace.Traces, now int64) {
	if now = e.at(ctx, func(into []int64) []int64 { return ends(td, into) }, now); now == 0 {
		return
	}
	e.intake.RLock()
	defer e.intake.RUnlock()
	b := e.batch()
	for _, rs := range td.ResourceSpans().All() {
		identity := service.Of(rs.Resource().Attributes())
		resource := b.reader.Resource(identity, rs.Resource().Attributes())
		spans := 0.0
		asked := e.binder.Asked(identity)
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				record, refusal := b.reader.Span(resource, span, now)
				if refusal != reader.Accepted {
					e.refused.add(refusal, 1)
					continue
				}
				if spans == 0 {
					e.serve(b, &resource, now)
				}
				spans += record.Count
				if events := span.Events(); events.Len() > 0 {
					e.evaluations(b, resource.Service, events, now)
				}
				it := b.item(e.shardIndex(span.TraceID()))
				it.id, it.record = span.TraceID(), record
				if slis := asked.Of(span); len(slis) > 0 {
					it.record.Marks = e.judge(ctx, b, slis, rs, ss, span)
				}
				it.firstLink = int32(len(b.links))
				if record.SpanKind() == ptrace.SpanKindConsumer {
					e.workers.add(record.Service)
				}
				if links := span.Links(); links.Len() > 0 && (record.SpanKind() == ptrace.SpanKindConsumer || record.Has(trace.Receives)) {
					for i := range min(links.Len(), maxLinks) {
						link := links.At(i)
						b.links = append(b.links, hold.Link{From: record.ID, Trace: link.TraceID(), Span: trace.Number(link.SpanID())})
					}
				}
				it.behindLinks = int32(len(b.links))
			}
		}
		if spans > 0 {
			e.changes.Count(resource.Service, releaseOf(&resource), spans)
		}
	}
	e.countEvaluations(b, now)
	e.put(b, now+int64(e.settings.TraceWindow))
	e.giveBack(b)
}

// at is the time that counts for a batch, of whose items times appends the times: now, unless the engine follows the time of the telemetry.
// It is 0 if that is not known yet.
func (e *Engine) at(ctx context.Context, times func([]int64) []int64, now int64) int64 {
	if !e.settings.EventTime {
		return now
	}
	if now = e.clock.see(times, now); now != 0 {
		// First what was due before this batch, so that each verdict has its time however fast a recording is replayed.
		e.tickEvents(ctx, now)
	}
	return now
}

// put puts a batch's items into their shards: first into those that nobody else is at.
func (e *Engine) put(b *batch, deadline int64) {
	for _, wait := range []bool{false, true} {
		for i, items := range b.items {
			if len(items) == 0 {
				continue
			}
			s := e.shards[i]
			if wait {
				s.mu.Lock()
			} else if !s.mu.TryLock() {
				continue
			}
			s.add(items, b, deadline)
			s.mu.Unlock()
			b.items[i] = items[:0]
			if e.full() {
				s.decider.relieve(s)
			}
		}
	}
}

// full says that more is held than may be.
func (e *Engine) full() bool { return e.held.Load() > int64(e.settings.MaxSpans) }

// item returns the next item for a shard, for the caller to fill.
func (b *batch) item(shard int) *item {
	items := b.items[shard]
	if len(items) < cap(items) {
		items = items[:len(items)+1]
	} else {
		items = append(items, item{})
	}
	b.items[shard] = items
	return &items[len(items)-1]
}

// judge asks the objectives that look at a span whether it is an event of theirs, and returns the number of what they say.
func (e *Engine) judge(ctx context.Context, b *batch, slis []*sli.Span, rs ptrace.ResourceSpans, ss ptrace.ScopeSpans, span ptrace.Span) uint32 {
	tctx := ottlspan.NewTransformContextPtr(rs, ss, span)
	defer tctx.Close()
	b.marks = b.marks[:0]
	for _, s := range slis {
		verdict, err := s.Judge(ctx, tctx)
		if err != nil {
			e.notJudged.add(sli.ReasonOf(err), 1)
			continue
		}
		if verdict.Relevant {
			b.marks = append(b.marks, marks.Mark{Objective: s.Objective(), Group: s.Group(tctx), Good: verdict.Good})
		}
	}
	number, ok := b.numbers.Number(b.marks)
	if !ok {
		e.notJudged.add(tooManySets, uint64(len(b.marks)))
	}
	return number
}

// count counts SLI events toward their objectives: those that were told apart, and those of tallies.
func (e *Engine) count(events []event, all []tally) {
	if len(events) == 0 && len(all) == 0 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range events {
		e.objectives.add(&events[i], e.names)
	}
	for i := range all {
		for _, mark := range e.marks.Of(all[i].marks).Marks {
			e.objectives.add(&event{mark: mark, at: all[i].at, count: all[i].count}, e.names)
		}
	}
}

// TickWall is for the owner's timer, several times a second. An engine that follows the time of the telemetry ticks by itself.
func (e *Engine) TickWall(ctx context.Context, now int64) {
	if e.settings.EventTime {
		return
	}
	e.ticking.Lock()
	defer e.ticking.Unlock()
	e.start(now)
	// A timer comes a little early or late, which must not put off what comes once a second.
	if now-e.ticked < int64(tick-tick/20) {
		e.decide(now)
		return
	}
	e.tick(ctx, now, now)
}

// tickEvents makes up for each tick since the last one, in the time of the telemetry.
func (e *Engine) tickEvents(ctx context.Context, now int64) {
	e.ticking.Lock()
	defer e.ticking.Unlock()
	e.start(now)
	if e.ticked+int64(tick) > now {
		return
	}
	// Whose request it is that moves the time has nothing to do with what is told.
	ctx = context.WithoutCancel(ctx)
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
		e.series.Begin(now)
		e.started, e.ticked, e.flushed = now, now, now
		e.dependencies = newDependencies(e.settings, now)
		e.mu.Lock()
		e.objectives.begin(now)
		e.objectives.ledger.Begin(now)
		e.mu.Unlock()
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
	e.ticked = now
	e.sweep(now, due)
	// The traces of the last window are not all decided yet, and what is missing must not be taken for good.
	horizon := now - int64(e.settings.TraceWindow)
	if due > now {
		horizon = now
	}
	events, metrics, urgent := e.tell(now, horizon, due == math.MaxInt64)
	e.keep(ctx, now, urgent || metrics != nil)
	if events.Len() > 0 {
		e.sink.Logs(ctx, events.Logs())
	}
	if metrics != nil && metrics.Len() > 0 {
		e.sink.Metrics(ctx, metrics.Metrics())
	}
}

// decide decides the traces whose deadline is not after due.
func (e *Engine) decide(due int64) {
	if e.settings.EventTime {
		// One after the other, so that a recording has the same verdicts each time.
		for _, d := range e.deciders {
			d.decide(due)
		}
		return
	}
	var all sync.WaitGroup
	for _, d := range e.deciders {
		all.Go(func() { d.decide(due) })
	}
	all.Wait()
}

// sweep decides the traces whose deadline is not after due, and merges what the deciders saw.
func (e *Engine) sweep(now, due int64) {
	e.decide(due)
	for _, d := range e.deciders {
		d.mu.Lock()
		e.past.Merge(now, d.sample)
		e.dependencies.take(now, d, e.names)
		d.mu.Unlock()
	}
	// In the first minutes every second counts; later, a view of many operations is too dear for that.
	if now-e.viewedAt >= viewed || now-e.started < 60*viewed {
		e.viewedAt = now
		e.usual.Store(e.past.View())
	}
	if now-e.forgotten >= seriesSilence/60 {
		e.forgotten = now
		e.series.Forget(now - seriesSilence)
	}
}

// tell collects the events that are due, or all if it is the last time, and, at the end of a flush interval, the metrics. It says
// whether any event is about an objective.
func (e *Engine) tell(now, horizon int64, last bool) (events *report.Events, metrics *report.Metrics, urgent bool) {
	// A timer comes a little early or late, which must not put off a flush by a whole tick.
	flush := now-e.flushed >= int64(e.settings.FlushInterval-tick/2)
	events = report.NewEvents(e.settings.Scope, e.settings.Version)
	fresh := e.admission.Fresh()
	slices.SortFunc(fresh, func(a, b dependency.Edge) int {
		return cmp.Or(cmp.Compare(a.Caller, b.Caller), cmp.Compare(a.Callee, b.Callee), cmp.Compare(a.Type, b.Type))
	})
	for _, edge := range fresh {
		events.Discovered(time.Unix(0, now), edge, e.names)
		e.dependencies.begin(now, edge)
	}
	e.changes.Look(now, e.dependencies.edges)
	for _, released := range e.changes.Fresh(now, last) {
		events.VersionChanged(&released, e.names, time.Unix(0, now))
	}
	e.diagnoser.rank(now, e.changes)
	e.dependencies.look(now, events, e.names, e.changes, e.diagnoser)
	e.diagnoser.look(now, events, e.names, e.changes)
	e.mu.Lock()
	horizon, urgent = e.objectives.judge(now, horizon, events, e.names, e.changes, e.diagnoser)
	if last {
		e.objectives.release(math.MaxInt64)
	}
	e.mu.Unlock()
	if !flush {
		return events, nil, urgent
	}
	e.flushed = now
	e.mu.Lock()
	at, any := e.objectives.until(now, last)
	e.mu.Unlock()
	if !any {
		return events, nil, urgent
	}
	metrics = report.NewMetrics(e.settings.Scope, e.settings.Version, time.Unix(0, e.started), time.Unix(0, at), e.settings.Delta)
	e.flush(now, at, metrics)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.objectives.counted != nil {
		e.objectives.counted.read(e.objectives, metrics, e.names)
	} else {
		e.objectives.read(horizon, metrics, e.names)
	}
	return events, metrics, urgent
}

// flush adds what is to be told of dependencies, under the time at.
func (e *Engine) flush(now, at int64, metrics *report.Metrics) {
	for _, d := range e.deciders {
		// A part at a time: whoever has too many spans waits for the decider.
		for more := true; more; {
			d.mu.Lock()
			more = d.book.MoveTo(e.dependencies.totals, at, moved)
			d.mu.Unlock()
		}
		d.mu.Lock()
		e.dependencies.tellSlow(d)
		d.mu.Unlock()
	}
	left := e.dependencies.tell(now, at, metrics, e.names, e.dimensions)
	for _, edge := range left {
		e.admission.Dismiss(edge)
	}
	left = append(left, e.dependencies.displace(e.admission)...)
	if len(left) == 0 {
		return
	}
	for _, d := range e.deciders {
		d.mu.Lock()
		d.book.Forget(left)
		d.mu.Unlock()
	}
}

func (e *Engine) shardOf(id pcommon.TraceID) *shard { return e.shards[e.shardIndex(id)] }

// shardIndex spreads traces whatever their IDs are: they come from strangers, who must not choose the shard.
func (e *Engine) shardIndex(id pcommon.TraceID) int {
	// Both halves of a product with secret numbers; package maphash takes several times as long.
	high, low := bits.Mul64(binary.LittleEndian.Uint64(id[:8])^e.seed[0], binary.LittleEndian.Uint64(id[8:])^e.seed[1])
	return int((high ^ low) >> 32 % uint64(len(e.shards)))
}

func (e *Engine) batch() *batch {
	select {
	case b := <-e.batches:
		return b
	default:
		return &batch{
			reader: reader.New(e.names, e.dimensions), items: make([][]item, len(e.shards)), numbers: marks.NewCache(e.marks),
			served: map[servedKey]int64{},
		}
	}
}

func (e *Engine) giveBack(b *batch) {
	b.links, b.events = b.links[:0], b.events[:0]
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
	// NotJudged are the events that an objective could not be asked about, by reason.
	NotJudged map[sli.NotJudged]uint64
	// Series is how many series of metrics are remembered for objectives.
	Series int
	// Held is how many span records wait now.
	Held int
	// CutShort is how many traces were decided early because too many spans were held.
	CutShort uint64
	// UnmatchedLinks is how many consumers named a producer that is not known.
	UnmatchedLinks uint64
	// EdgesRefused is how many calls went along edges beyond the bound.
	EdgesRefused uint64
	// LateEvents is how many SLI events came too late for their bucket.
	LateEvents uint64
	// PointsRepeated is how many points of gateways had been told before, PointsRefused how many were not counted, by reason.
	PointsRepeated uint64
	PointsRefused  map[fleet.Refusal]uint64
	// GaugePointsRefused is how many points of what services run on came of series beyond the bound.
	GaugePointsRefused uint64
	// Saved and NotSaved are how often the state was saved, and could not be; Saves says that it should be.
	Saves           bool
	Saved, NotSaved uint64
}

// Stats returns the present state.
func (e *Engine) Stats() Stats {
	s := Stats{
		Refused: e.refused.all(), NotJudged: e.notJudged.all(), EdgesRefused: e.admission.Refused(),
		Series: e.series.Len(),
	}
	for _, shard := range e.shards {
		shard.mu.Lock()
		s.Held += shard.held.Len()
		shard.mu.Unlock()
	}
	for _, d := range e.deciders {
		d.mu.Lock()
		s.Decided += d.seen.decided
		s.Duplicates += d.seen.duplicates
		s.CutShort += d.seen.cutShort
		s.UnmatchedLinks += d.seen.unmatchedLinks
		d.mu.Unlock()
	}
	e.diagnoser.mu.Lock()
	s.GaugePointsRefused = e.diagnoser.gauges.Refused()
	e.diagnoser.mu.Unlock()
	e.mu.Lock()
	s.LateEvents = e.objectives.refused()
	if g := e.objectives.gathered; g != nil {
		s.PointsRepeated, s.PointsRefused = g.fleet.Repeated(), maps.Clone(g.fleet.Refused())
	}
	e.mu.Unlock()
	if state := e.state.Load(); state != nil {
		s.Saves, s.Saved, s.NotSaved = true, state.saved.Load(), state.failed.Load()
	}
	return s
}

// counter counts by reason.
type counter[R comparable] struct {
	mu     sync.Mutex
	counts map[R]uint64
}

func (c *counter[R]) add(reason R, n uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts == nil {
		c.counts = map[R]uint64{}
	}
	c.counts[reason] += n
}

func (c *counter[R]) all() map[R]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.counts)
}
