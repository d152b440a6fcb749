// Package cumulative counts events by the step of event time in which they ended, and tells the counts as sums that only grow: each
// is what ended before the time that it bears. So whoever holds two of them knows how many events ended between their times,
// whenever they came and through whatever they went. Nothing here reads the clock or is safe for concurrent use.
package cumulative

import (
	"math"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

const (
	// mostOpen bounds the open steps of a sum: far more than there are between the present and what is closed.
	mostOpen = 512
	// mostEvents bounds what one event stands for, far above every sampling that makes sense, so that sums stay in range.
	mostEvents = 1 << 32
	// narrowest is the shortest step. Windows of odd lengths have buckets that begin together at next to no time.
	narrowest = int64(100 * time.Millisecond)
)

// Steps are stretches of event time, one after the other from the epoch on. Those up to a time are closed: they have been told, and
// what comes for them after that goes into the first that is open.
type Steps struct {
	width, closed int64
	// last says that nothing comes any more.
	last bool
}

// NewSteps returns steps of a width in nanoseconds. Steps that would be too short last a second.
func NewSteps(width int64) Steps {
	if width < narrowest {
		width = int64(time.Second)
	}
	return Steps{width: width}
}

// Begin closes the steps that begin before a time: what ended before there was anybody to count it is not to bear a time before
// that beginning.
func (s *Steps) Begin(at int64) { s.Close(at + s.width - 1) }

// Become changes the width. What is closed stays so.
func (s *Steps) Become(width int64) {
	closed := s.closed
	*s = NewSteps(width)
	s.Begin(closed)
}

// End is when the step ends, in nanoseconds since the epoch, in which an event counts that ended at a time.
func (s *Steps) End(at int64) int64 { return max(at/s.width*s.width, s.closed) + s.width }

// Close closes the steps that end by a time. To close them up to an earlier one changes nothing.
func (s *Steps) Close(by int64) { s.closed = max(s.closed, by/s.width*s.width) }

// CloseLast closes the steps that have begun by a time, which is the last that is told: then also those of the future, which the
// clocks of others reach, have been told.
func (s *Steps) CloseLast(by int64) {
	s.Close(by + s.width - 1)
	s.last = true
}

// Closed is when the last closed step ended.
func (s *Steps) Closed() int64 { return s.closed }

// Sum is one of them. The zero Sum has counted nothing.
type Sum struct {
	// open are the steps that have events and were not told, in their order.
	open []step
	// rest is the part of sampled counts that is less than an event, so that rounding does not add up.
	rest float64
	// events is what was told, at is with which time; 0 if it never was.
	events uint64
	at     int64
}

type step struct {
	end     int64
	events  uint64
	witness Witness
}

// Witness is one of the events that were counted: its trace, and the number of the operation in which it began. It may be empty.
type Witness struct {
	Trace     pcommon.TraceID
	Operation uint32
}

// Point is a sum: so many events ended before At, which is in nanoseconds since the epoch.
type Point struct {
	At     int64
	Events uint64
	// Witness is the latest of the events since the point before.
	Witness Witness
}

// Add counts an event that stands for count events, in the step that ends at end. It is false if count is no number that a sampled
// event could stand for.
func (c *Sum) Add(end int64, count float64, w Witness) bool {
	if !(count >= 0 && count <= mostEvents) { // NaN is neither
		return false
	}
	whole := math.Floor(count + c.rest)
	c.rest += count - whole
	s := c.step(end)
	s.events += uint64(whole)
	s.witness = w
	return true
}

// step is the open one with that end, or the nearest if there is no more room. Most events belong to one of the latest.
func (c *Sum) step(end int64) *step {
	i := len(c.open)
	for i > 0 && c.open[i-1].end > end {
		i--
	}
	if i > 0 && (c.open[i-1].end == end || len(c.open) >= mostOpen) {
		return &c.open[i-1]
	}
	if len(c.open) >= mostOpen {
		return &c.open[0]
	}
	c.open = append(c.open, step{})
	copy(c.open[i+1:], c.open[i:])
	c.open[i] = step{end: end}
	return &c.open[i]
}

// Tell calls f with a point for each closed step that has events, and at last with one for the time up to which steps are closed, so
// that the sum is seen to be no larger. Before the first event there is a point of 0: from where a sum grew is not to be guessed.
func (c *Sum) Tell(steps *Steps, f func(Point)) {
	told := 0
	for ; told < len(c.open) && (c.open[told].end <= steps.closed || steps.last); told++ {
		s := &c.open[told]
		if c.at == 0 {
			f(Point{At: s.end - steps.width})
		}
		c.events, c.at = c.events+s.events, s.end
		f(Point{c.at, c.events, s.witness})
	}
	c.open = c.open[:copy(c.open, c.open[told:])]
	if c.at != 0 {
		c.TellEmpty(steps, f)
	}
}

// TellEmpty calls f with a point for the time up to which steps are closed, also if the sum is still 0: then it is known to be that.
func (c *Sum) TellEmpty(steps *Steps, f func(Point)) {
	if c.at < steps.closed {
		c.at = steps.closed
		f(Point{At: c.at, Events: c.events})
	}
}

// IsTold says whether there was any point.
func (c *Sum) IsTold() bool { return c.at != 0 }
