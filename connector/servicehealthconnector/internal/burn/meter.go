// Package burn is the arithmetic of error budgets: integer counts by bucket of event time, sums over windows, burn rates,
// and when an alert begins and ends. Time is an argument everywhere; nothing here is safe for concurrent use.
package burn

import (
	"math"
	"slices"
	"time"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/snapshot"
)

const (
	// buckets is how many buckets a window has, if it is long enough: a window's edge is exact to a sixtieth of it.
	buckets = 60
	// finest is the shortest bucket. Senders' clocks are hardly better.
	finest = time.Second
	// whole is 1 as a target is divided: what it allows is a whole number of parts of this, so that it needs no rounding.
	whole = 1_000_000_000
)

// Count is a number of good and of bad events, or slices.
type Count struct{ Good, Bad uint64 }

// Total is the number of all events.
func (c Count) Total() uint64 { return c.Good + c.Bad }

// Rate is the burn rate of the count for a target of at most nine decimals: the share of bad events, divided by the share that
// the target allows. It is false if there are no events: no data is never good. It is for people and for gauges; whether a
// threshold is reached is decided without rounding.
func (c Count) Rate(target float64) (float64, bool) {
	if c.Total() == 0 {
		return 0, false
	}
	return float64(c.Bad) * whole / (float64(c.Total()) * float64(allowed(target))), true
}

// allowed is the share of events that may be bad, in parts of whole. 1 − 0.99 is a little more than 0.01 in floating point,
// and a burn at exactly the threshold would be missed.
func allowed(target float64) uint64 { return uint64(math.Round((1 - target) * whole)) }

// Slack is by how much events may be out of step.
type Slack struct {
	// Late is by how much an event may be older than the present.
	Late time.Duration
	// Ahead is by how much events may be later than the time for which windows are asked. An event beyond pushes out of the
	// windows what is still asked for.
	Ahead time.Duration
}

// Plan says what is counted.
type Plan struct {
	Slack
	// Windows roll. Budget is one of them, unless Period is there.
	Windows []time.Duration
	// Budget is the window of the error budget, or how long one of the calendar's typically is.
	Budget time.Duration
	// Period returns the window of the calendar that a time is in, which begins and ends at whole seconds; nil if the
	// budget's window rolls.
	Period func(time.Time) (from, to time.Time)
	// Slices count in place of events, if they have a length.
	Slices Slices
	// Maintenance are times that do not count.
	Maintenance []Interval
}

// Form is what meters of one plan have in common. It does not change.
type Form struct {
	plan        Plan
	shapes      []shape
	maintenance maintenance
	// open is how many slices may still change.
	open int
}

// NewForm returns the form of a plan.
func NewForm(p Plan) *Form {
	f := &Form{plan: p, maintenance: newMaintenance(p.Maintenance)}
	for _, window := range p.Windows {
		if !slices.ContainsFunc(f.shapes, func(s shape) bool { return s.window == window }) {
			f.shapes = append(f.shapes, newShape(window, p.Ahead, p.Slices.Length))
		}
	}
	if p.Slices.Length > 0 {
		f.open = int(min(maxSlices, (p.Late+p.Ahead)/p.Slices.Length+2))
	}
	return f
}

// IsMaintenance says whether a time in nanoseconds since the epoch does not count.
func (f *Form) IsMaintenance(at int64) bool { return f.maintenance.has(at) }

// Open is how much of the time from from to to counts.
func (f *Form) Open(from, to int64) time.Duration { return time.Duration(f.maintenance.open(from, to)) }

// Meter counts events into the windows of its form.
type Meter struct {
	form *Form
	// rings have what the budget is about, events or slices; events are the events where it is about slices.
	rings, events []ring
	open          open
	periods       *periods
	latest        int64
	// pending are events that are in no ring yet: those from time from until before to, which is a stretch in which no ring
	// begins a bucket. Events come by the thousand in each, and so cost one addition in place of one for each ring.
	pending  Count
	from, to int64
}

// NewMeter returns a meter of a form.
func NewMeter(f *Form) *Meter {
	m := &Meter{form: f, rings: newRings(f)}
	if f.plan.Slices.Length > 0 {
		m.events = newRings(f)
	}
	if f.plan.Period != nil {
		m.periods = &periods{}
	}
	return m
}

func newRings(f *Form) []ring {
	rings := make([]ring, len(f.shapes))
	for i := range rings {
		rings[i] = newRing(&f.shapes[i])
	}
	return rings
}

// Step is the longest time in nanoseconds, a second at the most, such that all buckets of meters for the given windows begin at
// multiples of it, and so do slices, periods and maintenance. Events between two multiples may be added as one.
func Step(windows ...time.Duration) int64 {
	step := int64(finest)
	for _, window := range windows {
		for width := int64(max(window/buckets, finest)); width != 0; {
			step, width = width, step%width
		}
	}
	return step
}

