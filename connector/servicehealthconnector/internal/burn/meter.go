// Package burn is the arithmetic of error budgets: integer counts by bucket of event time, sums over windows, burn rates,
// and when an alert begins and ends. Time is an argument everywhere; nothing here is safe for concurrent use.
package burn

import (
	"slices"
	"time"
)

const (
	// buckets is how many buckets a window has, if it is long enough: a window's edge is exact to a sixtieth of it.
	buckets = 60
	// finest is the shortest bucket. Senders' clocks are hardly better.
	finest = time.Second
)

// Count is a number of good and of bad events.
type Count struct{ Good, Bad uint64 }

// Total is the number of all events.
func (c Count) Total() uint64 { return c.Good + c.Bad }

// Rate is the burn rate of the count for a target: the share of bad events, divided by the share that the target allows.
// It is false if there are no events: no data is never good.
func (c Count) Rate(target float64) (float64, bool) {
	if c.Total() == 0 {
		return 0, false
	}
	return float64(c.Bad) / float64(c.Total()) / (1 - target), true
}

// Meter counts events into the windows that it was made for.
type Meter struct {
	rings  []ring
	latest int64
	late   int64
}

// Slack is by how much events may be out of step.
type Slack struct {
	// Late is by how much an event may be older than the latest one. What is older is refused.
	Late time.Duration
	// Ahead is by how much events may be later than the time for which windows are asked.
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

// Add counts events at a time in nanoseconds since the epoch. It is false if they came too late.
func (m *Meter) Add(at int64, c Count) bool {
	if at < m.latest-m.late {
		return false
	}
	m.latest = max(m.latest, at)
	for i := range m.rings {
		m.rings[i].add(at, c)
	}
	return true
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

// Onset is the start of the first bucket in the window, in nanoseconds since the epoch, that burns at rate or above; or now
// if there is none.
func (m *Meter) Onset(window time.Duration, now int64, target, rate float64) int64 {
	onset := now
	m.ring(window).each(now, func(start int64, c Count) {
		if burn, ok := c.Rate(target); ok && burn >= rate && start < onset {
			onset = start
		}
	})
	return onset
}

func (m *Meter) ring(window time.Duration) *ring {
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

// each calls f with the start and the count of each bucket of the window that ends now, the latest first.
func (r *ring) each(now int64, f func(start int64, c Count)) {
	current, n := now/r.width, int64(len(r.counts))
	for number := min(current, r.last); number > max(current-r.size, r.last-n, -1); number-- {
		f(number*r.width, r.counts[number%n])
	}
}
