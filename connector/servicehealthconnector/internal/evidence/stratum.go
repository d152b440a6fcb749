package evidence

import (
	"slices"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/trace"
)

// stratum is an operation under the same circumstances: the operations through which the trace came to it. What is usual depends
// on them.
type stratum struct {
	// witnesses is what its units are worth.
	units, witnesses float64
	// latest is how many units came in moment.
	latest float64
	moment int64
	events []known
	times  *durations
}

// known is an event that happened in a stratum.
type known struct {
	event
	feature *feature
	// units are those of the past under which it happened; of those since a change may have come, pending is by how much they are
	// more than was to be expected.
	units, pending float64
	// moment is when pending was last added to.
	moment int64
	// before is how much of the stratum's past says nothing of the event, since it could not be seen then.
	before past
}

// past is so many units, and what they are worth.
type past struct{ units, witnesses float64 }

// stratum returns the one with this hash, or nil if there is no room for it.
func (b *Book) stratum(hash uint64) *stratum {
	s := b.strata[hash]
	if s == nil && len(b.strata) < maxStrata {
		s = &stratum{}
		b.strata[hash] = s
	}
	return s
}

// judge notes what happened of all that is known in a stratum. Where circumstances are not alike, only what happens always or never
// is compared.
func (b *Book) judge(s *stratum, weight float64, now int64, alike bool) {
	for i := range s.events {
		k := &s.events[i]
		usual, past := k.usual(s), k.past(s)
		if k.feature != nil && past.witnesses >= leastPast && (alike || usual <= sure || usual >= 1-sure) {
			k.feature.add(now, b.share(k.event, weight), usual, past.witnesses+1, &b.decay)
		}
	}
}

func (b *Book) knowAll(s *stratum, span *trace.Record) {
	for _, c := range b.events {
		service := span.Service
		if c.kind == Errors {
			service = c.what
		}
		if k := b.know(s, key{span.Operation, c.event}, service); k != nil && c.unanswered != c.what {
			s.answered(k, c.unanswered)
		}
	}
}

// answered lets the past of a call begin when it is first answered, of one that hardly ever was before: who is called has begun to
// send telemetry, and the caller does what it always did.
func (s *stratum) answered(by *known, call uint32) {
	is := func(k *known) bool { return k.kind == Call && k.what == call }
	i := slices.IndexFunc(s.events, func(k known) bool { return is(&k) && k.doublings == 0 })
	if i < 0 {
		return
	}
	if s.events[i].usual(s) >= always {
		for j := range s.events {
			if k := &s.events[j]; is(k) {
				k.units, k.pending, k.before = 0, 0, past{s.units, s.witnesses}
			}
		}
	}
	by.before = s.events[i].before
}

// past is that of an event in its stratum.
func (k *known) past(s *stratum) past {
	return past{s.units - k.before.units, s.witnesses - k.before.witnesses}
}

// usual is the share of units under which an event happens.
func (k *known) usual(s *stratum) float64 {
	past := k.past(s)
	return (min(1, max(0, k.units/max(1, past.units)))*past.witnesses + 0.5) / (past.witnesses + 1)
}

// count makes a unit part of the past, as usual as can be until it is known whether it is after a change.
func (b *Book) count(s *stratum, weight float64, now int64) {
	for i := range s.events {
		k := &s.events[i]
		usual := k.units / max(1, k.past(s).units)
		k.units += usual
		k.pending += b.share(k.event, weight) - usual
		k.moment = now / moment
	}
	if s.moment != now/moment {
		s.moment, s.latest = now/moment, 0
	}
	s.units++
	s.latest++
	s.witnesses += witnesses(s.latest) - witnesses(s.latest-1)
}

// witnesses is how many independent ones so many of one moment are worth. L. Kish, Survey Sampling (1965), 5.4.
func witnesses(n float64) float64 { return n / (1 + max(0, n-1)*alike) }

// settle makes part of the past what came before a change, or without one.
func (b *Book) settle(s *stratum, now int64) {
	for i := range s.events {
		if k := &s.events[i]; k.pending != 0 && k.feature != nil && k.feature.settled(k.moment, now, &b.decay) {
			k.units += k.pending
			k.pending = 0
		}
	}
	if d := s.times; d != nil && d.moment != 0 && d.feature.settled(d.moment, now, &b.decay) {
		d.learn(1, s.witnesses)
	}
}

// share is the share of the spans of a unit under which an event happened.
func (b *Book) share(e event, weight float64) float64 {
	if i := indexOf(b.events, e); i >= 0 {
		return min(1, b.events[i].n*weight)
	}
	return 0
}

// know makes an event one of those of a stratum, and returns it if it is new.
func (b *Book) know(s *stratum, k key, service uint32) *known {
	for i := range s.events {
		if s.events[i].event == k.event {
			return nil
		}
	}
	if len(s.events) >= maxPerStratum || b.known >= maxKnown {
		return nil
	}
	b.known++
	s.events = append(s.events, known{event: k.event, feature: b.feature(k, service, names.None)})
	return &s.events[len(s.events)-1]
}
