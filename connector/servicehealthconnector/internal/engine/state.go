package engine

import (
	"context"
	"math"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/blame"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/fleet"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/ledger"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/openslo"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/report"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/snapshot"
	"github.com/throughline-otel/throughline/internal/layer"
	"github.com/throughline-otel/throughline/internal/service"
)

const (
	// portion is how many accounts are put while those who count wait.
	portion = 64
	// kept is for how long an account is kept that nothing is counted in, and keptWindows for how many of its objective's longest
	// window if that is more.
	kept        = 7 * 24 * time.Hour
	keptWindows = 2
)

// state is what survives. It belongs to whoever ticks.
type state struct {
	store    *snapshot.Store
	interval int64
	logger   *zap.Logger
	// slots are those of the accounts by their name; those in free are nobody's, and so are all from next on.
	slots map[string]int
	free  []int
	next  int
	// closed is what is to be in slots whose accounts are not open: nil if they need not be kept any longer.
	closed map[int][]byte
	// savedAt is when it was last tried to save.
	savedAt int64
	failing bool
	// saved and failed count how often it went well and not.
	saved, failed atomic.Uint64
}

// account is one of a state: its objective, its group, and what follows.
type account struct {
	id    ledger.ID
	group []string
	// until is when it may go, in nanoseconds since the epoch.
	until int64
}

// ofFleet is in the place of an objective where an account is a run of a gateway.
var ofFleet = ledger.ID([]byte("gateway of fleet"))

// takeRun takes in how far a run of a gateway has counted.
func (o *objectives) takeRun(a *account, r *snapshot.Reader) error {
	if o.gathered == nil || len(a.group) != len(fleet.Run{}) {
		return nil
	}
	return o.gathered.fleet.TakeRun(fleet.Run(a.group), r)
}

func (a *account) name() string {
	b := append([]byte(nil), a.id[:]...)
	for _, value := range a.group {
		b = snapshot.Text(b, value)
	}
	return string(b)
}

func (a *account) put(b []byte) []byte {
	b = snapshot.Uint(snapshot.Text(b, string(a.id[:])), uint64(a.until))
	b = snapshot.Uint(b, uint64(len(a.group)))
	for _, value := range a.group {
		b = snapshot.Text(b, value)
	}
	return b
}

func takeAccount(r *snapshot.Reader) account {
	var a account
	if copy(a.id[:], r.Text()) != len(a.id) {
		r.Refuse(snapshot.ErrShort)
	}
	a.until = r.Time()
	for range r.Len() {
		a.group = append(a.group, r.Text())
	}
	return a
}

// Restore goes on with the state of a store, whose values are given, and saves it there from now on. It is called before anything
// is counted. now is in nanoseconds since the epoch.
func (e *Engine) Restore(ctx context.Context, store *snapshot.Store, values [][]byte, now int64) error {
	e.ticking.Lock()
	defer e.ticking.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	s := &state{
		store: store, interval: int64(e.settings.SnapshotInterval), logger: e.settings.Logger,
		slots: map[string]int{}, closed: map[int][]byte{}, next: len(values), savedAt: now,
	}
	known := map[ledger.ID]uint32{}
	for i := range e.objectives.documents {
		known[ledger.Identity(&e.objectives.documents[i])] = uint32(i) // nobody has four billion objectives
	}
	restored := 0
	var strange []stored
	for slot, value := range values {
		if value == nil {
			s.free = append(s.free, slot)
			continue
		}
		r := snapshot.NewReader(value)
		a := takeAccount(r)
		err := r.Err()
		if err == nil && a.until < now {
			s.closed[slot], s.free = nil, append(s.free, slot)
			continue
		}
		objective, wanted := known[a.id]
		if err == nil && a.id == ofFleet {
			wanted, err = true, e.objectives.takeRun(&a, r)
		} else if err == nil && wanted {
			wanted, err = e.objectives.take(objective, &a, r, e.names, now)
		}
		if err != nil {
			aside, asideErr := store.SetAside(ctx, slot, value, err)
			if asideErr != nil {
				return asideErr
			}
			WarnAside(s.logger, aside)
			s.free = append(s.free, slot)
			continue
		}
		s.slots[a.name()] = slot
		if wanted {
			restored++
		} else {
			strange = append(strange, stored{a, r.Rest()})
		}
	}
	// Those for which there is no room may still come back at another start.
	e.objectives.attic.put(strange)
	e.state.Store(s)
	if len(values) > 0 {
		s.logger.Info("budgets go on where they were", zap.Int("accounts", restored), zap.Int("of objectives that are gone", len(strange)))
	}
	return nil
}

// WarnAside says that a part of the state could not be read, and where it is.
func WarnAside(logger *zap.Logger, a snapshot.Aside) {
	logger.Warn("a part of the state could not be read: it was set aside, and what it was about begins afresh",
		zap.String("key", a.Key), zap.String("set aside as", a.To), zap.NamedError("reason", a.Reason))
}

// keep saves what has changed, if it is time. What is about to be told must be saved before: or a counter would go back, and a burn
// be announced twice, if this process ended in between.
func (e *Engine) keep(ctx context.Context, now int64, telling bool) {
	s := e.state.Load()
	if s == nil || !telling && now-s.savedAt < s.interval {
		return
	}
	s.savedAt = now
	changes, numbers, runs := e.changed(s, now)
	for slot, value := range s.closed {
		changes = append(changes, snapshot.Change{Slot: slot, Value: value})
	}
	if len(changes) == 0 {
		return
	}
	err := s.store.Write(ctx, changes)
	if err == nil {
		s.saved.Add(1)
		clear(s.closed)
		if s.failing {
			s.failing = false
			s.logger.Info("the state is saved again")
		}
		return
	}
	s.failed.Add(1)
	e.mu.Lock()
	for _, number := range numbers {
		e.objectives.ledger.Touch(number)
	}
	for _, run := range runs {
		e.objectives.gathered.fleet.Touch(run)
	}
	e.mu.Unlock()
	if !s.failing {
		s.failing = true
		s.logger.Warn("the state could not be saved: objectives go on in memory, and what they count now would be lost with this process; "+
			"it is tried again", zap.Error(err))
	}
}

