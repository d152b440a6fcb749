package dependency

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/trace"
)

// maxExplained bounds the bad calls of one edge that are looked at more closely between two calls of Recents.
const maxExplained = 32

// Book counts calls, until they are moved to totals. It is not safe for concurrent use.
type Book struct {
	accounts  index
	touched   []*account
	watched   []*account
	admission *Admission
	// bounds are those of explicit histograms, nil for exponential ones.
	bounds []float64
}

// account is what a book counted along one edge. What most calls need stands first, within three lines of the processor's cache: of
// many edges no more is in there.
type account struct {
	edge     Edge
	admitted bool
	// touched says that there is something to be moved to totals, watched that there is something to be told as recent.
	touched, watched bool
	// pended is how many of pending are in use.
	pended uint8
	// slow is the duration in nanoseconds from which a call is slow, or 0; explained is how many calls were said to be bad since
	// the last call of Recents.
	slow int64
	// trace is the one that was counted last, with so many calls; squares is Recent.Squares.
	trace              pcommon.TraceID
	inTrace, explained uint32
	squares            uint64
	// confident is the Confident of pending calls, slowest the duration of each side's exemplar among the calls that succeeded.
	confident float64
	slowest   [2]int64
	// pending are ordinary calls, by the durations of both sides in nanoseconds, or none: they enter their histograms together.
	pending [7][2]int64

	recent Recent
	// success are calls that succeeded and have no dimensions, others all the rest.
	success *Series
	others  map[outcome]*Series
}

// none is the duration of a side that sent no span.
const none = -1

// outcome tells the series of one edge apart.
type outcome struct {
	sets      Sets
	errorType uint16
	failed    bool
}

// NewBook returns a book. Calls along edges that are not admitted are counted toward the callee names.Other of the same
// caller and type, and failures of kinds that are not toward names.Other. bounds are those of explicit histograms in seconds; without
// any, histograms are exponential.
func NewBook(admission *Admission, bounds []float64) *Book {
	return &Book{accounts: newIndex(), admission: admission, bounds: bounds}
}

// Count counts a call of t. It is true if the call failed or was slow, for as many calls as are worth a closer look.
func (b *Book) Count(t *trace.Trace, call Call) bool {
	caller, speaks := &t.Spans[call.CallerSpan], speaks(&t.Spans[call.CallerSpan], call)
	o := outcome{sets: Sets{Caller: caller.Dimensions}}
	if speaks {
		o.failed, o.errorType = caller.Has(trace.Failed), caller.ErrorType
	}
	var callee *trace.Record
	if call.CalleeSpan != trace.None {
		callee = &t.Spans[call.CalleeSpan]
		o.sets.Callee = callee.Dimensions
		o.failed = o.failed || callee.Has(trace.Failed)
		if o.errorType == 0 {
			o.errorType = callee.ErrorType
		}
	}
	if !o.failed {
		o.errorType = 0
	}
	if !speaks {
		caller = nil
	}
	a := b.at(call.Edge)
	calls, answers := call.weights(t)
	switch {
	case o == (outcome{}) && calls == 1 && answers <= 1:
		b.pend(a, t.ID, caller, callee)
		a.confident += call.Confidence
	default:
		s := b.series(a, o)
		s.Calls += calls
		s.Confident += calls * call.Confidence
		if caller != nil {
			s.Caller.observe(t.ID, caller, calls)
		}
		if callee != nil {
			s.Callee.observe(t.ID, callee, answers)
		}
		a.recent.add(o.failed, call.took(t, speaks))
	}
	return b.watch(a, t.ID, o.failed, call.took(t, speaks))
}

// pend notes an ordinary call: one that succeeded, without dimensions, each of whose spans stands for itself only.
func (b *Book) pend(a *account, id pcommon.TraceID, caller, callee *trace.Record) {
	b.touch(a)
	if int(a.pended) == len(a.pending) {
		b.settle(a)
	}
	both := &a.pending[a.pended]
	a.pended++
	for side, span := range [...]*trace.Record{caller, callee} {
		if both[side] = none; span == nil {
			continue
		}
		ns := span.End - span.Start
		both[side] = ns
		if ns > a.slowest[side] || a.slowest[side] == 0 {
			a.slowest[side] = ns
			b.succeeded(a).side(side).show(id, span)
		}
	}
}

// settle moves the pending calls to where they belong.
func (b *Book) settle(a *account) {
	if a.pended == 0 {
		return
	}
	s := b.succeeded(a)
	s.Calls += float64(a.pended)
	s.Confident += a.confident
	for _, both := range a.pending[:a.pended] {
		took := both[0]
		if took == none {
			took = both[1]
		}
		a.recent.add(false, took)
		for side, ns := range both {
			if ns != none {
				s.side(side).add(ns, 1)
			}
		}
	}
	a.pended, a.confident = 0, 0
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
	o := outcome{failed: consumer.Has(trace.Failed), sets: Sets{Callee: consumer.Dimensions}}
	if o.failed {
		o.errorType = consumer.ErrorType
	}
	s := b.series(a, o)
	s.Calls += consumer.Count
	s.Confident += consumer.Count
	s.Callee.observe(t.ID, consumer, consumer.Count)
	took := consumer.End - consumer.Start
	a.recent.add(o.failed, took)
	return b.watch(a, t.ID, o.failed, took)
}

