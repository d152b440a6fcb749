package engine

import (
	"slices"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// WallClock makes of what the system's clock says a time that never goes back: held spans would wait, and ticks stay away, for as
// long as the clock was set back. The time of a clock that was set back goes at half its speed until they agree again; one
// that was set forward is followed at once.
type WallClock struct {
	mu           sync.Mutex
	now, elapsed int64
}

// At returns the time in nanoseconds since the epoch. wall is what the system's clock says, elapsed what has gone by for sure,
// in nanoseconds since any one moment. It is safe for concurrent use.
func (c *WallClock) At(wall, elapsed int64) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	// Whoever read the clock before another may come after it.
	c.now = max(wall, c.now+max(0, elapsed-c.elapsed)/2)
	c.elapsed = max(elapsed, c.elapsed)
	return c.now
}

// eventClock tells the time of recorded telemetry: the latest time that a batch speaks of.
// A batch counts with the median of its spans, so that one span with a wrong time does not move the clock.
type eventClock struct {
	now  atomic.Int64
	pool sync.Pool
}

// see moves the clock to the time of a batch, never back nor beyond the wall's, and returns the time.
func (c *eventClock) see(td ptrace.Traces, wall int64) int64 {
	ends, _ := c.pool.Get().(*[]int64)
	if ends == nil {
		ends = new([]int64)
	}
	defer c.pool.Put(ends)
	*ends = (*ends)[:0]
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				if end := int64(span.EndTimestamp()); end > 0 && end <= wall && span.EndTimestamp() >= span.StartTimestamp() {
					*ends = append(*ends, end)
				}
			}
		}
	}
	if len(*ends) == 0 {
		return c.now.Load()
	}
	slices.Sort(*ends)
	middle := (*ends)[len(*ends)/2]
	for {
		now := c.now.Load()
		if middle <= now {
			return now
		}
		if c.now.CompareAndSwap(now, middle) {
			return middle
		}
	}
}
