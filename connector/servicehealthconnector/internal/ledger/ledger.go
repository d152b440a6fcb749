// Package ledger is the one owner of what objectives have counted: a meter and alerts for each objective and group.
package ledger

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/burn"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/openslo"
)

// Key names an account.
type Key struct{ Objective, Group uint32 }

// Ledger is not safe for concurrent use.
type Ledger struct {
	objectives []openslo.Objective
	plans      []plan
	slack      burn.Slack
	// ahead is by how much what is counted runs ahead of the windows that are asked for.
	ahead    int64
	accounts map[Key]*account
	// inOrder are the accounts in the order in which they were opened.
	inOrder []*account
	refused uint64
	// present is the latest time that was told, in nanoseconds since the epoch; 0 before that.
	present int64
	// since is when accounts that are opened from now on began.
	since int64
}

// plan is what the accounts of one objective have in common.
type plan struct {
	form       *burn.Form
	conditions []burn.Condition
	severities []severity
	// longest is the longest window of any alert.
	longest int64
	// watched says that somebody wants to be told when there is no data.
	watched bool
}

// severity is to whom burns are announced. The conditions of one severity are indices.
type severity struct {
	name       string
	conditions []int
	// end is a condition whose policy wants to be told that a burn is over, if there is one.
	end int
	// silence is the condition by whose windows it is told that there is no data; -1 if nobody wants to be told.
	silence int
}

type account struct {
	Key
	meter    *burn.Meter
	alerts   []burn.Alert
	episodes []episode
	// since is from when on total counts.
	since int64
	total burn.Count
	// began is the first time for which windows were asked since the account was opened; 0 before that.
	began int64
	// rest is the part of sampled counts that is less than an event, so that rounding does not add up.
	rest [2]float64
	// changed says that something is otherwise than when the account was last put.
	changed bool
	// rests says that all of its alerts stand still, since there is nothing in any of their windows.
	rests bool
}

// episode is the burn of one severity that was announced and is not resolved yet, and the silence that was.
type episode struct {
	firing bool
	onset  int64
	// interruptions is how often the burn paused.
	interruptions uint64
	silent        bool
	// since is the time of the last event before the silence.
	since int64
}

// skew is by how much clocks of hosts may be ahead of the present, over and above what the windows trail behind it. What is
// let in with such a time must have room beside what is still asked for.
const skew = time.Minute

// mostEvents bounds what is added at once, far above every sampling and every traffic that makes sense, so that sums stay in range.
const mostEvents = 1 << 32

// rounding is by how much parts of events may fall short of a whole one because they are not exact: ten tenths are an event.
const rounding = 1e-9

// New returns an empty ledger. What is counted runs ahead of what is evaluated by the slack's Ahead.
func New(objectives []openslo.Objective, slack burn.Slack) *Ledger {
	l := &Ledger{objectives: objectives, slack: slack, ahead: int64(slack.Ahead), accounts: map[Key]*account{}}
	l.slack.Ahead += skew
	for i := range objectives {
		l.plans = append(l.plans, newPlan(&objectives[i], l.slack))
	}
	return l
}

func newPlan(o *openslo.Objective, slack burn.Slack) plan {
	of := burn.Plan{Slack: slack, Budget: o.Window, Slices: burn.Slices(o.Slices)}
	if o.Calendar == nil {
		of.Windows = append(of.Windows, o.Window)
	} else {
		of.Period = o.Calendar.Period
	}
	for _, i := range o.Maintenance {
		of.Maintenance = append(of.Maintenance, burn.Interval{From: i.From.UnixNano(), To: i.To.UnixNano()})
	}
	var p plan
	for i := range o.Conditions {
		c := &o.Conditions[i]
		of.Windows = append(of.Windows, c.Long, c.Short)
		p.longest = max(p.longest, int64(c.Long))
		p.conditions = append(p.conditions, burn.Condition{
			Long: c.Long, Short: c.Short, Rate: c.BurnRate, Above: c.Above, After: c.After,
			LeastEvents: cmp.Or(c.LeastEvents, o.LeastEvents),
		})
		at := slices.IndexFunc(p.severities, func(s severity) bool { return s.name == c.Severity })
		if at < 0 {
			at = len(p.severities)
			p.severities = append(p.severities, severity{name: c.Severity, end: i, silence: -1})
		}
		s := &p.severities[at]
		s.conditions = append(s.conditions, i)
		if c.AnnounceResolved && !o.Conditions[s.end].AnnounceResolved {
			s.end = i
		}
		if c.AnnounceNoData && (s.silence < 0 || c.Long < o.Conditions[s.silence].Long) {
			s.silence, p.watched = i, true
		}
	}
	p.form = burn.NewForm(of)
	return p
}

