package burn

import "time"

// leastBad is how many bad events it takes to begin a burn. At ten requests an hour and 99.9 %, a single failure burns at a
// rate of 100; one is a mishap, two are a pattern.
const leastBad = 2

// Condition says when a budget burns too fast: at Rate or above (above only, if Above) over both windows, for After.
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
	// since is when the state began that would lead to the next transition; 0 if it does not hold.
	since int64
}

// Step looks at the windows that end now and says what changes.
//
// A burn starts when both windows have burned for the condition's After; two windows because the long one alone forgives too
// slowly, and the short one alone forgets too fast (The Site Reliability Workbook, chapter 5). It resolves when the short
// window has not burned for its own length. While a window has no data at all, nothing changes.
func (a *Alert) Step(c Condition, m *Meter, now int64, target float64) Transition {
	sum := m.Sum(c.Long, now)
	long, knowLong := sum.Rate(target)
	short, knowShort := m.Sum(c.Short, now).Rate(target)
	if !knowLong || !knowShort {
		a.since = 0
		return Unchanged
	}
	if a.Firing {
		if !a.lasts(!c.reached(short), now, c.Short) {
			return Unchanged
		}
		*a = Alert{Onset: a.Onset}
		return Resolved
	}
	if !a.lasts(c.reached(long) && c.reached(short) && sum.Bad >= leastBad, now, c.After) {
		return Unchanged
	}
	*a = Alert{Firing: true, Onset: m.Onset(c.Long, now, target, c.Rate)}
	return Started
}

func (c Condition) reached(rate float64) bool {
	if c.Above {
		return rate > c.Rate
	}
	return rate >= c.Rate
}

// lasts says whether a state has held for a time.
func (a *Alert) lasts(holds bool, now int64, d time.Duration) bool {
	if !holds {
		a.since = 0
		return false
	}
	if a.since == 0 {
		a.since = now
	}
	return now-a.since >= int64(d)
}