// changed puts the accounts that have changed, and returns their numbers in the ledger, too; and how far the gateways of a fleet have
// counted, which must be of the same moment.
func (e *Engine) changed(s *state, now int64) (changes []snapshot.Change, numbers []int, runs []fleet.Run) {
	portion := portion
	for from, more := 0, true; more; from += portion {
		e.mu.Lock()
		l := e.objectives.ledger
		if g := e.objectives.gathered; g != nil && from == 0 {
			e.objectives.release(math.MaxInt64) // What waits is in no account.
			for _, run := range g.fleet.Gone() {
				s.forget([]stored{{account: account{id: ofFleet, group: run[:]}}})
			}
			g.fleet.Put(func(run fleet.Run, value []byte) {
				a := account{id: ofFleet, group: run[:], until: now + int64(kept)}
				changes = append(changes, snapshot.Change{Slot: s.slot(a.name()), Value: snapshot.Seal(append(a.put(nil), value...), 0)})
				runs = append(runs, run)
				portion = max(portion, l.Len())
			})
		}
		for number := from; number < min(from+portion, l.Len()); number++ {
			key, changed := l.Changed(number)
			if !changed {
				continue
			}
			a := account{
				id: e.objectives.ids[key.Objective], group: e.objectives.binder.GroupValues(key.Objective, key.Group),
				until: until(&e.objectives.documents[key.Objective], now),
			}
			value := e.objectives.put(number, key, a.put(nil), e.names)
			changes = append(changes, snapshot.Change{Slot: s.slot(a.name()), Value: snapshot.Seal(value, 0)})
			numbers = append(numbers, number)
		}
		more = from+portion < l.Len()
		e.mu.Unlock()
	}
	return changes, numbers, runs
}

func (s *state) slot(name string) int {
	slot, ok := s.slots[name]
	switch last := len(s.free) - 1; {
	case ok:
	case last >= 0:
		slot, s.free = s.free[last], s.free[:last]
	default:
		slot = s.next
		s.next++
	}
	s.slots[name] = slot
	delete(s.closed, slot)
	return slot
}

// until is when an account of an objective may go in which something was counted until now.
func until(o *openslo.Objective, now int64) int64 {
	window := o.Window
	for _, c := range o.Conditions {
		window = max(window, c.Long)
	}
	return now + int64(max(kept, keptWindows*window))
}

// put appends who was blamed in an account, and what it has counted.
func (o *objectives) put(number int, key ledger.Key, b []byte, table *names.Table) []byte {
	return o.ledger.Put(number, o.putBlamed(key, b, table))
}

func (o *objectives) putBlamed(key ledger.Key, b []byte, table *names.Table) []byte {
	var blamed map[charge]float64
	if d := o.dossiers[key]; d != nil {
		blamed = d.blamed
	}
	b = snapshot.Uint(b, uint64(len(blamed)))
	for c, n := range blamed {
		entity := table.EntityOf(c.Entity)
		b = snapshot.Bool(b, c.Entity == names.Other)
		for _, text := range []string{
			entity.Name, entity.Namespace, entity.Environment, entity.Layer.String(), c.Layer.String(), c.Reason.String(), string(c.relation),
		} {
			b = snapshot.Text(b, text)
		}
		b = snapshot.Float(snapshot.Bool(b, entity.Peer), n)
	}
	return b
}

// take opens an account with what was put. It is false if there can be no such group.
func (o *objectives) take(objective uint32, a *account, r *snapshot.Reader, table *names.Table, now int64) (bool, error) {
	group, ok := o.binder.Group(objective, a.group)
	if !ok {
		return false, nil
	}
	blamed := map[charge]float64{}
	for range r.Len() {
		c, n := takeCharge(r, table)
		if len(blamed) <= maxBlamed {
			blamed[c] += n
		}
	}
	key := ledger.Key{Objective: objective, Group: group}
	if _, err := o.ledger.Take(key, r, now); err != nil {
		return true, err
	}
	if len(blamed) > 0 {
		o.dossier(key).blamed = blamed
	}
	return true, nil
}

func takeCharge(r *snapshot.Reader, table *names.Table) (charge, float64) {
	other := r.Bool()
	var texts [7]string
	for i := range texts {
		texts[i] = r.Text()
	}
	of, _ := layer.Parse(texts[3])
	in, _ := layer.Parse(texts[4])
	c := charge{blame.Culprit{Layer: in}, report.Relation(texts[6])}
	for reason := blame.Error; reason <= blame.Missing; reason++ {
		if reason.String() == texts[5] {
			c.Reason = reason
		}
	}
	peer, events := r.Bool(), r.Float()
	switch {
	case r.Err() != nil:
	case events < 0:
		r.Refuse(snapshot.ErrNumber)
	case other:
		c.Entity = names.Other
	default:
		identity := service.Identity{Name: texts[0], Namespace: texts[1], Environment: texts[2]}
		c.Entity = table.Entity(names.Entity{Identity: identity, Layer: of, Peer: peer})
	}
	return c, events
}

// Release stops saving.
func (e *Engine) Release(ctx context.Context) error {
	e.ticking.Lock()
	defer e.ticking.Unlock()
	s := e.state.Swap(nil)
	if s == nil {
		return nil
	}
	return s.store.Close(ctx)
}
