package engine

import (
	"cmp"
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
// A batch counts with the median of its items, so that one with a wrong time, among three or more, does not move the clock.
type eventClock struct {
	now  atomic.Int64
	pool sync.Pool
}

// see moves the clock to the time of a batch, never back nor beyond the wall's, and returns the time. times appends those of the
// batch's items, in nanoseconds since the epoch; items that have none may have 0.
func (c *eventClock) see(times func([]int64) []int64, wall int64) int64 {
	all, _ := c.pool.Get().(*[]int64)
	if all == nil {
		all = new([]int64)
	}
	defer c.pool.Put(all)
	*all = times((*all)[:0])
	known := slices.DeleteFunc(*all, func(at int64) bool { return at <= 0 || at > wall })
	if len(known) == 0 {
		return c.now.Load()
	}
	slices.Sort(known)
	middle := known[len(known)/2]
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

// ends appends when spans ended. A span that ended before it began speaks of no time.
func ends(td ptrace.Traces, into []int64) []int64 {
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				if span.EndTimestamp() >= span.StartTimestamp() {
					into = append(into, int64(span.EndTimestamp()))
				}
			}
		}
	}
	return into
}

// recordTimes appends the times of records.
func recordTimes(ld plog.Logs, into []int64) []int64 {
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, r := range sl.LogRecords().All() {
				into = append(into, int64(timeOf(r)))
			}
		}
	}
	return into
}

// timeOf is when what a record tells of happened, or else was noticed.
func timeOf(r plog.LogRecord) pcommon.Timestamp { return cmp.Or(r.Timestamp(), r.ObservedTimestamp()) }

// pointTimes appends up to when points have counted.
func pointTimes(md pmetric.Metrics, into []int64) []int64 {
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				switch m.Type() {
				case pmetric.MetricTypeGauge:
					into = stamps(m.Gauge().DataPoints(), into)
				case pmetric.MetricTypeSum:
					into = stamps(m.Sum().DataPoints(), into)
				case pmetric.MetricTypeHistogram:
					into = stamps(m.Histogram().DataPoints(), into)
				case pmetric.MetricTypeExponentialHistogram:
					into = stamps(m.ExponentialHistogram().DataPoints(), into)
				case pmetric.MetricTypeSummary:
					into = stamps(m.Summary().DataPoints(), into)
				default:
					// It has no points.
				}
			}
		}
	}
	return into
}

// dataPoints are those of one metric, of whatever type.
type dataPoints[P any] interface {
	Len() int
	At(int) P
}

func stamps[P interface{ Timestamp() pcommon.Timestamp }](points dataPoints[P], into []int64) []int64 {
	for i := range points.Len() {
		into = append(into, int64(points.At(i).Timestamp()))
	}
	return into
}