// Add counts events at a time in nanoseconds since the epoch, which is not negative. It is false in maintenance, when nothing counts.
func (m *Meter) Add(at int64, c Count) bool {
	if m.form.maintenance.has(at) {
		return false
	}
	m.latest = max(m.latest, at)
	if at < m.from || at >= m.to {
		m.settle()
		m.from, m.to = m.stretch(at)
	}
	m.pending.Good += c.Good
	m.pending.Bad += c.Bad
	return true
}

// Latest is the time of the latest event; 0 if there was none.
func (m *Meter) Latest() int64 { return m.latest }

// stretch is the longest time around at in which nothing begins.
func (m *Meter) stretch(at int64) (from, to int64) {
	from, to = 0, math.MaxInt64
	narrow := func(width int64) {
		start := at / width * width
		from, to = max(from, start), min(to, start+width)
	}
	for i := range m.form.shapes {
		narrow(m.form.shapes[i].width)
	}
	if length := int64(m.form.plan.Slices.Length); length > 0 {
		narrow(length)
	}
	if m.periods == nil {
		return from, to
	}
	if p := m.periods.of(at, m.form); p != nil {
		_, start, end := p.bucket(at)
		return max(from, start), min(to, end)
	}
	return max(from, at/int64(finest)*int64(finest)), min(to, (at/int64(finest)+1)*int64(finest))
}

// settle moves the pending events to where they belong.
func (m *Meter) settle() {
	c := m.pending
	if c == (Count{}) {
		return
	}
	m.pending = Count{}
	length := int64(m.form.plan.Slices.Length)
	if length == 0 {
		m.change(m.from, Count{}, c)
		return
	}
	for i := range m.events {
		m.events[i].change(m.from, Count{}, c)
	}
	if left := m.open.add(m.from/length, c, m.form.open); left.events != (Count{}) {
		m.judge(&left)
	}
}

// change puts events, or slices, into all windows in place of others.
func (m *Meter) change(at int64, less, more Count) {
	for i := range m.rings {
		m.rings[i].change(at, less, more)
	}
	if m.periods != nil {
		if p := m.periods.of(at, m.form); p != nil {
			p.change(at, less, more)
		}
	}
}

// judge makes a slice count what its events say.
func (m *Meter) judge(s *slice) {
	if is := m.form.plan.Slices.judge(s.events); is != s.told {
		m.change(s.number*int64(m.form.plan.Slices.Length), s.told, is)
		s.told = is
	}
}

// end brings everything up to now, and returns the time at which windows end: now, or the end of the last slice that is over by
// now, since nobody can say of the present one what it will be. From one call to the next time must not go back.
func (m *Meter) end(now int64) int64 {
	m.settle()
	length := int64(m.form.plan.Slices.Length)
	if length == 0 {
		return now
	}
	over := now / length
	if over > m.open.judged || m.open.changed {
		for i := range m.open.slices {
			if s := &m.open.slices[i]; s.number < over {
				m.judge(s)
			}
		}
		m.open.judged, m.open.changed = over, false
	}
	return over*length - 1
}

// Sum is the count over a window that the meter was made for and that ends now: over the bucket of now, which may still
// fill, and as many whole ones before it as the window has room for. So it spans between 59 and 60 sixtieths of a window of
// a minute or more.
func (m *Meter) Sum(window time.Duration, now int64) Count {
	r := find(m.rings, window)
	r.move(m.end(now))
	return r.sum
}

// Events is the count of events over such a window, also where Sum counts slices.
func (m *Meter) Events(window time.Duration, now int64) Count {
	if m.events == nil {
		return m.Sum(window, now)
	}
	r := find(m.events, window)
	r.move(m.end(now))
	return r.sum
}

// Coverage is the share of the window that was measured, from 0 to 1: of its buckets, those that have any event. What is
// maintenance is no part of the window; a window that is nothing else misses nothing.
func (m *Meter) Coverage(window time.Duration, now int64) float64 {
	r, end := find(m.rings, window), m.end(now)
	r.move(end)
	if len(m.form.maintenance) == 0 {
		return float64(r.measured) / float64(r.size)
	}
	first := r.first(end)
	measured := int64(0)
	r.each(end, func(start int64, c Count) {
		if c != (Count{}) {
			measured += m.form.maintenance.open(start, start+r.width)
		}
	})
	return share(measured, m.form.maintenance.open(first, first+r.size*r.width))
}

func share(part, of int64) float64 {
	if of <= 0 {
		return 1
	}
	return float64(part) / float64(of)
}

// Budget is where an error budget stands.
type Budget struct {
	Count
	// Coverage is the share of the window that was measured, or of a calendar's window so far.
	Coverage float64
	// Elapsed and Length are in nanoseconds; of a rolling window all has gone by.
	Elapsed, Length int64
}

// Budget is what counts by now in the budget's window: a rolling one, or the calendar's present one up to now.
func (m *Meter) Budget(now int64) Budget {
	if m.periods == nil {
		window := m.form.plan.Budget
		return Budget{m.Sum(window, now), m.Coverage(window, now), int64(window), int64(window)}
	}
	end := m.end(now)
	p := m.periods.of(now, m.form)
	if p == nil {
		return Budget{Length: int64(m.form.plan.Budget)}
	}
	b := p.budget(max(p.from, end), m.form.maintenance)
	b.Elapsed = now - p.from
	return b
}

