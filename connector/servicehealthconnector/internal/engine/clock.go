package engine

import (
	"cmp"
	"iter"
	"slices"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
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
// A batch counts with the median of its items, so that one item with a wrong time does not move the clock.
type eventClock struct {
	now  atomic.Int64
	pool sync.Pool
}

// see moves the clock to the time of a batch, never back nor beyond the wall's, and returns the time. The times are those of the
// batch's items, in nanoseconds since the epoch; items that have none have 0.
func (c *eventClock) see(times iter.Seq[int64], wall int64) int64 {
	known, _ := c.pool.Get().(*[]int64)
	if known == nil {
		known = new([]int64)
	}
	defer c.pool.Put(known)
	*known = (*known)[:0]
	for at := range times {
		if at > 0 && at <= wall {
			*known = append(*known, at)
		}
	}
	if len(*known) == 0 {
		return c.now.Load()
	}
	slices.Sort(*known)
	middle := (*known)[len(*known)/2]
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

// ends are when spans ended. A span that ended before it began speaks of no time.
func ends(td ptrace.Traces) iter.Seq[int64] {
	return func(yield func(int64) bool) {
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, span := range ss.Spans().All() {
					if span.EndTimestamp() >= span.StartTimestamp() && !yield(int64(span.EndTimestamp())) {
						return
					}
				}
			}
		}
	}
}

// recordTimes are the times of records.
func recordTimes(ld plog.Logs) iter.Seq[int64] {
	return func(yield func(int64) bool) {
		for _, rl := range ld.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, r := range sl.LogRecords().All() {
					if !yield(int64(timeOf(r))) {
						return
					}
				}
			}
		}
	}
}

// timeOf is when what a record tells of happened, or else was noticed.
func timeOf(r plog.LogRecord) pcommon.Timestamp { return cmp.Or(r.Timestamp(), r.ObservedTimestamp()) }

// pointTimes are up to when points have counted.
func pointTimes(md pmetric.Metrics) iter.Seq[int64] {
	return func(yield func(int64) bool) {
		for _, rm := range md.ResourceMetrics().All() {
			for _, sm := range rm.ScopeMetrics().All() {
				for _, m := range sm.Metrics().All() {
					if !timesOf(m, yield) {
						return
					}
				}
			}
		}
	}
}

func timesOf(m pmetric.Metric, yield func(int64) bool) bool {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		return stamps(m.Gauge().DataPoints().All(), yield)
	case pmetric.MetricTypeSum:
		return stamps(m.Sum().DataPoints().All(), yield)
	case pmetric.MetricTypeHistogram:
		return stamps(m.Histogram().DataPoints().All(), yield)
	case pmetric.MetricTypeExponentialHistogram:
		return stamps(m.ExponentialHistogram().DataPoints().All(), yield)
	case pmetric.MetricTypeSummary:
		return stamps(m.Summary().DataPoints().All(), yield)
	default:
		return true
	}
}

func stamps[P interface{ Timestamp() pcommon.Timestamp }](points iter.Seq2[int, P], yield func(int64) bool) bool {
	for _, p := range points {
		if !yield(int64(p.Timestamp())) {
			return false
		}
	}
	return true
}
