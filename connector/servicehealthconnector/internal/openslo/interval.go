package openslo

import (
	"slices"
	"time"
)

// Interval is a time from From up to but not including To.
type Interval struct{ From, To time.Time }

// merged puts intervals in their order and makes one of those that overlap or touch.
func merged(intervals []Interval) []Interval {
	slices.SortFunc(intervals, func(a, b Interval) int { return a.From.Compare(b.From) })
	var out []Interval
	for _, next := range intervals {
		if last := len(out) - 1; last >= 0 && !next.From.After(out[last].To) {
			if next.To.After(out[last].To) {
				out[last].To = next.To
			}
			continue
		}
		out = append(out, next)
	}
	return out
}