// Begin says from when on accounts count that are opened after this, in nanoseconds since the epoch.
func (l *Ledger) Begin(now int64) { l.since = now }

// Add counts an event that stands for count events, at a time in nanoseconds since the epoch. It is false if that came too
// late, or if count is no number that a sampled event could stand for; then nothing changes but the number of refusals. It is also false
// in maintenance.
func (l *Ledger) Add(key Key, at int64, good bool, count float64) bool {
	if !(count >= 0 && count <= mostEvents) { // NaN is neither
		l.refused++
		return false
	}
	if l.isLate(at) {
		l.refused += uint64(math.Ceil(count - rounding))
		return false
	}
	a := l.account(key)
	side := 0
	if !good {
		side = 1
	}
	whole := max(0, math.Floor(count+a.rest[side]+rounding))
	c := burn.Count{Good: uint64(whole)}
	if !good {
		c = burn.Count{Bad: uint64(whole)}
	}
	if !a.add(at, c) {
		return false
	}
	a.rest[side] += count - whole
	return true
}

// AddCounts counts many events of one time as Add does. It is false if that came too late, or if there are more than one
// could believe; and in maintenance. Who calls it sees to it that no time is further ahead of the present than clocks may be.
func (l *Ledger) AddCounts(key Key, at int64, good, bad uint64) bool {
	if good > mostEvents || bad > mostEvents {
		l.refused++
		return false
	}
	if l.isLate(at) {
		l.refused += good + bad
		return false
	}
	return l.account(key).add(at, burn.Count{Good: good, Bad: bad})
}

// isLate compares with the present, not with the latest event: one clock that is ahead would shut out all others.
func (l *Ledger) isLate(at int64) bool { return at < max(0, l.present-int64(l.slack.Late)) }

func (a *account) add(at int64, c burn.Count) bool {
	if !a.meter.Add(at, c) {
		return false
	}
	a.total.Good += c.Good
	a.total.Bad += c.Bad
	a.changed, a.rests = true, false
	return true
}

// Refused is the number of events that were not counted. What is no count is one.
func (l *Ledger) Refused() uint64 { return l.refused }

func (l *Ledger) account(key Key) *account {
	a := l.accounts[key]
	if a == nil {
		a = l.newAccount(key)
		l.open(a)
	}
	return a
}

func (l *Ledger) newAccount(key Key) *account {
	p := &l.plans[key.Objective]
	return &account{
		Key: key, meter: burn.NewMeter(p.form), alerts: make([]burn.Alert, len(p.conditions)), episodes: make([]episode, len(p.severities)),
		since: l.since,
	}
}

func (l *Ledger) open(a *account) {
	l.accounts[a.Key] = a
	l.inOrder = append(l.inOrder, a)
}

// Kind is what is announced.
type Kind uint8

// The kinds.
const (
	Started Kind = iota
	Resolved
	// DataMissing is that nothing is measured any more, DataBack that something is again.
	DataMissing
	DataBack
)

// Transition is something to be announced.
type Transition struct {
	Key
	Kind
	// Condition is the index of the objective's alert condition.
	Condition int
	// Onset is in nanoseconds since the epoch: of a burn, or of the last event before there was no more data.
	Onset               int64
	LongRate, ShortRate float64
	// OfOne is the burn rate over the long window that one event, or slice, makes alone.
	OfOne float64
	// Interruptions is how often the burn that is resolved had paused.
	Interruptions uint64
	Reading       Reading
}

