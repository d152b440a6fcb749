package engine

import (
	"math"
	"sync"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/blame"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/dependency"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/hold"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/marks"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/surge"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/trace"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/usual"
)

// slice is how many traces a decider takes out of a shard at a time.
const slice = 64

// decider decides the traces of its shards, and owns all that is counted from them.
type decider struct {
	engine *Engine
	shards []*shard

	mu     sync.Mutex
	taken  hold.Taken
	notes  takenNotes
	tree   trace.Trace
	calls  []dependency.Call
	book   *dependency.Book
	sample *usual.Sample
	judge  *blame.Judge
	events []event
	good   tallies
	// requests are those that came since the last tick.
	requests surge.Requests
	// witnesses are what was found out about bad calls since the last tick.
	witnesses []witness
	seen      counts
}

// counts are what a decider tells of itself.
type counts struct {
	decided, duplicates, cutShort, unmatchedLinks uint64
}

// event is an SLI event of a decided trace.
type event struct {
	mark    marks.Mark
	at      int64
	count   float64
	service uint32
	verdict blame.Verdict
	id      pcommon.TraceID
}

func newDecider(e *Engine, admission *dependency.Admission) *decider {
	return &decider{
		engine: e, book: dependency.NewBook(admission, e.settings.Bounds), sample: usual.NewSample(), judge: blame.NewJudge(),
		requests: surge.Requests{},
	}
}

// decide decides the traces whose deadline is not after due.
func (d *decider) decide(due int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.shards {
		for d.some(s, due, slice) == slice {
		}
	}
	d.count()
}

// relieve decides the oldest traces of a shard that was added to, while too many spans are held: all shards together have no more
// than before if this one has none.
func (d *decider) relieve(s *shard) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.engine.full() && d.some(s, math.MaxInt64, 1) == 1 {
		d.seen.cutShort++
	}
	d.count()
}

// some decides up to most traces that are due, and returns how many there were.
func (d *decider) some(s *shard, due int64, most int) int {
	d.taken.Reset()
	d.notes.reset()
	s.pop(due, most, &d.taken, &d.notes)
	u := d.engine.usual.Load()
	for i := range d.taken.Traces {
		d.one(d.taken.Traces[i], u)
		d.engine.diagnoser.observe(&d.tree, d.notes.of(i), d.taken.Traces[i].Deadline)
	}
	if len(d.events) >= maxTallies || d.good.full() {
		d.count()
	}
	return len(d.taken.Traces)
}

// count counts the SLI events of the traces that were decided.
func (d *decider) count() {
	d.engine.count(d.events, d.good.all)
	d.events = d.events[:0]
	d.good.reset()
}

// one decides one trace.
func (d *decider) one(t hold.Trace, u *usual.Usual) {
	d.tree.Build(t.ID, d.taken.Records(t))
	d.seen.decided += uint64(len(d.tree.Spans))
	d.seen.duplicates += uint64(d.tree.Duplicates)
	d.judge.Begin(&d.tree)
	d.dependencies(u)
	d.follow(d.taken.Links(t), u)
	anyBad := false
	for i := range d.tree.Spans {
		span := &d.tree.Spans[i]
		if span.Marks == marks.None {
			continue
		}
		set := d.engine.marks.Of(span.Marks)
		if set.Good {
			d.good.add(span.Marks, d.engine.objectives.grain(span.End), span.Count)
			continue
		}
		anyBad = true
		for _, mark := range set.Marks {
			d.events = append(d.events, d.event(mark, int32(i), u))
		}
	}
	d.learn(anyBad, u)
}

