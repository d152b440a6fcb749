package dependency

import (
	"slices"
	"sync"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/trace"
)

// maxErrorTypes bounds the kinds of failure of one edge that are told apart.
const maxErrorTypes = 16

// maxExplained bounds the bad calls of one edge that are looked at more closely between two calls of Recents.
const maxExplained = 32

// Admission decides which edges and which kinds of their failures are told apart. All books of an engine share it; it is safe
// for concurrent use.
type Admission struct {
	mu       sync.Mutex
	edges    map[Edge][]uint32
	ofCaller map[uint32]int
	most     int
	// mostOfCaller bounds the edges of one caller, so that none takes the room of the others.
	mostOfCaller int
	fresh        []Edge
	refused      uint64
}

// NewAdmission returns an admission of at most the given number of edges, in all and for each caller.
func NewAdmission(most, mostOfCaller int) *Admission {
	return &Admission{edges: map[Edge][]uint32{}, ofCaller: map[uint32]int{}, most: most, mostOfCaller: mostOfCaller}
}

func (a *Admission) admit(e Edge) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.edges[e]; ok {
		return true
	}
	if len(a.edges) >= a.most || a.ofCaller[e.Caller] >= a.mostOfCaller {
		a.refused++
		return false
	}
	a.edges[e] = nil
	a.ofCaller[e.Caller]++
	a.fresh = append(a.fresh, e)
	return true
}

func (a *Admission) admitError(e Edge, errorType uint32) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	known := a.edges[e]
	if slices.Contains(known, errorType) {
		return true
	}
	if len(known) == maxErrorTypes {
		return false
	}
	a.edges[e] = append(known, errorType)
	return true
}

// Dismiss gives back the room of an edge.
func (a *Admission) Dismiss(e Edge) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.edges[e]; !ok {
		return
	}
	delete(a.edges, e)
	if a.ofCaller[e.Caller]--; a.ofCaller[e.Caller] == 0 {
		delete(a.ofCaller, e.Caller)
	}
}

// Fresh returns the edges that were admitted since the last call of Fresh.
func (a *Admission) Fresh() []Edge {
	a.mu.Lock()
	defer a.mu.Unlock()
	fresh := a.fresh
	a.fresh = nil
	return fresh
}

// Refused is the number of calls along edges that found no room.
func (a *Admission) Refused() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.refused
}

// Book counts calls, until they are moved to totals. It is not safe for concurrent use.
type Book struct {
	accounts  map[uint64]*account
	touched   []*account
	watched   []*account
	admission *Admission
}

// account is what a book counted along one edge.
type account struct {
	edge     Edge
	admitted bool
	success  *Series
	failures []failure
	// touched says that there is something to be moved to totals.
	touched bool
	recent  Recent
	watched bool
	// slow is the duration in nanoseconds from which a call is slow, or 0; explained is how many calls were said to be bad since
	// the last call of Recents.
	slow      int64
	explained int
	// trace is the one that was counted last, with so many calls.
	trace   pcommon.TraceID
	inTrace uint32
}

type failure struct {
	errorType uint32
	series    *Series
}

// NewBook returns a book. Calls along edges that are not admitted are counted toward the callee names.Other of the same
// caller and type, and failures of kinds that are not toward names.Other.
func NewBook(admission *Admission) *Book {
	return &Book{accounts: map[uint64]*account{}, admission: admission}
}

// Count counts a call of t. It is true if the call failed or was slow, for as many calls as are worth a closer look.
func (b *Book) Count(t *trace.Trace, call Call) bool {
	var failed bool
	var errorType uint32
	caller := &t.Spans[call.CallerSpan]
	speaks := speaks(caller, call)
	if speaks {
		failed, errorType = caller.Has(trace.Failed), caller.ErrorType
	}
	if call.CalleeSpan != trace.None {
		callee := &t.Spans[call.CalleeSpan]
		failed = failed || callee.Has(trace.Failed)
		if errorType == names.None {
			errorType = callee.ErrorType
		}
	}
	a := b.at(call.Edge)
	s := b.series(a, failed, errorType)
	calls, answers := call.weights(t)
	s.Calls += calls
	s.Confident += calls * call.Confidence
	if speaks {
		s.Caller.observe(t.ID, caller, calls)
	}
	if call.CalleeSpan != trace.None {
		s.Callee.observe(t.ID, &t.Spans[call.CalleeSpan], answers)
	}
	return b.watch(a, t.ID, failed, call.took(t, speaks))
}

// weights are how many calls this one stands for, and how many that were answered. Two sampled spans are both there as often as
// the rarer one, and such pairs stand for all answers. But a caller's span that would be counted without an answer, too, stands
// for what it says itself: the pair must not count again for those whose answer was sampled away.
func (c Call) weights(t *trace.Trace) (calls, answers float64) {
	caller := &t.Spans[c.CallerSpan]
	if c.CalleeSpan == trace.None {
		return caller.Count, 0
	}
	pairs := max(caller.Count, t.Spans[c.CalleeSpan].Count)
	if countsAlone(caller) {
		return caller.Count, pairs
	}
	return pairs, pairs
}

