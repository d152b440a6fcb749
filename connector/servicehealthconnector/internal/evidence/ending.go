package evidence

import (
	"slices"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/trace"
)

// ended compares after which calls an operation ends: of those with the call, with how many it is the last. It takes these events
// from the others. What an operation is for is no circumstance here, since that is told by its calls.
func (b *Book) ended(t *trace.Trace, first int32, own *stratum, spans int, now int64) {
	span, path := &t.Spans[first], ofEnding
	calls := b.learnCalls(span.Operation)
	if span.Service == t.Spans[0].Service {
		calls = callsSeveral // What was before cannot be told from other strata, where those differ by the calls.
	}
	if parent := t.Parent[first]; parent != trace.None {
		path ^= b.paths[parent]
	}
	path = mix(path, span.Operation)
	if calls >= callsOne {
		b.end(span, own, mix(path, names.None), names.None, float64(spans), now)
	}
	for i := range b.events {
		if c := &b.events[i]; calls == callsSeveral && c.kind == Call && c.doublings == 0 {
			b.end(span, own, mix(path, c.what), c.what, c.n, now)
		}
	}
	b.events = slices.DeleteFunc(b.events, func(c count) bool { return c.kind == Last })
}

// How much an operation was ever seen to call. Where one never calls, or never another after the first, there is nothing to learn of
// where it ends.
const (
	callsNobody uint8 = iota
	callsOne
	callsSeveral
)

// learnCalls returns how much an operation has called so far, with the present unit.
func (b *Book) learnCalls(operation uint32) uint8 {
	if n := int(operation) + 1; n > len(b.calling) {
		b.calling = append(b.calling, make([]uint8, n-len(b.calling))...)
	}
	now := callsNobody
	for i := range b.events {
		if c := &b.events[i]; c.kind == Call && c.doublings == 0 {
			now = min(now+1, callsSeveral)
		}
	}
	b.calling[operation] = max(b.calling[operation], now)
	return b.calling[operation]
}

// end compares in how many of n runs of an operation a call is the last.
func (b *Book) end(span *trace.Record, own *stratum, path uint64, call uint32, n float64, now int64) {
	s := b.stratum(path)
	if s == nil {
		return
	}
	b.settle(s, now)
	if k := b.know(s, key{span.Operation, event{kind: Last, what: call}}, span.Service); k != nil && own != nil {
		k.units, s.witnesses = own.alone(call)
		s.units = k.units
	}
	if s.witnesses >= leastPast {
		b.judge(s, 1/n, now, s.witnesses >= mature)
	}
	b.count(s, 1/n, now)
}

// alone is how many units of a stratum had a call, or none, while there was at most one in each, which was the last. The second is
// what they are worth.
func (s *stratum) alone(call uint32) (units, witnesses float64) {
	if call == names.None {
		units = s.units
	}
	for i := range s.events {
		switch k := &s.events[i]; {
		case k.kind != Call || k.doublings > 0:
		case call == names.None:
			units -= k.units + k.pending
		case k.what == call:
			units = k.units + k.pending
		}
	}
	units = max(0, units)
	return units, s.witnesses * units / max(1, s.units)
}