// dependencies counts the calls in the trace, and looks more closely at some of the bad ones.
func (d *decider) dependencies(u *usual.Usual) {
	d.calls = dependency.Calls(&d.tree, d.engine.names, d.calls[:0])
	for _, call := range d.calls {
		if !d.book.Count(&d.tree, call) {
			continue
		}
		at := call.CallerSpan
		if call.CalleeSpan != trace.None && !d.tree.Spans[at].IsOutgoing() {
			at = call.CalleeSpan // The caller's span speaks of all that it did.
		}
		d.explain(call.Edge, at, u)
	}
	for i := range d.tree.Spans {
		span := &d.tree.Spans[i]
		if !isRequest(&d.tree, int32(i)) {
			continue
		}
		d.requests.Add(span.Operation, span.Service)
		if d.book.CountEntry(span.Service, &d.tree, span) {
			d.explain(dependency.Entry(span.Service), int32(i), u)
		}
	}
}

// isRequest says whether a span is the whole of what its service does for somebody else, or of its own accord. Work within a
// service whose parent is missing is a part of something that has yet to end, or was sampled away.
func isRequest(t *trace.Trace, i int32) bool {
	span := &t.Spans[i]
	switch parent := t.Parent[i]; {
	case span.IsOutgoing():
		return false
	case parent != trace.None:
		return t.Spans[parent].Service != span.Service
	default:
		return span.Parent == 0 || span.SpanKind() == ptrace.SpanKindServer || span.SpanKind() == ptrace.SpanKindConsumer
	}
}

// explain blames a bad call.
func (d *decider) explain(edge dependency.Edge, at int32, u *usual.Usual) {
	span := &d.tree.Spans[at]
	var verdict blame.Verdict
	if span.Has(trace.Failed) || d.judge.Failed(&d.tree, at) {
		verdict = d.judge.Failure(&d.tree, at)
	} else {
		verdict = d.judge.Slowness(&d.tree, at, u)
	}
	if verdict.Entity != 0 {
		d.witnesses = append(d.witnesses, witness{edge: edge, verdict: verdict, at: span.End, trace: d.tree.ID})
	}
}

// follow counts the calls to consumers that name their producers by links.
func (d *decider) follow(links []hold.Link, u *usual.Usual) {
	for _, link := range links {
		i := d.tree.At(link.From)
		if i == trace.None {
			continue
		}
		consumer := &d.tree.Spans[i]
		if parent := d.tree.Parent[i]; link.Trace == d.tree.ID && parent != trace.None && d.tree.Spans[parent].Service != consumer.Service {
			continue // The call was found by the parent: the message's own span, or that which sent it.
		}
		if consumer.Has(trace.Receives) && d.engine.workers.has(consumer.Service) {
			continue // The work on the message is what counts, in whichever trace it is.
		}
		producer, ok := d.engine.shardOf(link.Trace).producer(message{link.Trace, link.Span})
		if !ok {
			d.seen.unmatchedLinks++
			continue
		}
		if producer == consumer.Service {
			continue
		}
		if edge := dependency.Linked(producer, consumer); d.book.CountLinked(edge, &d.tree, consumer) {
			d.explain(edge, i, u)
		}
	}
}

// learn adds a trace to what is usual. A bad one must not, so that a burn never becomes usual while it lasts; except at the
// start, since what is always bad would never be known.
func (d *decider) learn(anyBad bool, u *usual.Usual) {
	if _, known := u.Self(d.tree.Spans[0].Operation); anyBad && known {
		return
	}
	d.sample.Add(&d.tree)
}

func (d *decider) event(mark marks.Mark, at int32, u *usual.Usual) event {
	span := &d.tree.Spans[at]
	e := event{mark: mark, at: span.End, count: span.Count, service: span.Service, id: d.tree.ID}
	if mark.Good {
		return e
	}
	isLatency := d.engine.objectives.isLatency(mark.Objective)
	if !isLatency && (span.Has(trace.Failed) || d.judge.Failed(&d.tree, at)) {
		e.verdict = d.judge.Failure(&d.tree, at)
		return e
	}
	e.verdict = d.judge.Slowness(&d.tree, at, u)
	if e.verdict.Entity == 0 && (span.Has(trace.Failed) || !isLatency) {
		// It is bad for another reason than its time.
		e.verdict = d.judge.Failure(&d.tree, at)
	}
	return e
}