// speaks says whether the caller has a span for the call alone; where not, its span speaks of all that it did.
func speaks(caller *trace.Record, call Call) bool {
	return caller.IsOutgoing() || call.CalleeSpan == trace.None
}

func (c Call) took(t *trace.Trace, speaks bool) int64 {
	at := c.CallerSpan
	if !speaks {
		at = c.CalleeSpan
	}
	return t.Spans[at].End - t.Spans[at].Start
}

// CountLinked counts one consumer's work on a message. The producer's span was counted with its own trace's calls, if any. It is
// true as that of Count.
func (b *Book) CountLinked(edge Edge, t *trace.Trace, consumer *trace.Record) bool {
	a := b.at(edge)
	failed := consumer.Has(trace.Failed)
	s := b.series(a, failed, consumer.ErrorType)
	s.Calls += consumer.Count
	s.Confident += consumer.Count
	s.Callee.observe(t.ID, consumer, consumer.Count)
	return b.watch(a, t.ID, failed, consumer.End-consumer.Start)
}

// CountEntry counts a request to a service, whoever sent it. Nothing but Recents tells of it. It is true as that of Count.
func (b *Book) CountEntry(service uint32, t *trace.Trace, span *trace.Record) bool {
	return b.watch(b.at(Entry(service)), t.ID, span.Has(trace.Failed), span.End-span.Start)
}

// SetSlow says from which duration in nanoseconds on a call along an edge is slow.
func (b *Book) SetSlow(e Edge, ns int64) {
	if a := b.accounts[e.number()]; a != nil {
		a.slow = ns
	}
}

// Recents calls f with what was seen of each edge since the last call. Edges beyond the bound are left out: they are many in one.
func (b *Book) Recents(f func(Edge, *Recent)) {
	for _, a := range b.watched {
		if a.admitted {
			f(a.edge, &a.recent)
		}
		a.recent, a.watched, a.explained, a.inTrace = Recent{}, false, 0, 0
	}
	b.watched = b.watched[:0]
}

// MoveTo moves what was counted along up to most edges into totals, and says whether there are more. now is in nanoseconds since
// the epoch.
func (b *Book) MoveTo(totals *Totals, now int64, most int) (more bool) {
	rest := max(0, len(b.touched)-most)
	for _, a := range b.touched[rest:] {
		if a.success != nil {
			totals.take(Key{Edge: a.edge}, a.success, now)
		}
		for _, f := range a.failures {
			totals.take(Key{Edge: a.edge, Failed: true, ErrorType: f.errorType}, f.series, now)
		}
		a.touched = false
	}
	b.touched = b.touched[:rest]
	return rest > 0
}

// Forget removes the accounts of edges, once their counts were moved.
func (b *Book) Forget(edges []Edge) {
	for _, e := range edges {
		if a := b.accounts[e.number()]; a != nil && !a.touched && !a.watched {
			delete(b.accounts, e.number())
		}
	}
}

func (b *Book) at(edge Edge) *account {
	if a := b.accounts[edge.number()]; a != nil {
		return a
	}
	admitted := edge.Caller == names.None || b.admission.admit(edge)
	if !admitted {
		edge.Callee = names.Other
		if a := b.accounts[edge.number()]; a != nil {
			return a
		}
	}
	a := &account{edge: edge, admitted: admitted}
	b.accounts[edge.number()] = a
	return a
}

func (b *Book) series(a *account, failed bool, errorType uint32) *Series {
	if !a.touched {
		a.touched = true
		b.touched = append(b.touched, a)
	}
	if !failed {
		if a.success == nil {
			a.success = &Series{}
		}
		return a.success
	}
	for i := range a.failures {
		if a.failures[i].errorType == errorType {
			return a.failures[i].series
		}
	}
	if errorType > names.Other && !(a.admitted && b.admission.admitError(a.edge, errorType)) {
		return b.series(a, failed, names.Other)
	}
	a.failures = append(a.failures, failure{errorType, &Series{}})
	return a.failures[len(a.failures)-1].series
}

func (b *Book) watch(a *account, id pcommon.TraceID, failed bool, took int64) (isBad bool) {
	if !a.watched {
		a.watched = true
		b.watched = append(b.watched, a)
	}
	a.recent.add(failed, took)
	if a.trace != id {
		a.trace, a.inTrace = id, 0
	}
	a.recent.Squares += 2*uint64(a.inTrace) + 1 // (n + 1)² − n²
	a.inTrace++
	if !failed && (a.slow == 0 || took < a.slow) || a.explained >= maxExplained || !a.admitted {
		return false
	}
	a.explained++
	return true
}
