// Package blame finds where in a trace a bad event began. It decides from values alone: the trace, and what is usual.
package blame

import (
	"slices"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/trace"
	"github.com/throughline-otel/throughline/internal/layer"
)

// Reason is what went wrong.
type Reason uint8

// The reasons.
const (
	Error Reason = iota
	Latency
	Timeout
	Missing
)

// String is the reason's name as an attribute's value.
func (r Reason) String() string { return reasons[r] }

var reasons = [...]string{"error", "latency", "timeout", "missing"}

// ParseReason is the inverse of String.
func ParseReason(name string) (Reason, bool) {
	at := slices.Index(reasons[:], name)
	return Reason(max(at, 0)), at >= 0
}

// Culprit is where a bad event began. The zero Culprit.Entity means that it cannot be told.
type Culprit struct {
	// Entity is the service or peer, as a number of a names.Table.
	Entity uint32
	// Layer is Platform where the time passed between a caller and this callee: in a network or a queue.
	Layer  layer.Layer
	Reason Reason
}

// Verdict is a culprit, and the operation in which it was seen.
type Verdict struct {
	Culprit
	Operation uint32
}

// Usual says what operations usually do; usual.Usual is one.
type Usual interface {
	// Self is the usual time in nanoseconds that an operation works itself; false while that is not known.
	Self(operation uint32) (int64, bool)
	// Calls is how often one operation usually calls another.
	Calls(from, to uint32) float64
}

const (
	// shareOfExcess is the least share of all excess time that makes a culprit: below it, time was lost everywhere.
	shareOfExcess = 0.3
	// shareOfEvent is the least share of the event's own time that has to be excess: an event that is bad by a hair, or for
	// another reason than its time, is no witness.
	shareOfEvent = 0.2
	// maxSteps bounds the walks through one trace, since each of its spans may be an event.
	maxSteps = 200_000
	// maxDepth bounds the walk along the critical path: deeper than that is a loop, or somebody's attack.
	maxDepth = 1000
)

// Judge blames. It reuses its memory, and is not safe for concurrent use.
type Judge struct {
	excesses []excess
	path     []int32
	visits   map[visit]int
	// origins are the spans in which the failures of the present trace began, as far as they were looked for.
	origins []int32
	steps   int
}

// visit is one run of an operation, and the operation of some of its children.
type visit struct {
	at        int32
	operation uint32
}

// NewJudge returns a judge.
func NewJudge() *Judge {
	return &Judge{visits: map[visit]int{}}
}

type excess struct {
	Culprit
	operation uint32
	worst     int64
	time      int64
}

// Begin tells the judge that what follows is about another trace.
func (j *Judge) Begin(t *trace.Trace) {
	j.origins = slices.Grow(j.origins[:0], len(t.Spans))[:len(t.Spans)]
	for i := range j.origins {
		j.origins[i] = trace.None
	}
	j.steps = 0
}

// Failure blames the bad event of span at.
//
// The way goes down along failing calls: who passes a failure on did not begin it. Of several failing calls, the one that
// ended last decided: what failed before it was tried again or made up for.
func (j *Judge) Failure(t *trace.Trace, at int32) Verdict {
	from, end := at, at
	for j.origins[end] == trace.None {
		child := lastFailing(t, end)
		if child == trace.None {
			j.origins[end] = end
			break
		}
		end = child
	}
	end = j.origins[end]
	for at = from; j.origins[at] == trace.None; at = lastFailing(t, at) {
		j.origins[at] = end
	}
	return origin(t, end)
}

// Failed says whether any call of span at failed.
func (j *Judge) Failed(t *trace.Trace, at int32) bool { return lastFailing(t, at) != trace.None }

func lastFailing(t *trace.Trace, at int32) int32 {
	found := trace.None
	for child := t.FirstChild[at]; child != trace.None; child = t.NextSibling[child] {
		if t.Spans[child].Has(trace.Failed) && !t.Async(child) && (found == trace.None || t.Spans[child].End >= t.Spans[found].End) {
			found = child
		}
	}
	return found
}

// origin blames a failing span below which nothing failed.
func origin(t *trace.Trace, at int32) Verdict {
	span := &t.Spans[at]
	v := Verdict{Operation: span.Operation, Culprit: Culprit{Entity: span.Service, Layer: emitter(span), Reason: Error}}
	if span.Has(trace.TimedOut) {
		v.Reason = Timeout
	}
	if !span.Has(trace.Call) {
		return v
	}
	callee := t.Remote(at)
	switch {
	case callee != trace.None && v.Reason == Timeout:
		v.Entity, v.Layer = t.Spans[callee].Service, emitter(&t.Spans[callee])
	case callee != trace.None:
		// The callee answered and was content: what failed is what the caller made of the answer.
	case span.Peer != names.None:
		v.Entity, v.Layer = span.Peer, peer(span)
	default:
		v.Culprit = Culprit{Reason: Missing}
	}
	return v
}

