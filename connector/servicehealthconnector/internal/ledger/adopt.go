package ledger

import (
	"cmp"
	"maps"
	"slices"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/burn"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/openslo"
)

// Withdrawn is a burn that goes on as far as is known, and that nobody looks at any more.
type Withdrawn struct {
	Key
	// Condition is the index of a condition of the former objective that fired.
	Condition int
	// Onset is in nanoseconds since the epoch.
	Onset   int64
	Reading Reading
}

// Adopt makes other objectives those of the ledger. Of one that counts the same under the same number the accounts stay: windows
// keep what they have counted, and conditions that did not change the state that they are in. All other accounts are closed. now
// is when the windows end.
//
// It returns the burns that are withdrawn with their condition or objective, one for each severity of an account, in the order of
// their accounts.
func (l *Ledger) Adopt(objectives []openslo.Objective, now int64) []Withdrawn {
	var withdrawn []Withdrawn
	for _, key := range l.keys() {
		a, was := l.accounts[key], &l.objectives[key.Objective]
		reading := l.read(key, a, now)
		alerts := a.alerts
		stays := key.Objective < uint32(len(objectives)) && objectives[key.Objective].Identity() == was.Identity()
		if stays {
			becomes := &objectives[key.Objective]
			a.alerts = successors(was, becomes, alerts)
			a.meter.Refit(l.slack, windows(becomes)...)
		} else {
			delete(l.accounts, key)
		}
		told := map[string]bool{}
		for i := range alerts {
			severity := was.Conditions[i].Severity
			if !alerts[i].Firing || told[severity] || stays && a.firing(&objectives[key.Objective], severity) {
				continue
			}
			told[severity] = true
			withdrawn = append(withdrawn, Withdrawn{Key: key, Condition: i, Onset: alerts[i].Onset, Reading: reading})
		}
	}
	l.objectives = objectives
	return withdrawn
}

// successors are the states of the conditions that an objective has become, each that of the same condition before.
func successors(was, becomes *openslo.Objective, states []burn.Alert) []burn.Alert {
	next := make([]burn.Alert, len(becomes.Conditions))
	for i := range becomes.Conditions {
		c := &becomes.Conditions[i]
		had := slices.IndexFunc(was.Conditions, func(w openslo.Alert) bool {
			return w.Severity == c.Severity && condition(&w) == condition(c)
		})
		if had >= 0 {
			next[i] = states[had]
		}
	}
	return next
}

// keys are those of all accounts, in their order.
func (l *Ledger) keys() []Key {
	return slices.SortedFunc(maps.Keys(l.accounts), func(a, b Key) int {
		return cmp.Or(cmp.Compare(a.Objective, b.Objective), cmp.Compare(a.Group, b.Group))
	})
}
