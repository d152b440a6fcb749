package burn

import (
	"slices"
	"time"
)

// Interval is a time in nanoseconds since the epoch, from From up to but not including To.
type Interval struct{ From, To int64 }

// maintenance are times that do not count, in their order and apart from each other.
type maintenance []Interval

// newMaintenance takes whole seconds, any part of which is enough: no bucket begins within a second.
func newMaintenance(of []Interval) maintenance {
	const second = int64(time.Second)
	var m maintenance
	for _, i := range slices.SortedFunc(slices.Values(of), func(a, b Interval) int { return int(a.From/second - b.From/second) }) {
		i = Interval{i.From / second * second, (i.To + second - 1) / second * second}
		if last := len(m) - 1; last >= 0 && i.From <= m[last].To {
			m[last].To = max(m[last].To, i.To)
		} else {
			m = append(m, i)
		}
	}
	return m
}

// has says whether a time does not count.
func (m maintenance) has(at int64) bool {
	if len(m) == 0 {
		return false
	}
	i, found := slices.BinarySearchFunc(m, at, func(i Interval, at int64) int { return int(min(1, max(-1, i.From-at))) })
	return found || i > 0 && at < m[i-1].To
}

// open is how much of the time from from to to counts, in nanoseconds.
func (m maintenance) open(from, to int64) int64 {
	open := max(0, to-from)
	for _, i := range m {
		open -= max(0, min(i.To, to)-max(i.From, from))
	}
	return open
}
