// Package clock tells the age of things apart from the time of day.
package clock

import (
	"sync/atomic"
	"time"
)

// exact is how exactly Wall and Of know the wall clock. It is so coarse that Now seldom has to take note of it.
const exact = time.Millisecond

// Clock tells the time that it would be if nobody had set the wall clock since it was started. By that, nothing is older or
// younger for a wall clock that jumps. Times that senders tell are of the wall clock nevertheless. All calls may come at once.
type Clock struct {
	began time.Time
	// set is how far the wall clock is ahead, in nanoseconds.
	set atomic.Int64
}

// New starts a clock.
func New() *Clock {
	return &Clock{began: time.Now()}
}

// Now is in nanoseconds since 1970. It never goes back.
func (c *Clock) Now() int64 {
	now := time.Now()
	return c.tell(now.Sub(c.began), now.UnixNano())
}

func (c *Clock) tell(elapsed time.Duration, wall int64) int64 {
	now := c.began.UnixNano() + int64(elapsed)
	set := wall - now
	if change := set - c.set.Load(); change >= int64(exact) || change <= -int64(exact) {
		c.set.Store(set)
	}
	return now
}

// Wall is what the wall clock had at a time of this one, if it was not set since.
func (c *Clock) Wall(now int64) int64 {
	return now + c.set.Load()
}

// Of is the time of this clock for one of the wall clock, if that was not set since.
func (c *Clock) Of(wall int64) int64 {
	return wall - c.set.Load()
}
