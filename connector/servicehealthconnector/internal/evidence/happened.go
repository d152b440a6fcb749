package evidence

import (
	"cmp"
	"slices"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/trace"
)

type count struct {
	event
	n float64
	// unanswered is, for a Call, the operation that it would have been had nobody answered.
	unanswered uint32
}

// failures compares how often services fail or complain in a trace, whatever they do in it: that is known sooner than what is usual
// of each operation.
func (b *Book) failures(t *trace.Trace, now int64) {
	slices.SortFunc(b.order, func(x, y int32) int { return cmp.Compare(t.Spans[x].Service, t.Spans[y].Service) })
	for from, to := 0, 0; from < len(b.order); from = to {
		service := t.Spans[b.order[from]].Service
		b.events = b.events[:0]
		for to = from; to < len(b.order) && t.Spans[b.order[to]].Service == service; to++ {
			b.failed(t, b.order[to], 0)
		}
		s := b.stratum(mix(3, service))
		if s == nil || service <= names.Other {
			continue
		}
		b.settle(s, now)
		for _, kind := range [...]Kind{Errors, ErrorRecords, WarningRecords} {
			b.know(s, key{names.None, event{kind: kind, what: service}}, service)
		}
		for _, c := range b.events {
			b.know(s, key{names.None, c.event}, c.what)
		}
		if s.witnesses >= leastPast {
			b.judge(s, 1, now, true)
		}
		b.count(s, 1, now)
	}
}

// The least severities of errors and warnings. See https://opentelemetry.io/docs/specs/otel/logs/data-model/#field-severitynumber.
const (
	severityWarning = 13
	severityError   = 17
)

// failed notes that span i failed of itself, that whom it called did without a span to tell of it, or that records speak of
// failure.
func (b *Book) failed(t *trace.Trace, i int32, from int) {
	span := &t.Spans[i]
	service := span.Service
	switch {
	case !span.Has(trace.Failed) || failsBelow(t, i):
	case span.Has(trace.Call) && span.Peer != names.None && t.Remote(i) == trace.None:
		b.note(from, event{kind: Errors, what: span.Peer})
	default:
		b.note(from, event{kind: Errors, what: service})
	}
	for _, n := range b.notesOf(t.Spans[i].ID) {
		switch {
		case n.Severity >= severityError:
			b.note(from, event{kind: ErrorRecords, what: service})
		case n.Severity >= severityWarning:
			b.note(from, event{kind: WarningRecords, what: service})
		}
	}
}

// notesOf returns the log records of a span.
func (b *Book) notesOf(span uint64) []Note {
	from, _ := slices.BinarySearchFunc(b.notes, span, func(n Note, id uint64) int { return cmp.Compare(n.Span, id) })
	to := from
	for to < len(b.notes) && b.notes[to].Span == span {
		to++
	}
	return b.notes[from:to]
}

// happened notes what happened under span i.
func (b *Book) happened(t *trace.Trace, i int32) {
	from := len(b.events)
	b.times = b.times[:0]
	for child := t.FirstChild[i]; child != trace.None; child = t.NextSibling[child] {
		does, unanswered := b.does(t, child)
		b.again(event{kind: Call, what: does}, unanswered)
	}
	for _, n := range b.notesOf(t.Spans[i].ID) {
		if n.Template != 0 {
			b.again(event{kind: Record, what: n.Template}, n.Template)
		}
	}
	for _, c := range b.times {
		for least := 1.0; least <= c.n; least *= 2 {
			b.add(from, count{c.event, 1, c.unanswered})
			c.doublings++
		}
	}
	b.last(t, i, from)
	b.failed(t, i, from)
	// What happened under this span counts once, together with what happened under others like it.
	for at := from; at < len(b.events); {
		if j := indexOf(b.events[:from], b.events[at].event); j >= 0 {
			b.events[j].n++
			b.events = slices.Delete(b.events, at, at+1)
			continue
		}
		at++
	}
}

// last notes the calls under span i after which none begins any more: where a function returns before its end, or throws, they are
// others than usual.
func (b *Book) last(t *trace.Trace, i int32, from int) {
	var latest int64
	waits := false
	for child := t.FirstChild[i]; child != trace.None; child = t.NextSibling[child] {
		if !t.Async(child) {
			latest, waits = t.Spans[child].Start, true
		}
	}
	if !waits {
		if !t.Spans[i].IsOutgoing() {
			b.note(from, event{kind: Last})
		}
		return
	}
	for child := t.FirstChild[i]; child != trace.None; child = t.NextSibling[child] {
		if !t.Async(child) && (t.Spans[child].End > latest || t.Spans[child].Start == latest) {
			does, _ := b.does(t, child)
			b.note(from, event{kind: Last, what: does})
		}
	}
}

// again counts what happens under the present span.
func (b *Book) again(e event, unanswered uint32) {
	if i := indexOf(b.times, e); i >= 0 {
		b.times[i].n++
	} else if len(b.times) < maxPerStratum {
		b.times = append(b.times, count{e, 1, unanswered})
	}
}

func failsBelow(t *trace.Trace, i int32) bool {
	for child := t.FirstChild[i]; child != trace.None; child = t.NextSibling[child] {
		if t.Spans[child].Has(trace.Failed) {
			return true
		}
	}
	return false
}

// note adds an event to those from an index on, unless it is there.
func (b *Book) note(from int, e event) { b.add(from, count{e, 1, e.what}) }

func (b *Book) add(from int, c count) {
	if indexOf(b.events[from:], c.event) < 0 && len(b.events)-from < maxPerStratum {
		b.events = append(b.events, c)
	}
}

func indexOf(list []count, e event) int {
	for i := range list {
		if list[i].event == e {
			return i
		}
	}
	return -1
}