// CountEntry counts a request to a service, whoever sent it. Nothing but Recents tells of it. It is true as that of Count.
func (b *Book) CountEntry(service uint32, t *trace.Trace, span *trace.Record) bool {
	a, failed, took := b.at(Entry(service)), span.Has(trace.Failed), span.End-span.Start
	a.recent.add(failed, took)
	return b.watch(a, t.ID, failed, took)
}

// SetSlow says from which duration in nanoseconds on a call along an edge is slow.
func (b *Book) SetSlow(e Edge, ns int64) {
	if a := b.accounts.get(e.number()); a != nil {
		a.slow = ns
	}
}

// Recents calls f with what was seen of each edge since the last call. Edges beyond the bound are left out: they are many in one.
func (b *Book) Recents(f func(Edge, *Recent)) {
	for _, a := range b.watched {
		b.settle(a)
		if a.recent.Squares = a.squares; a.admitted {
			f(a.edge, &a.recent)
		}
		a.recent, a.watched, a.squares, a.explained, a.inTrace = Recent{}, false, 0, 0, 0
	}
	b.watched = b.watched[:0]
}

// MoveTo moves what was counted along up to most edges into totals, and says whether there are more. now is in nanoseconds since
// the epoch.
func (b *Book) MoveTo(totals *Totals, now int64, most int) (more bool) {
	rest := max(0, len(b.touched)-most)
	for _, a := range b.touched[rest:] {
		b.settle(a)
		if a.success != nil {
			totals.take(Key{Edge: a.edge}, a.success, now)
		}
		for o, s := range a.others {
			totals.take(Key{Edge: a.edge, Failed: o.failed, ErrorType: uint32(o.errorType), Sets: o.sets}, s, now)
		}
		a.touched, a.slowest = false, [2]int64{}
	}
	b.touched = b.touched[:rest]
	return rest > 0
}

// Forget removes the accounts of edges. What was counted along one since its counts were moved is moved with the next ones.
func (b *Book) Forget(edges []Edge) {
	for _, e := range edges {
		if a := b.accounts.get(e.number()); a != nil {
			a.admitted = false
			b.accounts.remove(e.number())
		}
	}
}

func (b *Book) at(edge Edge) *account {
	if a := b.accounts.get(edge.number()); a != nil {
		return a
	}
	// Who has no name of its own is not one, either.
	admitted := edge.Callee != names.Other && (edge.Caller == names.None || b.admission.admit(edge))
	if !admitted {
		edge.Callee = names.Other
		if a := b.accounts.get(edge.number()); a != nil {
			return a
		}
	}
	a := &account{edge: edge, admitted: admitted}
	b.accounts.put(edge.number(), a)
	return a
}

func (b *Book) touch(a *account) {
	if !a.touched {
		a.touched = true
		b.touched = append(b.touched, a)
	}
}

// succeeded is the series of calls that succeeded and have no dimensions.
func (b *Book) succeeded(a *account) *Series {
	if a.success == nil {
		a.success = newSeries(b.bounds)
	}
	return a.success
}

func (b *Book) series(a *account, o outcome) *Series {
	b.touch(a)
	if o == (outcome{}) {
		return b.succeeded(a)
	}
	if s := a.others[o]; s != nil {
		return s
	}
	if o.sets != (Sets{}) && !(a.admitted && b.admission.admitSets(a.edge, o.sets)) {
		o.sets = o.sets.overflow()
	}
	if uint32(o.errorType) > names.Other && !(a.admitted && b.admission.admitError(a.edge, o.errorType)) {
		o.errorType = uint16(names.Other)
	}
	s := a.others[o]
	if s == nil {
		if a.others == nil {
			a.others = map[outcome]*Series{}
		}
		s = newSeries(b.bounds)
		a.others[o] = s
	}
	return s
}

func (b *Book) watch(a *account, id pcommon.TraceID, failed bool, took int64) (isBad bool) {
	if !a.watched {
		a.watched = true
		b.watched = append(b.watched, a)
	}
	if a.trace != id {
		a.trace, a.inTrace = id, 0
	}
	a.squares += 2*uint64(a.inTrace) + 1 // (n + 1)² − n²
	a.inTrace++
	if !failed && (a.slow == 0 || took < a.slow) || a.explained >= maxExplained || !a.admitted {
		return false
	}
	a.explained++
	return true
}
