package burn

import (
	"math"
	"math/bits"
	"time"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/snapshot"
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
	// LeastEvents is how many events the long window must have before a burn can start.
	LeastEvents uint64
}

// Transition is a change of an alert.
type Transition uint8

// The transitions.
const (
	Unchanged Transition = iota
	Started
	// Paused is the beginning of a calm that may be the end of the burn, and Resumed that it was not.
	Paused
	Resumed
	Resolved
)

// Alert is the state of one condition for one objective and group.
type Alert struct {
	// Firing says that a burn has started and is not resolved.
	Firing bool
	// Calm says that a burn which is not resolved has paused.
	Calm bool
	// Onset is the start of the first bad bucket of the burn, in nanoseconds since the epoch.
	Onset int64
	// held is for how long, in nanoseconds, the state has held that would lead to the next transition, and seen is when it
	// last did; 0 if it does not, or if nothing was known.
	held, seen int64
}

// Step looks at the windows that end now and says what changes.
//
// A burn starts when both windows have burned for the condition's After; two windows because the long one alone forgives too
// slowly, and the short one alone forgets too fast (The Site Reliability Workbook, chapter 5). It pauses when the short
// window has not burned for its own length. If both burn again within that length once more it is the same burn, else it is resolved.
//
// While a window has no data at all time stands still: nothing changes, and that time counts neither for nor against. So a service with
// fewer requests than the short window has room for gets through a burn as well, only later. The end of a burn takes more than any data: as
// long as less than half of what is usual was measured in the short window, it may only look calm. Its beginning does not, since bad
// events that were seen have happened, whatever else was not seen; an outage often takes most of the telemetry along.
func (a *Alert) Step(c Condition, m *Meter, now int64, target float64) Transition {
	long, short := m.Sum(c.Long, now), m.Sum(c.Short, now)
	if long.Total() == 0 || short.Total() == 0 {
		a.seen = 0
		return Unchanged
	}
	burns := c.reached(short, target)
	switch {
	case !a.Firing:
		if !burns || !c.reached(long, target) || !c.isEnough(m, now) {
			a.held, a.seen = 0, 0
			return Unchanged
		}
		if !a.lasts(now, c.After) {
			return Unchanged
		}
		*a = Alert{Firing: true, Onset: m.onset(c, now, target)}
		return Started
	case burns && (!a.Calm || c.reached(long, target)):
		calm := a.Calm
		a.Calm, a.held, a.seen = false, 0, 0
		if calm {
			return Resumed
		}
		return Unchanged
	case m.isPartial(c, now):
		a.seen = 0
		return Unchanged
	case !a.lasts(now, c.Short):
		return Unchanged
	case !a.Calm:
		a.Calm, a.held = true, 0
		return Paused
	}
	*a = Alert{Onset: a.Onset}
	return Resolved
}

// Burns says that a burn has started and neither paused nor resolved.
func (a *Alert) Burns() bool { return a.Firing && !a.Calm }

// isEnough says whether a burn may start by the number of events in the long window, and by how far back the first of them is: as
// far as the short window is long, at least. Half of the long window is always enough, or one window alone, which never reaches back by
// more than its own length, would be silent for ever.
func (c Condition) isEnough(m *Meter, now int64) bool {
	events := m.Events(c.Long, now)
	return events.Bad >= leastBad && events.Total() >= c.LeastEvents && m.oldest(c.Long, now) <= now-int64(min(c.Short, c.Long/2))
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

// lasts says whether a state that holds now has held for a time.
func (a *Alert) lasts(now int64, d time.Duration) bool {
	if a.seen != 0 {
		a.held += now - a.seen
	}
	a.seen = now
	return a.held >= int64(d)
}

// Put appends the alert's state. The time that goes by until it is taken counts for nothing.
func (a *Alert) Put(b []byte) []byte {
	b = snapshot.Bool(snapshot.Bool(b, a.Firing), a.Calm)
	return snapshot.Uint(snapshot.Uint(b, uint64(a.Onset)), uint64(a.held))
}

// Take reads what was put.
func (a *Alert) Take(r *snapshot.Reader) {
	*a = Alert{Firing: r.Bool(), Calm: r.Bool(), Onset: r.Time(), held: r.Time()}
}