// Evaluate looks at all windows that end now and returns what changed. Of the conditions of one severity, only that the first
// starts and the last is resolved is returned: to whom it is announced, it is one burn. Its end has a condition whose policy wants to
// be told of it, if one does. They are in the order of their onset, and then of the documents. From one call to the next time must
// not go back.
func (l *Ledger) Evaluate(now int64) []Transition {
	l.present = max(l.present, now+l.ahead)
	var transitions []Transition
	for _, a := range l.inOrder {
		if a.rests {
			continue
		}
		a.began = cmp.Or(a.began, now)
		p := &l.plans[a.Objective]
		for i := range p.severities {
			transitions = append(transitions, l.burn(a, i, now)...)
			if p.severities[i].silence >= 0 {
				transitions = append(transitions, l.silence(a, i, now)...)
			}
		}
		// What is older than twice the longest window is in none of them, however their buckets lie. Silence is told long before.
		a.rests = !p.watched && a.meter.Latest() < now-2*p.longest && !a.fires()
	}
	slices.SortFunc(transitions, func(a, b Transition) int {
		return cmp.Or(cmp.Compare(a.Onset, b.Onset), cmp.Compare(a.Objective, b.Objective), cmp.Compare(a.Group, b.Group),
			cmp.Compare(a.Condition, b.Condition), cmp.Compare(a.Kind, b.Kind))
	})
	return transitions
}

// burn looks at the conditions of one severity.
func (l *Ledger) burn(a *account, index int, now int64) []Transition {
	o, p := &l.objectives[a.Objective], &l.plans[a.Objective]
	s, e := &p.severities[index], &a.episodes[index]
	var transitions []Transition
	firing := false
	for _, i := range s.conditions {
		before := a.alerts[i]
		switch alert := &a.alerts[i]; alert.Step(p.conditions[i], a.meter, now, o.Target) {
		case burn.Started, burn.Resumed:
			switch {
			case !e.firing:
				*e = episode{firing: true, onset: alert.Onset, silent: e.silent, since: e.since}
				transitions = append(transitions, l.transition(a, Started, i, now))
			case !s.burns(a, i):
				e.interruptions++
			}
		case burn.Resolved, burn.Paused, burn.Unchanged:
		}
		a.changed = a.changed || a.alerts[i] != before
		firing = firing || a.alerts[i].Firing
	}
	// Conditions may also have gone with the documents.
	if e.firing && !firing {
		e.firing, a.changed = false, true
		transitions = append(transitions, l.transition(a, Resolved, s.end, now))
	}
	return transitions
}

// burns says whether any condition of the severity but one burns.
func (s *severity) burns(a *account, but int) bool {
	return slices.ContainsFunc(s.conditions, func(i int) bool { return i != but && a.alerts[i].Burns() })
}

func (a *account) fires() bool {
	return slices.ContainsFunc(a.episodes, func(e episode) bool { return e.firing })
}

// silence looks whether there still is any data. There is none if a service that is measured all the time was not for the short
// window, and any other one if it was not for the long window. What went by before the first look, or in maintenance, is no silence.
func (l *Ledger) silence(a *account, index int, now int64) []Transition {
	p := &l.plans[a.Objective]
	i, e := p.severities[index].silence, &a.episodes[index]
	c := p.conditions[i]
	last := a.meter.Latest()
	if e.silent {
		if last <= e.since {
			return nil
		}
		t := l.transition(a, DataBack, i, now)
		e.silent, a.changed = false, true
		return []Transition{t}
	}
	quiet := p.form.Open(max(last, a.began), now)
	if quiet < c.Short || p.form.IsMaintenance(now) || quiet < c.Long && !a.meter.IsRegular(c, now) {
		return nil
	}
	e.silent, e.since, a.changed = true, last, true
	return []Transition{l.transition(a, DataMissing, i, now)}
}

