package ledger

import (
	"errors"
	"math"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/burn"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/snapshot"
)

var errOpen = errors.New("there is such an account already")

// Len is the number of accounts. They are numbered in the order in which they were opened, and none is ever closed.
func (l *Ledger) Len() int { return len(l.inOrder) }

// Changed says whether the account with a number has changed since it was last put, and which one it is.
func (l *Ledger) Changed(number int) (Key, bool) {
	a := l.inOrder[number]
	return a.Key, a.changed
}

// Put appends the state of the account with a number. It then counts as unchanged.
func (l *Ledger) Put(number int, b []byte) []byte {
	a := l.inOrder[number]
	a.changed = false
	b = snapshot.Uint(b, uint64(a.since))
	b = snapshot.Uint(snapshot.Uint(b, a.total.Good), a.total.Bad)
	b = snapshot.Float(snapshot.Float(b, a.rest[0]), a.rest[1])
	b = a.meter.Put(b)
	p := &l.plans[a.Objective]
	b = snapshot.Uint(b, uint64(len(a.alerts)))
	for i, c := range p.conditions {
		b = snapshot.Uint(snapshot.Uint(b, uint64(c.Long)), uint64(c.Short))
		b = a.alerts[i].Put(snapshot.Float(b, c.Rate))
	}
	b = snapshot.Uint(b, uint64(len(a.episodes)))
	for i, e := range a.episodes {
		b = snapshot.Bool(snapshot.Text(b, p.severities[i].name), e.firing)
		b = snapshot.Uint(snapshot.Uint(b, uint64(e.onset)), e.interruptions)
		b = snapshot.Uint(snapshot.Bool(b, e.silent), uint64(e.since))
	}
	return b
}

// Touch makes the account with a number count as changed: what was put did not get to where it should.
func (l *Ledger) Touch(number int) { l.inOrder[number].changed = true }

// Take opens an account that is not open yet with the state that was put, if it can be read, and returns its number. Of windows and
// alerts that the objective had not then, there is nothing to take; a burn whose alerts are gone ends with the next
// evaluation. What would be later than the present is left out.
func (l *Ledger) Take(key Key, r *snapshot.Reader, present int64) (int, error) {
	if l.accounts[key] != nil {
		return 0, errOpen
	}
	p, a := &l.plans[key.Objective], l.newAccount(key)
	a.since = min(r.Time(), present)
	a.total = burn.Count{Good: r.Uint(), Bad: r.Uint()}
	a.rest = [2]float64{r.Float(), r.Float()}
	for _, rest := range a.rest {
		if !(math.Abs(rest) <= 1) {
			r.Refuse(snapshot.ErrNumber)
		}
	}
	a.meter.Take(r, present+int64(l.slack.Ahead))
	taken := make([]bool, len(p.conditions))
	for range r.Len() {
		var alert burn.Alert
		long, short, rate := r.Time(), r.Time(), r.Float()
		alert.Take(r)
		// Conditions that differ in nothing else but their guards are told apart by their order.
		for i, c := range p.conditions {
			if !taken[i] && int64(c.Long) == long && int64(c.Short) == short && c.Rate == rate {
				a.alerts[i], taken[i] = alert, true
				break
			}
		}
	}
	for range r.Len() {
		name := r.Text()
		e := episode{
			firing: r.Bool(), onset: min(r.Time(), present), interruptions: r.Uint(), silent: r.Bool(), since: min(r.Time(), a.meter.Latest()),
		}
		for i := range p.severities {
			if p.severities[i].name == name {
				e.silent = e.silent && p.severities[i].silence >= 0
				a.episodes[i] = e
			}
		}
	}
	if err := r.Err(); err != nil {
		return 0, err
	}
	for i, s := range p.severities {
		for _, c := range s.conditions {
			// A burn that was announced to another severity has yet to start for this one.
			if a.alerts[c].Firing && !a.episodes[i].firing {
				a.alerts[c] = burn.Alert{}
			}
		}
	}
	l.open(a)
	return len(l.inOrder) - 1, nil
}