// OfOne is the burn rate that a single bad event, or slice, makes of a count.
func (m *Meter) OfOne(c Count, target float64) float64 {
	rate, _ := Count{Bad: m.form.plan.Slices.unit(), Good: c.Total() - min(c.Total(), m.form.plan.Slices.unit())}.Rate(target)
	return rate
}

// isPartial says whether less of the short window was measured than half of what usually is: than half of the share of the long
// window's buckets that were. It looks at the long window's buckets, of which the short one of the default alerts has five. So of a busy
// service three of them are asked for, and of one with a request now and then a single one.
func (m *Meter) isPartial(c Condition, now int64) bool {
	long, end := find(m.rings, c.Long), m.end(now)
	long.move(end)
	var have, room int64
	for number := end / long.width; number >= (end-int64(c.Short))/long.width && number > end/long.width-long.size; number-- {
		if m.form.maintenance.open(number*long.width, (number+1)*long.width) == 0 {
			continue
		}
		room++
		if long.get(number) != (Count{}) {
			have++
		}
	}
	// The first and the last bucket are not whole, so that there is one more than fit.
	return 2*have*long.size < long.measured*min(room, max(1, int64(c.Short)/long.width))
}

// IsRegular says whether at least nine tenths of the long window's buckets before the short window were measured, so that it would
// be a strange chance if there was nothing in the short window.
func (m *Meter) IsRegular(c Condition, now int64) bool {
	r, end := find(m.rings, c.Long), m.end(now)
	last := (end - int64(c.Short)) / r.width
	var have, room int64
	for number := last - 1; number > end/r.width-r.size; number-- {
		if m.form.maintenance.open(number*r.width, (number+1)*r.width) == 0 {
			continue
		}
		room++
		if r.get(number) != (Count{}) {
			have++
		}
	}
	return room > 0 && 10*have >= 9*room
}

// oldest is the start of the first bucket of the window that has any event; now if none has.
func (m *Meter) oldest(window time.Duration, now int64) int64 {
	oldest := now
	find(m.rings, window).each(m.end(now), func(start int64, n Count) {
		if n != (Count{}) {
			oldest = start
		}
	})
	return oldest
}

// onset is the start, in nanoseconds since the epoch, of the first bucket of the burn that a condition finds now; or now if no
// bucket burns by itself. Seen backwards, a burn begins where the buckets before it have been calm for as long as the short
// window is, which is also what ends an alert; without this, a mishap at the far end of the long window would be taken for
// the beginning. It is exact to a bucket of the short window as far as that reaches, else to one of the long window.
func (m *Meter) onset(c Condition, now int64, target float64) int64 {
	end := m.end(now)
	long, short := find(m.rings, c.Long), find(m.rings, c.Short)
	onset, calm := now, int64(0)
	long.each(end, func(start int64, n Count) {
		switch {
		case n.Total() == 0 || calm >= int64(c.Short) && onset != now:
		case c.reached(n, target):
			onset, calm = start, 0
		default:
			calm += long.width
		}
	})
	if onset == now || short.width >= long.width || short.first(end) > onset {
		return onset
	}
	coarse := onset
	short.each(end, func(start int64, n Count) {
		if start >= coarse && start < coarse+long.width && n.Total() > 0 && c.reached(n, target) {
			onset = start
		}
	})
	return onset
}

// find returns the ring of a window.
func find(rings []ring, window time.Duration) *ring {
	for i := range rings {
		if rings[i].window == window {
			return &rings[i]
		}
	}
	panic("burn: the meter was not made for a window of " + window.String())
}

// Put appends all that was counted.
func (m *Meter) Put(b []byte) []byte {
	m.settle()
	b = snapshot.Uint(b, uint64(m.latest))
	for _, rings := range [][]ring{m.rings, m.events} {
		b = snapshot.Uint(b, uint64(len(rings)))
		for i := range rings {
			b = rings[i].put(b)
		}
	}
	b = m.open.put(b)
	b = snapshot.Bool(b, m.periods != nil)
	if m.periods != nil {
		b = m.periods.put(b)
	}
	return b
}

// Take reads what was put, into a meter that has counted nothing yet. What belongs to windows that it has not is left out, and so
// is what would be of a time later than latest: the clock was set back since.
func (m *Meter) Take(r *snapshot.Reader, latest int64) {
	m.latest = min(r.Time(), latest)
	for _, rings := range [][]ring{m.rings, m.events} {
		for range r.Len() {
			takeRing(r, rings, latest)
		}
	}
	slice := int64(math.MaxInt64)
	if length := int64(m.form.plan.Slices.Length); length > 0 {
		slice = latest / length
	}
	m.open.take(r, m.form.open, slice)
	if !r.Bool() {
		return
	}
	p := m.periods
	if p == nil {
		p = &periods{}
	}
	p.take(r, m.form, latest)
}
