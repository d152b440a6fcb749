package evidence

import (
	"math"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/scale"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/trace"
)

// durations are the own times of spans.
type durations struct {
	seen    float64
	steps   [scale.Steps]float32
	pending [scale.Steps]uint16
	// moment is when pending was last added to; 0 while it is empty.
	moment int64
	// surprise is, for each step, the logarithm of how seldom spans took as long; measured is of how many spans.
	surprise [scale.Steps]float32
	measured float64
	median   int64
	feature  *feature
}

// compare notes how long spans took of themselves, compared with what is usual.
func (b *Book) compare(t *trace.Trace, d *durations, spans []int32, now int64) {
	var sum, excess float64
	for _, i := range spans {
		surprise := float64(d.surprise[scale.Step(t.Self[i])])
		sum += surprise
		if surprise >= surprising {
			excess += float64(t.Self[i] - d.median)
		}
	}
	f := d.feature
	f.add(now, sum/float64(len(spans)), 0, d.seen, &b.decay)
	f.excess += excess
	f.pending.excess += excess
	f.pending.usual += float64(len(spans)) * float64(d.median)
	f.pending.whole += float64(t.Spans[0].End - t.Spans[0].Start)
}

// learn notes how long spans took, for what is usual in a stratum.
func (b *Book) learn(t *trace.Trace, s *stratum, spans []int32, now int64) {
	if s.times == nil {
		if s.times = b.newDurations(t, spans[0]); s.times == nil {
			return
		}
	}
	for _, i := range spans {
		if n := &s.times.pending[scale.Step(t.Self[i])]; *n < math.MaxUint16 {
			*n++
		}
	}
	s.times.moment = now / moment
}

// learn makes so much of what is pending part of the past.
func (d *durations) learn(as, witnesses float64) {
	for i, n := range d.pending {
		d.steps[i] += float32(as * float64(n))
		d.seen += as * float64(n)
	}
	d.pending = [scale.Steps]uint16{}
	d.moment = 0
	if d.seen >= leastDurations && d.seen >= 1.1*d.measured {
		d.measure(min(1, witnesses/d.seen))
	}
}

// newDurations returns empty ones for spans like i, or nil if there is no room.
func (b *Book) newDurations(t *trace.Trace, i int32) *durations {
	span := &t.Spans[i]
	k, callee := key{span.Operation, event{kind: Slow}}, names.None
	switch remote := t.Remote(i); {
	case !span.IsOutgoing():
	case remote != trace.None && !t.Async(remote):
		k.event, callee = event{kind: Gap, what: t.Spans[remote].Operation}, t.Spans[remote].Service
	case span.Peer != names.None:
		k.event, callee = event{kind: Gap}, span.Peer
	}
	if f := b.feature(k, span.Service, callee); f != nil && b.timed < maxTimed {
		b.timed++
		return &durations{feature: f}
	}
	return nil
}

// measure finds out how surprising each duration is. Beyond the longest one that was seen, the tail is taken to be as heavy as one that
// still has a mean at all may be: Pareto's with an index of one, half as many being twice as long.
func (d *durations) measure(worth float64) {
	d.measured = d.seen
	var longer float64
	longest := -1
	d.median = 0
	for step := scale.Steps - 1; step >= 0; step-- {
		if longer += float64(d.steps[step]); longest < 0 && longer >= 0.1 {
			longest = step
		}
		d.surprise[step] = float32(-math.Log(min(1, (worth*longer+0.5)/(worth*d.seen+0.5))))
		if d.median == 0 && longer >= d.seen/2 {
			d.median = scale.Upper(step)
		}
	}
	for step := longest + 1; step < scale.Steps; step++ {
		d.surprise[step] = d.surprise[longest+1] + float32(step-longest-1)*math.Ln2/scale.StepsPerOctave
	}
}
