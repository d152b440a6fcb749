package engine

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/burn"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/ledger"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/openslo"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/report"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/sli"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/snapshot"
)

// Number returns objectives by the numbers that they are to have, for a binder to be made of and for Adopt. An objective that
// counts what a present one does keeps that one's number. now is in nanoseconds since the epoch, read after the last call of Adopt.
func (e *Engine) Number(objectives []openslo.Objective, now int64) []openslo.Objective {
	e.ticking.Lock()
	defer e.ticking.Unlock()
	return e.roster.number(objectives, decidedUntil(e.ticked, e.settings.TraceWindow), now)
}

// Adopt makes objectives as they were numbered, and a binder of them, the present ones, while telemetry comes in. What those that
// count the same have counted stays. Spans that are held count toward the objectives that they were judged by, as far as these
// stay.
func (e *Engine) Adopt(ctx context.Context, numbered []openslo.Objective, binder *sli.Binder, now int64) {
	e.ticking.Lock()
	defer e.ticking.Unlock()
	events := report.NewEvents(e.settings.Scope, e.settings.Version)
	e.adopt(numbered, binder, now, events)
	e.keep(ctx, now, events.Len() > 0)
	if events.Len() > 0 {
		e.sink.Logs(ctx, events.Logs())
	}
}

func (e *Engine) adopt(numbered []openslo.Objective, binder *sli.Binder, now int64, events *report.Events) {
	e.intake.Lock()
	defer e.intake.Unlock()
	// Deciders ask objectives without the lock that guards them.
	for _, d := range e.deciders {
		d.mu.Lock()
		defer d.mu.Unlock()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.roster.same(numbered, func(number uint32) { binder.Inherit(e.binder, number) })
	others := e.roster.others(numbered)
	e.series.Restart(now, others...)
	e.roster.become(numbered)
	closed, gone := e.objectives.adopt(numbered, binder, now, now-int64(e.settings.TraceWindow), events, e.names)
	e.objectives.elsewhere(others, now)
	e.binder = binder
	if s := e.state.Load(); s != nil {
		s.close(closed)
		s.forget(gone)
	}
}

// adopt makes other objectives the present ones, and tells of the burns and silences that nobody looks at any more. It returns the accounts that
// are closed, and which are not, or no longer, kept for a return of their objectives.
func (o *objectives) adopt(
	numbered []openslo.Objective, binder *sli.Binder, now, horizon int64, events *report.Events, table *names.Table,
) (closed, gone []stored) {
	withdrawn, left := o.ledger.Adopt(numbered, horizon)
	for _, w := range withdrawn {
		alert := &o.documents[w.Objective].Conditions[w.Condition]
		switch {
		case w.Silence:
			events.NoData(report.NoData{
				Objective: o.named(w.Key), Severity: alert.Severity, Back: true, Withdrawn: true,
				Last: time.Unix(0, w.Onset), Now: time.Unix(0, now), Targets: targets(&o.documents[w.Objective], alert.Severity),
			})
		case alert.AnnounceResolved:
			events.BurnResolved(report.Resolved{
				Objective: o.named(w.Key), Severity: alert.Severity, Remaining: w.Reading.Remaining,
				Onset: time.Unix(0, w.Onset), Now: time.Unix(0, now), Withdrawn: true,
				Known: w.Reading.Known, Interruptions: w.Interruptions, Targets: targets(&o.documents[w.Objective], alert.Severity),
			})
		}
	}
	for _, c := range left {
		closed = append(closed, stored{
			account{o.ids[c.Objective], o.binder.GroupValues(c.Objective, c.Group), until(&o.documents[c.Objective], now)},
			append(o.putBlamed(c.Key, nil, table), c.State...),
		})
		delete(o.dossiers, c.Key)
	}
	gone = o.attic.put(closed)
	fresh := map[ledger.ID]uint32{}
	ids := identities(numbered)
	for number := range numbered {
		if numbered[number].Name != "" && (number >= len(o.ids) || o.ids[number] != ids[number]) {
			fresh[ids[number]] = uint32(number)
		}
	}
	o.ledger.Begin(now)
	o.documents, o.ids, o.binder, o.step = numbered, ids, binder, burn.Step(windows(numbered)...)
	o.attic.take(fresh, func(objective uint32, s *stored) {
		// What was put can be taken.
		if ok, err := o.take(objective, &s.account, snapshot.NewReader(s.state), table, now); ok && err == nil {
			o.ledger.Touch(o.ledger.Len() - 1)
		}
	})
	return closed, gone
}

// close saves what accounts have counted, and that none of their burns goes on: those are withdrawn.
func (s *state) close(closed []stored) {
	for i := range closed {
		c := &closed[i]
		s.closed[s.slot(c.name())] = snapshot.Seal(append(c.put(nil), c.state...), 0)
	}
}

// elsewhere makes what is counted for others, or by others, that of the present objectives. Those with the numbers in others are
// not what had these numbers before.
func (o *objectives) elsewhere(others []uint32, now int64) {
	if o.counted == nil {
		o.gathered.fleet.Adopt(o.documents, o.binder, others, now)
		return
	}
	o.counted.steps.Become(o.step)
	maps.DeleteFunc(o.counted.accounts, func(key ledger.Key, _ *sums) bool { return slices.Contains(others, key.Objective) })
}

// forget makes the slots of accounts that are gone those of nobody.
func (s *state) forget(gone []stored) {
	for i := range gone {
		name := gone[i].name()
		if slot, ok := s.slots[name]; ok {
			delete(s.slots, name)
			s.closed[slot], s.free = nil, append(s.free, slot)
		}
	}
}
