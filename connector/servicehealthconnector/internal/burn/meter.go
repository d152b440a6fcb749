// Package burn is the arithmetic of error budgets: integer counts by bucket of event time, sums over windows, burn rates,
// and when an alert begins and ends. Time is an argument everywhere; nothing here is safe for concurrent use.
package burn

import (
	"math"
	"slices"
	"time"
)

const (
	// buckets is how many buckets a window has, if it is long enough: a window's edge is exact to a sixtieth of it.
	buckets = 60
	// finest is the shortest bucket. Senders' clocks are hardly better.
	finest = time.Second
	// whole is 1 as a target is divided: what it allows is a whole number of parts of this, so that it needs no rounding.
	whole = 1_000_000_000
)

// Count is a number of good and of bad events.
type Count struct{ Good, Bad uint64 }

// Total is the number of all events.
func (c Count) Total() uint64 { return c.Good + c.Bad }

// Rate is the burn rate of the count for a target of at most nine decimals: the share of bad events, divided by the share that
// the target allows. It is false if there are no events: no data is never good. It is for people and for gauges; whether a
// threshold is reached is decided without rounding.
func (c Count) Rate(target float64) (float64, bool) {
	if c.Total() == 0 {
		return 0, false
	}
	return float64(c.Bad) * whole / (float64(c.Total()) * float64(allowed(target))), true
}

// allowed is the share of events that may be bad, in parts of whole. 1 − 0.99 is a little more than 0.01 in floating point,
// and a burn at exactly the threshold would be missed.
func allowed(target float64) uint64 { return uint64(math.Round((1 - target) * whole)) }

// Meter counts events into the windows that it was made for.
type Meter struct {
	rings  []ring
	latest int64
	late   int64
	// pending are events that are in no ring yet: those from time from until before to, which is a stretch in which no ring
	// begins a bucket. Events come by the thousand in each, and so cost one addition in place of one for each ring.
	pending  Count
	from, to int64
}

// Slack is by how much events may be out of step.
type Slack struct {
	// Late is by how much an event may be older than the latest one. What is older is refused.
	Late time.Duration
	// Ahead is by how much events may be later than the time for which windows are asked. An event beyond pushes out of the
	// windows what is still asked for.
	Ahead time.Duration
}

// NewMeter returns a meter for the given windows.
func NewMeter(slack Slack, windows ...time.Duration) *Meter {
	m := &Meter{late: int64(slack.Late)}
	for _, window := range windows {
		if !slices.ContainsFunc(m.rings, func(r ring) bool { return r.window == window }) {
			m.rings = append(m.rings, newRing(window, slack.Ahead))
		}
	}
	return m
}

// Refit makes the meter one for other windows. Those that it was made for keep what they have counted; others begin empty, which
// their coverage shows.
func (m *Meter) Refit(slack Slack, windows ...time.Duration) {
	m.settle()
	fitted := NewMeter(slack, windows...)
	for i := range fitted.rings {
		if had := slices.IndexFunc(m.rings, func(r ring) bool { return r.window == fitted.rings[i].window }); had >= 0 {
			fitted.rings[i] = m.rings[had]
		}
	}
	fitted.latest = m.latest
	*m = *fitted
}

// Step is the longest time in nanoseconds, a second at the most, such that all buckets of meters for the given windows begin at
// multiples of it. Events between two multiples may be added as one.
func Step(windows ...time.Duration) int64 {
	step := int64(finest)
	for _, window := range windows {
		for width := int64(max(window/buckets, finest)); width != 0; {
			step, width = width, step%width
		}
	}
	return step
}

// Add counts events at a time in nanoseconds since the epoch. It is false if they came too late.
func (m *Meter) Add(at int64, c Count) bool {
	if at < m.latest-m.late {
		return false
	}
	m.latest = max(m.latest, at)
	if at < m.from || at >= m.to {
		m.settle()
		m.from, m.to = math.MinInt64, math.MaxInt64
		for i := range m.rings {
			width := m.rings[i].width
			start := at / width * width
			m.from, m.to = max(m.from, start), min(m.to, start+width)
		}
	}
	m.pending.Good += c.Good
	m.pending.Bad += c.Bad
	return true
}

