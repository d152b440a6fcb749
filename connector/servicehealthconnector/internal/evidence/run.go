package evidence

import (
	"math"
)

// feature is an event under an operation, over all strata: what was seen since it last was as usual, and what was to be expected.
type feature struct {
	key
	service, callee uint32
	// more and less are what was seen since it began to happen more, and less; of times, more is since they are longer.
	more, less run
	at         int64
	// pending is what was seen in the present moment.
	pending sums
	moment  int64
	// excess is the time in nanoseconds beyond the usual one of late.
	excess float64
	// restless is how much its weight usually is, over so many looks.
	restless, looks float64
	// tried is what its weight was since a change may have come, over so many looks: it is no measure of itself.
	tried, tries float64
	// turn is the latest one in which a stratum knew of it.
	turn uint32
}

// run is what was seen since a change is most likely to have come, if one did. E. S. Page, Continuous inspection schemes, Biometrika 41
// (1954).
type run struct {
	sums
	// gain is the logarithm of how much likelier it has been since, had there been a change.
	gain        float64
	since, last int64
}

// sums are over units. Of times, excess is that beyond the usual one in nanoseconds, usual what is usual, and whole that of all these
// traces.
type sums struct {
	units, observed, expected, past float64
	excess, usual, whole            float64
}

// settled says whether what came in a moment was before a change, or without one.
func (f *feature) settled(m, now int64, by *decay) bool {
	if f.moment < now/moment {
		f.close(by)
	}
	return m < now/moment && f.more.gain == 0 && f.less.gain == 0
}

// add adds a unit. Those of one moment share their fate, so that a hundred of them are not a hundred witnesses.
func (f *feature) add(now int64, x, p, past float64, by *decay) {
	if m := now / moment; m != f.moment {
		f.close(by)
		f.moment = m
	}
	f.pending.units++
	f.pending.observed += x
	f.pending.expected += p
	f.pending.past += past
}

// close adds the witnesses of a moment to what was seen since a change.
func (f *feature) close(by *decay) {
	n := f.pending.units
	if n == 0 {
		return
	}
	f.decay(f.moment*moment, by)
	p := f.pending.times(witnesses(n) / n)
	f.pending = sums{}
	if f.event.kind == Slow || f.event.kind == Gap {
		// Were they to become four times as surprising.
		f.more.add(&p, p.observed*0.75-p.units*2*math.Ln2, f.moment*moment)
		return
	}
	usual := p.expected / p.units
	// Were half of those with it to be without it, or half of those without it with it.
	if usual <= 1-effect {
		f.more.add(&p, p.observed*math.Log((1+usual)/2/usual)-(p.units-p.observed)*math.Ln2, f.moment*moment)
	}
	if usual >= effect {
		f.less.add(&p, (p.units-p.observed)*math.Log((1-usual/2)/(1-usual))-p.observed*math.Ln2, f.moment*moment)
	}
}

func (s *sums) times(weight float64) sums {
	return sums{
		weight * s.units, weight * s.observed, weight * s.expected, weight * s.past,
		weight * s.excess, weight * s.usual, weight * s.whole,
	}
}

// add adds what was seen in a moment, and how much likelier it was after a change.
func (r *run) add(s *sums, gain float64, at int64) {
	if at-r.last > forgotten {
		*r = run{}
	}
	if r.gain == 0 {
		r.since = at
	}
	r.last = at
	if r.gain = min(mostGain, r.gain+gain); r.gain <= 0 {
		*r = run{}
		return
	}
	r.units += s.units
	r.observed += s.observed
	r.expected += s.expected
	r.past += s.past
	r.excess += s.excess
	r.usual += s.usual
	r.whole += s.whole
}

// decay makes the time that was lost count less.
func (f *feature) decay(now int64, by *decay) {
	if now <= f.at {
		return
	}
	keep := by.over(now - f.at)
	f.excess *= keep
	f.at = now
}

// decay is what is left after a time. Most features ask for the same time.
type decay struct {
	time int64
	keep float64
}

func (d *decay) over(time int64) float64 {
	if d.time != time {
		d.time, d.keep = time, math.Exp(-float64(time)/lately)
	}
	return d.keep
}