// Slowness blames the bad event of span at, which took too long.
//
// Each span on the critical path below it is charged with the time by which it exceeded what its operation usually takes
// itself. Two exceptions: time between a call and its answer is charged to what lies between; and where an operation calls
// another more often than usual, the usual time of the calls beyond that is charged to the caller, not to the callee.
func (j *Judge) Slowness(t *trace.Trace, at int32, usual Usual) Verdict {
	if _, known := usual.Self(t.Spans[at].Operation); !known {
		return Verdict{Culprit: Culprit{Reason: Latency}, Operation: t.Spans[at].Operation}
	}
	j.excesses = j.excesses[:0]
	clear(j.visits)
	j.walk(t, at, t.Spans[at].End, usual, excuse{}, 0)
	var total int64
	worst := excess{}
	for _, e := range j.excesses {
		total += e.time
		if e.time > worst.time {
			worst = e
		}
	}
	event := t.Spans[at].End - t.Spans[at].Start
	if worst.Entity == names.None || float64(worst.time) < shareOfExcess*float64(total) || float64(total) < shareOfEvent*float64(event) || j.steps >= maxSteps {
		return Verdict{Culprit: Culprit{Reason: Latency}, Operation: t.Spans[at].Operation}
	}
	return Verdict{Culprit: worst.Culprit, Operation: worst.operation}
}

// excuse says that a part of a span's usual time is its caller's fault, because such calls are more than usual.
type excuse struct {
	share  float64
	caller int32
}

// walk goes back in time from until along the critical path below span at: through the child that ended last, from its start
// on through the one that ended last before that, and so on.
func (j *Judge) walk(t *trace.Trace, at int32, until int64, usual Usual, ex excuse, depth int) {
	j.steps++
	from := len(j.path)
	if depth < maxDepth && j.steps < maxSteps {
		j.path = t.Waits(at, j.path)
	}
	children := j.path[from:]
	j.steps += len(children)
	for _, child := range children {
		if t.Parent[child] == at {
			j.visits[visit{at, t.Spans[child].Operation}]++
		}
	}
	slices.SortFunc(children, func(a, b int32) int {
		return int(max(-1, min(1, t.Spans[b].End-t.Spans[a].End)))
	})
	cursor, self := until, int64(0)
	for i := 0; i < len(children); i++ {
		child := children[i]
		start, end := max(t.Spans[child].Start, t.Spans[at].Start), min(t.Spans[child].End, cursor)
		if end <= start {
			continue
		}
		self += cursor - end
		j.walk(t, child, end, usual, tighter(ex, j.extra(t, child, usual), t.Parent[child]), depth+1)
		cursor = start
	}
	self += max(0, cursor-t.Spans[at].Start)
	j.path = j.path[:from]
	j.charge(t, at, self, usual, ex)
}

func tighter(outer excuse, share float64, caller int32) excuse {
	if outer.share >= share {
		return outer
	}
	return excuse{share: share, caller: caller}
}

// extra is the share of the calls like child below its parent that are beyond their usual number. One more than usual is
// always granted: an average of 0.2 calls means that one call in five visits is usual.
func (j *Judge) extra(t *trace.Trace, child int32, usual Usual) float64 {
	parent, operation := t.Parent[child], t.Spans[child].Operation
	n := j.visits[visit{parent, operation}]
	return max(0, 1-(usual.Calls(t.Spans[parent].Operation, operation)+1)/float64(n))
}

func (j *Judge) charge(t *trace.Trace, at int32, self int64, usual Usual, ex excuse) {
	span := &t.Spans[at]
	normal, known := usual.Self(span.Operation)
	if !known {
		j.add(Culprit{Reason: Latency}, span.Operation, self) // Nobody's, but not lost: it may be most of the time.
		return
	}
	if ex.share > 0 {
		caller := &t.Spans[ex.caller]
		j.add(Culprit{caller.Service, emitter(caller), Latency}, caller.Operation, int64(ex.share*float64(min(self, normal))))
	}
	if self <= normal {
		return
	}
	c := Culprit{span.Service, emitter(span), Latency}
	if span.Has(trace.Call) || span.SpanKind() == ptrace.SpanKindProducer {
		callee := t.Remote(at)
		switch {
		case callee != trace.None && !t.Async(callee):
			c.Entity, c.Layer = t.Spans[callee].Service, layer.Platform
		case span.Peer != names.None:
			c.Entity, c.Layer = span.Peer, peer(span)
		case span.Has(trace.Call) && t.FirstChild[at] == trace.None:
			c = Culprit{Reason: Missing}
		}
	}
	j.add(c, span.Operation, self-normal)
}

func (j *Judge) add(c Culprit, operation uint32, time int64) {
	if time <= 0 {
		return
	}
	for i := range j.excesses {
		if e := &j.excesses[i]; e.Culprit == c {
			e.time += time
			if time > e.worst {
				e.worst, e.operation = time, operation
			}
			return
		}
	}
	j.excesses = append(j.excesses, excess{Culprit: c, operation: operation, worst: time, time: time})
}

// emitter is the layer of the service that sent a span. A span about a database is about the data layer, but the one that
// sent it is an application all the same.
func emitter(span *trace.Record) layer.Layer {
	if span.Layer == layer.Data || span.Layer == layer.Messaging {
		return layer.Application
	}
	return span.Layer
}

// peer is the layer of who is called; of a service, only its own spans say it.
func peer(span *trace.Record) layer.Layer {
	switch {
	case span.Has(trace.ToService):
		return layer.Unknown
	case span.Layer == layer.Data:
		return layer.Data
	default:
		return layer.External
	}
}