// settle moves the pending events into the rings.
func (m *Meter) settle() {
	if m.pending == (Count{}) {
		return
	}
	for i := range m.rings {
		m.rings[i].add(m.from, m.pending)
	}
	m.pending = Count{}
}

// Sum is the count over a window that the meter was made for and that ends now: over the bucket of now, which may still
// fill, and as many whole ones before it as the window has room for. So it spans between 59 and 60 sixtieths of a window of
// a minute or more.
func (m *Meter) Sum(window time.Duration, now int64) Count {
	var sum Count
	m.ring(window).each(now, func(_ int64, c Count) {
		sum.Good += c.Good
		sum.Bad += c.Bad
	})
	return sum
}

// Coverage is the share of the window's buckets that have any event, from 0 to 1.
func (m *Meter) Coverage(window time.Duration, now int64) float64 {
	measured, r := 0, m.ring(window)
	r.each(now, func(_ int64, c Count) {
		if c.Total() > 0 {
			measured++
		}
	})
	return float64(measured) / float64(r.size)
}

// onset is the start, in nanoseconds since the epoch, of the first bucket of the burn that a condition finds now; or now if no
// bucket burns by itself. Seen backwards, a burn begins where the buckets before it have been calm for as long as the short
// window is, which is also what ends an alert; without this, a mishap at the far end of the long window would be taken for
// the beginning. It is exact to a bucket of the short window as far as that reaches, else to one of the long window.
func (m *Meter) onset(c Condition, now int64, target float64) int64 {
	long, short := m.ring(c.Long), m.ring(c.Short)
	onset, calm := now, int64(0)
	long.each(now, func(start int64, n Count) {
		switch {
		case n.Total() == 0 || calm >= int64(c.Short) && onset != now:
		case c.reached(n, target):
			onset, calm = start, 0
		default:
			calm += long.width
		}
	})
	if onset == now || short.width >= long.width || short.first(now) > onset {
		return onset
	}
	coarse := onset
	short.each(now, func(start int64, n Count) {
		if start >= coarse && start < coarse+long.width && n.Total() > 0 && c.reached(n, target) {
			onset = start
		}
	})
	return onset
}

// ring returns the ring of a window, with all that was counted.
func (m *Meter) ring(window time.Duration) *ring {
	m.settle()
	for i := range m.rings {
		if m.rings[i].window == window {
			return &m.rings[i]
		}
	}
	panic("burn: the meter was not made for a window of " + window.String())
}

// ring holds the latest buckets of one window, and those ahead of it. The bucket with number n, which begins at n times
// width, is at n modulo the ring's length.
type ring struct {
	window time.Duration
	width  int64
	// size is the number of buckets in the window.
	size   int64
	last   int64
	counts []Count
}

func newRing(window, ahead time.Duration) ring {
	width := max(window/buckets, finest)
	size := max(1, int64(window/width))
	return ring{window: window, width: int64(width), size: size, last: -1, counts: make([]Count, size+int64((ahead+width-1)/width))}
}

func (r *ring) add(at int64, c Count) {
	number, n := at/r.width, int64(len(r.counts))
	if number > r.last {
		if r.last < number-n {
			clear(r.counts)
		} else {
			for gone := r.last + 1; gone <= number; gone++ {
				r.counts[gone%n] = Count{}
			}
		}
		r.last = number
	}
	if number <= r.last-n {
		return // It is past this window, but may be within longer ones.
	}
	at0 := &r.counts[number%n]
	at0.Good += c.Good
	at0.Bad += c.Bad
}

// first is the start of the first bucket of the window that ends now.
func (r *ring) first(now int64) int64 { return (now/r.width - r.size + 1) * r.width }

// each calls f with the start and the count of each bucket of the window that ends now, the latest first.
func (r *ring) each(now int64, f func(start int64, c Count)) {
	current, n := now/r.width, int64(len(r.counts))
	for number := min(current, r.last); number > max(current-r.size, r.last-n, -1); number-- {
		f(number*r.width, r.counts[number%n])
	}
}