func (l *Ledger) transition(a *account, kind Kind, condition int, now int64) Transition {
	o, p := &l.objectives[a.Objective], &l.plans[a.Objective]
	c := p.conditions[condition]
	e := &a.episodes[slices.IndexFunc(p.severities, func(s severity) bool { return slices.Contains(s.conditions, condition) })]
	t := Transition{
		Key: a.Key, Kind: kind, Condition: condition, Onset: e.onset, Interruptions: e.interruptions, Reading: l.read(a, now),
	}
	if kind == DataMissing || kind == DataBack {
		t.Onset = e.since
	}
	long := a.meter.Sum(c.Long, now)
	t.LongRate, _ = long.Rate(o.Target)
	t.ShortRate, _ = a.meter.Sum(c.Short, now).Rate(o.Target)
	t.OfOne = a.meter.OfOne(long, o.Target)
	t.Reading.Exhaustion = exhaustion(&t.Reading, t.LongRate)
	return t
}

// Reading is where an account stands.
type Reading struct {
	Key
	// Total counts since Since, in nanoseconds since the epoch.
	Total burn.Count
	Since int64
	// Budget is what counts in the objective's window: events or, where it judges them, slices.
	Budget burn.Budget
	// Known says whether the objective's window has any data; if not, the next two mean nothing.
	Known bool
	// Remaining is the share of the error budget that is left: negative when overspent.
	Remaining float64
	// Exhaustion is the time in seconds until the budget is gone at the rate of the first condition's long window; +Inf if
	// it will not be.
	Exhaustion float64
	// Coverage is the share of the objective's window that was measured.
	Coverage float64
	Rates    []Rate
	Firing   []Firing
	// rolls says that the objective's window does.
	rolls bool
}

// Rate is the burn rate over a window.
type Rate struct {
	Window time.Duration
	Burn   float64
	Known  bool
}

// Firing says whether any alert of a severity fires.
type Firing struct {
	Severity string
	Firing   bool
}

// Each calls f with where each account stands now, in the order in which they were opened.
func (l *Ledger) Each(now int64, f func(Reading)) {
	for _, a := range l.inOrder {
		f(l.read(a, now))
	}
}

func (l *Ledger) read(a *account, now int64) Reading {
	o, p := &l.objectives[a.Objective], &l.plans[a.Objective]
	budget := a.meter.Budget(now)
	r := Reading{
		Key: a.Key, Total: a.total, Since: a.since, Budget: budget, Coverage: budget.Coverage, Exhaustion: math.Inf(1),
		rolls: o.Calendar == nil,
	}
	if rate, ok := budget.Rate(o.Target); ok {
		r.Known, r.Remaining = true, 1-rate
	}
	add := func(window time.Duration) {
		if !slices.ContainsFunc(r.Rates, func(has Rate) bool { return has.Window == window }) {
			rate, ok := a.meter.Sum(window, now).Rate(o.Target)
			r.Rates = append(r.Rates, Rate{window, rate, ok})
		}
	}
	for i := range p.conditions {
		add(p.conditions[i].Long)
		add(p.conditions[i].Short)
	}
	for i := range p.severities {
		r.Firing = append(r.Firing, Firing{p.severities[i].name, a.episodes[i].firing})
	}
	if len(r.Rates) > 0 && r.Rates[0].Known {
		r.Exhaustion = exhaustion(&r, r.Rates[0].Burn)
	}
	return r
}

// exhaustion is in how many seconds the rest of a budget is gone.
//
// In a rolling window, a whole budget lasts for a whole window at a burn rate of one. What lasts for more than ten windows lasts.
//
// In a window of the calendar the budget grows with the events, as long as these go on like now: a budget of which the share
// r is left after a time t is gone after r × t / (rate − 1) more. What lasts until the window's end lasts, since the next one has a
// budget of its own.
func exhaustion(r *Reading, rate float64) float64 {
	const second = float64(time.Second)
	left, elapsed, length := max(0, r.Remaining), float64(r.Budget.Elapsed)/second, float64(r.Budget.Length)/second
	seconds, longest := left*length/rate, 10*length
	if !r.rolls {
		seconds, longest = left*elapsed/(rate-1), length-elapsed
		rate--
	}
	if !r.Known || rate <= 0 || seconds > longest {
		return math.Inf(1)
	}
	return seconds
}
