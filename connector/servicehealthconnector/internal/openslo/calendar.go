package openslo

import "time"

// Unit is what a calendar's windows are measured in.
type Unit uint8

// The units. A quarter is three months and a week seven days.
const (
	Day Unit = iota
	Month
	Year
)

// Calendar aligns windows to the calendar of a place: they follow one another without a gap, each as long as Count units are
// there and then, so that a month has 28 to 31 days, and a day on which clocks are changed 23 or 25 hours.
type Calendar struct {
	// Start is when one of the windows begins, on the clocks of its location.
	Start time.Time
	// Count is at least 1.
	Count int
	Unit  Unit
}

// Period returns the beginning and the end, which belongs to the next one, of the window that at is in.
func (c *Calendar) Period(at time.Time) (from, to time.Time) {
	// No unit is longer than its typical length by more than a tenth, so that the guess needs few steps.
	typical := []time.Duration{Day: 24 * time.Hour, Month: 365 * 2 * time.Hour, Year: 365 * 24 * time.Hour}[c.Unit]
	// In seconds, since a Duration has no room for more than 292 years.
	number := int((at.Unix() - c.Start.Unix()) / int64(typical.Seconds()) / int64(c.Count))
	for c.begin(number).After(at) {
		number--
	}
	for !c.begin(number + 1).After(at) {
		number++
	}
	return c.begin(number), c.begin(number + 1)
}

// begin is when the window with this number begins; that of Start has number 0. Where a month has no such day it begins on its last.
func (c *Calendar) begin(number int) time.Time {
	year, month, day := c.Start.Date()
	switch n := number * c.Count; c.Unit {
	case Day:
		day += n
	case Month:
		month += time.Month(n)
		day = min(day, lastDay(year, month))
	case Year:
		year += n
		day = min(day, lastDay(year, month))
	}
	hour, minute, second := c.Start.Clock()
	return time.Date(year, month, day, hour, minute, second, c.Start.Nanosecond(), c.Start.Location())
}

// lastDay of a month; months may be beyond 1 to 12, and are then those of other years.
func lastDay(year int, month time.Month) int {
	return time.Date(year, month+1, 0, 12, 0, 0, 0, time.UTC).Day()
}
