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
	slack      burn.Slack
	accounts   map[Key]*account
	refused    uint64
}

type account struct {
	meter  *burn.Meter
	alerts []burn.Alert
	total  burn.Count
	// rest is the part of sampled counts that is less than an event, so that rounding does not add up.
	rest [2]float64
}

// skew is by how much clocks of hosts may be ahead of the present, over and above what the windows trail behind it. What is
// let in with such a time must have room beside what is still asked for.
const skew = time.Minute

// mostEvents bounds what one event stands for, far above every sampling that makes sense, so that sums stay in range.
const mostEvents = 1 << 32

// New returns an empty ledger.
func New(objectives []openslo.Objective, slack burn.Slack) *Ledger {
	slack.Ahead += skew
	return &Ledger{objectives: objectives, slack: slack, accounts: map[Key]*account{}}
}

// Add counts an event that stands for count events, at a time in nanoseconds since the epoch. It is false if that came too
// late, or if count is no number that a sampled event could stand for; then nothing changes but the number of refusals.
func (l *Ledger) Add(key Key, at int64, good bool, count float64) bool {
	if !(count >= 0 && count <= mostEvents) { // NaN is neither
		l.refused++
		return false
	}
	a := l.account(key)
	side := 0
	if !good {
		side = 1
	}
	whole := math.Floor(count + a.rest[side])
	c := burn.Count{Good: uint64(whole)}
	if !good {
		c = burn.Count{Bad: uint64(whole)}
	}
	if !a.meter.Add(at, c) {
		l.refused++
		return false
	}
	a.rest[side] += count - whole
	a.total.Good += c.Good
	a.total.Bad += c.Bad
	return true
}

// Refused is the number of events that were not counted.
func (l *Ledger) Refused() uint64 { return l.refused }

func (l *Ledger) account(key Key) *account {
	a := l.accounts[key]
	if a == nil {
		o := &l.objectives[key.Objective]
		a = &account{meter: burn.NewMeter(l.slack, windows(o)...), alerts: make([]burn.Alert, len(o.Conditions))}
		l.accounts[key] = a
	}
	return a
}

func windows(o *openslo.Objective) []time.Duration {
	all := []time.Duration{o.Window}
	for _, c := range o.Conditions {
		all = append(all, c.Long, c.Short)
	}
	return all
}

// Transition is a burn that starts or is resolved.
type Transition struct {
	Key
	// Condition is the index of the objective's alert condition.
	Condition int
	Started   bool
	// Onset is in nanoseconds since the epoch.
	Onset               int64
	LongRate, ShortRate float64
	Reading             Reading
}

// Evaluate looks at all windows that end now and returns what changed. Of the conditions of one severity, only the first
// to start and the last to be resolved are returned: to whom it is announced, it is one burn. They are in the order of their
// onset, and then of the documents.
func (l *Ledger) Evaluate(now int64) []Transition {
	var transitions []Transition
	for key, a := range l.accounts {
		o := &l.objectives[key.Objective]
		for i := range o.Conditions {
			before := a.firing(o, o.Conditions[i].Severity)
			switch a.alerts[i].Step(condition(&o.Conditions[i]), a.meter, now, o.Target) {
			case burn.Unchanged:
				continue
			case burn.Started:
				if before {
					continue
				}
			case burn.Resolved:
				if a.firing(o, o.Conditions[i].Severity) {
					continue
				}
			}
			t := Transition{Key: key, Condition: i, Started: a.alerts[i].Firing, Onset: a.alerts[i].Onset, Reading: l.read(key, a, now)}
			t.LongRate, _ = a.meter.Sum(o.Conditions[i].Long, now).Rate(o.Target)
			t.ShortRate, _ = a.meter.Sum(o.Conditions[i].Short, now).Rate(o.Target)
			t.Reading.Exhaustion = exhaustion(t.Reading.Remaining, o.Window, t.LongRate)
			transitions = append(transitions, t)
		}
	}
	slices.SortFunc(transitions, func(a, b Transition) int {
		return cmp.Or(cmp.Compare(a.Onset, b.Onset), cmp.Compare(a.Objective, b.Objective), cmp.Compare(a.Group, b.Group),
			cmp.Compare(a.Condition, b.Condition))
	})
	return transitions
}

func condition(a *openslo.Alert) burn.Condition {
	return burn.Condition{Long: a.Long, Short: a.Short, Rate: a.BurnRate, Above: a.Above, After: a.After}
}

func (a *account) firing(o *openslo.Objective, severity string) bool {
	for i := range a.alerts {
		if a.alerts[i].Firing && o.Conditions[i].Severity == severity {
			return true
		}
	}
	return false
}

// Reading is where an account stands.
type Reading struct {
	Key
	// Total counts since the start.
	Total burn.Count
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

// Each calls f with where each account stands now, in no particular order.
func (l *Ledger) Each(now int64, f func(Reading)) {
	for key, a := range l.accounts {
		f(l.read(key, a, now))
	}
}

func (l *Ledger) read(key Key, a *account, now int64) Reading {
	o := &l.objectives[key.Objective]
	r := Reading{Key: key, Total: a.total, Coverage: a.meter.Coverage(o.Window, now), Exhaustion: math.Inf(1)}
	if rate, ok := a.meter.Sum(o.Window, now).Rate(o.Target); ok {
		r.Known, r.Remaining = true, 1-rate
	}
	add := func(window time.Duration) {
		if !slices.ContainsFunc(r.Rates, func(has Rate) bool { return has.Window == window }) {
			rate, ok := a.meter.Sum(window, now).Rate(o.Target)
			r.Rates = append(r.Rates, Rate{window, rate, ok})
		}
	}
	for i := range o.Conditions {
		c := &o.Conditions[i]
		add(c.Long)
		add(c.Short)
		if !slices.ContainsFunc(r.Firing, func(has Firing) bool { return has.Severity == c.Severity }) {
			r.Firing = append(r.Firing, Firing{c.Severity, a.firing(o, c.Severity)})
		}
	}
	if r.Known && len(r.Rates) > 0 && r.Rates[0].Known {
		r.Exhaustion = exhaustion(r.Remaining, o.Window, r.Rates[0].Burn)
	}
	return r
}

// exhaustion is in how many seconds the rest of a budget is gone: at a burn rate of one, a whole budget lasts for a whole
// window. What lasts for more than ten windows lasts.
func exhaustion(remaining float64, window time.Duration, rate float64) float64 {
	seconds := max(0, remaining) * window.Seconds() / rate
	if rate <= 0 || seconds > 10*window.Seconds() {
		return math.Inf(1)
	}
	return seconds
}
