package openslo

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // Zones of calendars resolve also where the machine knows none.
)

const (
	// firstYear and lastYear are those of times in documents. Others could not be told in nanoseconds since the epoch.
	firstYear, lastYear = 1970, 2199
	// maxIntervals bounds the times of maintenance of one document: each is asked of every event.
	maxIntervals = 100
)

func (r *reader) timeWindow(spec *mapping, s *slo) {
	if !spec.has("timeWindow") {
		spec.take("timeWindow")
		return
	}
	windows := spec.list("timeWindow")
	if len(windows) != 1 {
		r.refuseOnce(spec.where("timeWindow"), "must be a list of exactly one window")
		return
	}
	m := r.open(windows[0].node, windows[0].at, spec.lined)
	if m == nil {
		return
	}
	duration, at, _ := m.duration("duration")
	if duration == 0 {
		r.refuseOnce(at, "is missing or zero")
	} else {
		s.window = duration
	}
	aligned := m.has("calendar")
	if calendar := m.child("calendar"); calendar != nil {
		s.calendar = calendar.calendar()
		if text, _ := m.text("duration", maxName); duration > 0 && s.calendar != nil {
			var ok bool
			if s.calendar.Count, s.calendar.Unit, ok = parsePeriod(text); !ok {
				r.refuse(at, "%q is no part of a calendar: write a whole number and one of d, w, M, Q, Y, such as 1M", text)
			}
		}
	}
	switch rolling, at := m.boolean("isRolling", !aligned); {
	case rolling && aligned:
		r.refuse(at, "must be false beside calendar: a window that rolls has no calendar")
	case !rolling && !aligned:
		r.refuse(at, "must be true without calendar: it says when windows that do not roll begin")
	}
	m.done()
}

// parsePeriod reads in which unit of a calendar, and how many of it, a valid duration is. It is false if that has none.
func parsePeriod(duration string) (count int, unit Unit, ok bool) {
	units := map[byte]struct {
		unit  Unit
		times int
	}{'d': {Day, 1}, 'w': {Day, 7}, 'M': {Month, 1}, 'Q': {Month, 3}, 'Y': {Year, 1}}
	last := len(duration) - 1
	of, ok := units[duration[last]]
	if !ok {
		return 0, 0, false
	}
	count, err := strconv.Atoi(duration[:last])
	return count * of.times, of.unit, err == nil
}

// calendar reads when the windows begin. It is nil if that can't be said.
func (m *mapping) calendar() *Calendar {
	zone, zoneAt := m.text("timeZone", maxName)
	var place *time.Location
	switch {
	case zone == "":
		m.refuseOnce(zoneAt, "is missing: a name of the IANA Time Zone Database, such as Europe/Zurich or UTC")
	case zone == "Local":
		m.refuse(zoneAt, "must be a name of the IANA Time Zone Database: each machine has another local time")
	default:
		var err error
		if place, err = time.LoadLocation(zone); err != nil {
			m.refuse(zoneAt, "%q is no name of the IANA Time Zone Database", shorten(zone))
		}
	}
	text, at := m.text("startTime", maxName)
	if text == "" {
		m.refuseOnce(at, "is missing: when one of the windows begins, such as 2026-01-01 00:00:00")
	}
	m.done()
	if text == "" || place == nil {
		return nil
	}
	start, ok := parseLocal(text, place, m.lined)
	if !ok {
		m.refuse(at, "%q is no date with a time and without a zone, such as 2026-01-01 00:00:00", shorten(text))
		return nil
	}
	if err := checkYear(start); err != nil {
		m.refuse(at, "%s", err)
		return nil
	}
	return &Calendar{Start: start}
}

// parseLocal reads a time that has no zone. What reads the collector's configuration makes of it one in UTC.
func parseLocal(text string, place *time.Location, lined bool) (time.Time, bool) {
	layouts := []string{time.DateTime, time.DateOnly}
	if !lined {
		layouts = append(layouts, "2006-01-02T15:04:05Z")
	}
	for _, layout := range layouts {
		if start, err := time.ParseInLocation(layout, text, place); err == nil {
			return start, true
		}
	}
	return time.Time{}, false
}

func checkYear(at time.Time) error {
	if year := at.Year(); year < firstYear || year > lastYear {
		return fmt.Errorf("the year %d is not between %d and %d", year, firstYear, lastYear)
	}
	return nil
}

// maintenance reads intervals of RFC 3339 times, from/to, with commas or line ends between them. They come in their order, and
// those that touch are one.
func (m *mapping) maintenance(key string) []Interval {
	const longest = 10_000
	text, at := m.text(key, longest)
	words := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == '\n' })
	var intervals []Interval
	for _, word := range words {
		if word = strings.TrimSpace(word); word == "" {
			continue
		}
		interval, err := parseInterval(word)
		if err != nil {
			m.refuse(at, "%s", err)
			continue
		}
		intervals = append(intervals, interval)
	}
	switch {
	case len(intervals) == 0:
		m.refuseOnce(at, "is empty")
	case len(intervals) > maxIntervals:
		m.refuse(at, "has %d intervals, and %d at most are possible", len(intervals), maxIntervals)
	}
	return merged(intervals)
}

func parseInterval(text string) (Interval, error) {
	from, to, _ := strings.Cut(text, "/")
	var interval Interval
	for _, side := range []struct {
		text string
		at   *time.Time
	}{{from, &interval.From}, {to, &interval.To}} {
		at, err := time.Parse(time.RFC3339, strings.TrimSpace(side.text))
		if err != nil {
			const example = "2026-01-31T22:00:00Z/2026-02-01T02:00:00Z"
			return Interval{}, fmt.Errorf("%q is no interval of two times, such as %s", shorten(text), example)
		}
		if err := checkYear(at); err != nil {
			return Interval{}, err
		}
		*side.at = at.UTC()
	}
	if !interval.From.Before(interval.To) {
		return Interval{}, fmt.Errorf("%q does not end after it begins", shorten(text))
	}
	return interval, nil
}
