package burn

import (
	"math"
	"math/bits"
	"time"
)

// leastBad is how many bad events it takes to begin a burn. At ten requests an hour and 99.9 %, a single failure burns at a
// rate of 100; one is a mishap, two are a pattern.
const leastBad = 2

// Condition says when a budget burns too fast: at Rate or above (above only, if Above) over both windows, for After. The rate
// has at most six decimals.
type Condition struct {
	Long, Short time.Duration
	Rate        float64
	Above       bool
	After       time.Duration
}

// Transition is a change of an alert.
type Transition uint8

// The transitions.
const (
	Unchanged Transition = iota
	Started
	Resolved
)

// Alert is the state of one condition for one objective and group.
type Alert struct {
	// Firing says that a burn has started and is not resolved.
	Firing bool
	// Onset is the start of the first bad bucket of the burn, in nanoseconds since the epoch.
	Onset int64
	// held is for how long, in nanoseconds, the state has held that would lead to the next transition, and seen is when it
	// last did; 0 if it does not, or if nothing was known.
	held, seen int64
}

// Step looks at the windows that end now and says what changes.
//
// A burn starts when both windows have burned for the condition's After; two windows because the long one alone forgives too
// slowly, and the short one alone forgets too fast (The Site Reliability Workbook, chapter 5). It resolves when the short
// window has not burned for its own length. While a window has no data at all time stands still: nothing changes, and that
// time counts neither for nor against. So a service with fewer requests than the short window has room for gets through a
// burn as well, only later.
func (a *Alert) Step(c Condition, m *Meter, now int64, target float64) Transition {
	long, short := m.Sum(c.Long, now), m.Sum(c.Short, now)
	if long.Total() == 0 || short.Total() == 0 {
		a.seen = 0
		return Unchanged
	}
	if a.Firing {
		if !a.lasts(!c.reached(short, target), now, c.Short) {
			return Unchanged
		}
		*a = Alert{Onset: a.Onset}
		return Resolved
	}
	if !a.lasts(c.reached(long, target) && c.reached(short, target) && long.Bad >= leastBad, now, c.After) {
		return Unchanged
	}
	*a = Alert{Firing: true, Onset: m.onset(c, now, target)}
	return Started
}

// reached says whether the count burns as fast as the condition says. It multiplies where a rate would be divided, and so is exact:
// bad / total / (1 − target) against the rate is bad against total × rate × (1 − target).
func (c Condition) reached(n Count, target float64) bool {
	const millionths = 1_000_000
	beyond, limit := bits.Mul64(uint64(math.Round(c.Rate*millionths)), allowed(target))
	if beyond > 0 || limit > millionths*whole {
		return false // More than all events would have to be bad.
	}
	badHigh, bad := bits.Mul64(n.Bad, millionths*whole)
	mostHigh, most := bits.Mul64(n.Total(), limit)
	if badHigh != mostHigh {
		return badHigh > mostHigh
	}
	return bad > most || bad == most && !c.Above
}

// lasts says whether a state has held for a time.
func (a *Alert) lasts(holds bool, now int64, d time.Duration) bool {
	if !holds {
		a.held, a.seen = 0, 0
		return false
	}
	if a.seen != 0 {
		a.held += now - a.seen
	}
	a.seen = now
	return a.held >= int64(d)
}
