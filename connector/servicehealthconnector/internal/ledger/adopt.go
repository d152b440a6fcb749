package ledger

import (
	"math"
	"slices"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/openslo"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/snapshot"
)

// Withdrawn is a burn, or a silence, that goes on as far as is known, and that nobody looks at any more.
type Withdrawn struct {
	Key
	// Silence says that there was no data.
	Silence bool
	// Condition is the index of a condition of the former objective by which it was announced.
	Condition int
	// Onset is in nanoseconds since the epoch: of the burn, or of the last event.
	Onset         int64
	Interruptions uint64
	Reading       Reading
}

// Closed is an account that is closed, and the state that Take would open it with again. None of its alerts fires there.
type Closed struct {
	Key
	State []byte
}

// Adopt makes other objectives those of the ledger. The accounts of one that has the same number and identity stay: windows keep
// what they have counted, and conditions that are the same the state that they are in. All other accounts are closed. now is when
// the windows end.
//
// It returns the burns and silences that are withdrawn with their conditions or objective, one for each severity of an account, and
// the accounts that are closed.
func (l *Ledger) Adopt(objectives []openslo.Objective, now int64) (withdrawn []Withdrawn, closed []Closed) {
	next := *l
	next.objectives, next.plans, next.accounts, next.inOrder = objectives, make([]plan, len(objectives)), map[Key]*account{}, nil
	same := make([]bool, max(len(objectives), len(l.objectives)))
	for i := range objectives {
		o := &objectives[i]
		same[i] = i < len(l.objectives) && o.Equal(&l.objectives[i])
		switch {
		case same[i]:
			next.plans[i] = l.plans[i]
		case o.Name != "":
			next.plans[i] = newPlan(o, l.slack)
		}
	}
	for number, a := range l.inOrder {
		if same[a.Objective] {
			next.accounts[a.Key] = a
			next.inOrder = append(next.inOrder, a)
			continue
		}
		if a.Objective < uint32(len(objectives)) && Identity(&objectives[a.Objective]) == Identity(&l.objectives[a.Objective]) {
			next.succeed(a, l.Put(number, nil))
		}
		withdrawn = append(withdrawn, l.withdraw(a, &next, now)...)
		if next.accounts[a.Key] == nil {
			clear(a.alerts)
			clear(a.episodes)
			closed = append(closed, Closed{a.Key, l.Put(number, nil)})
		}
	}
	*l = next
	return withdrawn, closed
}

// succeed opens the account of an objective that has changed with what the former one was. What this process has put it can take.
func (l *Ledger) succeed(former *account, was []byte) {
	if number, err := l.Take(former.Key, snapshot.NewReader(was), math.MaxInt64-int64(l.slack.Ahead)); err == nil {
		l.inOrder[number].began = former.began
		l.Touch(number)
	}
}

// withdraw ends the burns and silences of an account that is another in the next ledger, as far as nothing there knows of them.
func (l *Ledger) withdraw(a *account, next *Ledger, now int64) []Withdrawn {
	var withdrawn []Withdrawn
	for i, s := range l.plans[a.Objective].severities {
		if e := a.episodes[i]; e.firing && !next.goesOn(a.Key, s.name) {
			withdrawn = append(withdrawn, Withdrawn{
				Key: a.Key, Condition: s.end, Onset: e.onset, Interruptions: e.interruptions, Reading: l.read(a, now),
			})
		}
		if e := a.episodes[i]; e.silent && !next.isSilent(a.Key, s.name) {
			withdrawn = append(withdrawn, Withdrawn{Key: a.Key, Silence: true, Condition: s.silence, Onset: e.since})
		}
	}
	return withdrawn
}

// isSilent says whether a silence that was announced is still looked at.
func (l *Ledger) isSilent(key Key, name string) bool {
	a := l.accounts[key]
	return a != nil && slices.ContainsFunc(l.plans[key.Objective].severities, func(s severity) bool {
		return s.name == name && s.silence >= 0
	})
}

// goesOn says whether a burn that was announced still has an alert that fires. If not, it is forgotten.
func (l *Ledger) goesOn(key Key, severity string) bool {
	a := l.accounts[key]
	if a == nil {
		return false
	}
	for i, s := range l.plans[key.Objective].severities {
		if s.name != severity {
			continue
		}
		for _, c := range s.conditions {
			if a.alerts[c].Firing {
				return true
			}
		}
		a.episodes[i].firing = false
	}
	return false
}
