package change

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/dependency"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/flag"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/rollout"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/surge"
)

const (
	// maxChanges bounds the changes that are remembered, of those that people make and of the others; maxOfService those of one
	// service.
	maxChanges   = 256
	maxOfService = 16
	// near is how long in nanoseconds before an onset a change is still worth a word. Of changes that people do not make there are
	// more, so that it is less.
	near     = int64(15 * time.Minute)
	nearOdds = int64(5 * time.Minute)
	// familiar is from how long in nanoseconds after a service was first seen on it is known which flags it evaluates and what it
	// consists of, and settledIn from when on whom it calls, which may be less often.
	familiar  = int64(time.Minute)
	settledIn = int64(2 * time.Minute)
	// measured is for how long in nanoseconds after a release was noticed its share of the traffic is measured.
	measured = int64(10 * time.Second)
)

// Evaluation is that of a flag in a service.
type Evaluation struct {
	Service uint32
	flag.Evaluation
}

// Book knows what has changed of services. It is safe for concurrent use.
type Book struct {
	// measuring is how many changes have their traffic measured: what they ask of each resource is nothing while there is none.
	measuring atomic.Int32

	mu        sync.Mutex
	histories map[uint32]*history
	flags     *flag.Book
	flagged   []*flag.Change
	// made are the changes that people make, and odds the others; untold those that are to have an event of their own.
	made, odds, untold []*entry
	// arrived are the services of which an instance arrived lately; instances is how many are known of all.
	arrived   []uint32
	instances int
	around    around
}

// history is what is known of a service.
type history struct {
	// first is when it was first seen.
	first     int64
	releases  rollout.Rollout[Release]
	templates rollout.Rollout[string]
	instances instances
	// release is the latest change of what is deployed, and absence that of its release since.
	release *entry
	absence absence
}

// New returns an empty book.
func New() *Book {
	return &Book{histories: map[uint32]*history{}, flags: flag.NewBook(), around: newAround()}
}

// See notes what of a service serves. It keeps the texts, which have to be clean.
func (b *Book) See(service uint32, is Served, now int64) {
	if service <= names.Other {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	h := b.histories[service]
	if h == nil {
		h = &history{first: now}
		b.histories[service] = h
	}
	if is.Release != (Release{}) {
		b.seeRelease(service, h, is.Release, now)
	}
	if is.Template != "" {
		previous, changed := h.templates.See(is.Template, now, as)
		// A service may have several deployments from the start, and another release has another template anyway.
		if changed && now-h.first >= familiar && (h.release == nil || now-h.release.At > rollout.Gone) {
			b.add(&entry{Change: Change{Kind: Configuration, Service: service, At: now, From: previous, To: is.Template}})
		}
	}
	if is.Instance != "" {
		before := len(h.instances.seen)
		if h.instances.see(is.Instance, now, b.instances < maxAllInstances, now-h.first >= familiar) {
			b.arrived = append(b.arrived, service)
		}
		b.instances += len(h.instances.seen) - before
	}
}

// seeRelease notes a release that serves: one that is new, or one that has the place again of that which was announced last.
func (b *Book) seeRelease(service uint32, h *history, is Release, now int64) {
	previous, changed := h.releases.See(is, now, as)
	back := false
	if !changed && h.release != nil && h.absence.see(is == h.release.Release, now) {
		back = h.releases.Serves(is, now) // It may be one more than are told apart.
	}
	switch {
	case changed:
		h.release = released(service, is, previous, now)
	case back:
		h.release = released(service, is, h.release.Release, h.absence.since)
		h.release.Back = true
	default:
		return
	}
	h.absence = begun(now)
	h.release.known = now
	b.add(h.release)
	b.untold = append(b.untold, h.release)
	b.measuring.Add(1)
}

// as keeps what nobody else has.
func as[V any](v V) V { return v }

// Evaluate notes what flags were evaluated to. What it keeps of their texts it copies.
func (b *Book) Evaluate(all []Evaluation, now int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flagged = b.flagged[:0]
	for i := range all {
		e := &all[i]
		if e.Service <= names.Other {
			continue
		}
		h := b.histories[e.Service]
		b.flagged = b.flags.Observe(e.Service, h != nil && now-h.first >= familiar, &e.Evaluation, now, b.flagged)
	}
	for _, f := range b.flagged {
		b.add(&entry{Change: Change{Kind: ofFlag[f.Kind], Service: f.Service, At: f.At}, flag: f})
	}
	clear(b.flagged)
}

// Linked notes that a service has called another one for the first time.
func (b *Book) Linked(edge dependency.Edge, at int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	h := b.histories[edge.Caller]
	if h == nil || at-h.first < settledIn || edge.Callee <= names.Other {
		return
	}
	b.add(&entry{Change: Change{Kind: Dependency, Service: edge.Caller, At: at, Callee: edge.Callee}})
}

// Surged notes that many more requests come to a service than usual.
func (b *Book) Surged(service uint32, s surge.Surge, at int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.add(&entry{Change: Change{Kind: Traffic, Service: service, At: at, Many: s.Requests, Of: s.Most}})
}

// Rose notes that many more of the requests to a service are for one operation than usual.
func (b *Book) Rose(service uint32, r surge.Rise, at int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.add(&entry{Change: Change{Kind: Mix, Service: service, At: at, Operation: r.Operation, Share: r.Share, Before: r.Most}})
}

// add remembers a change. The oldest goes first; a service with many has only room for its latest ones. b is locked.
func (b *Book) add(e *entry) {
	list := &b.odds
	if e.Kind.IsMade() {
		list = &b.made
	}
	ofService := 0
	for _, other := range *list {
		if other.Service == e.Service {
			ofService++
		}
	}
	drop := -1
	switch {
	case ofService >= maxOfService:
		drop = slices.IndexFunc(*list, func(other *entry) bool { return other.Service == e.Service })
	case len(*list) >= maxChanges:
		drop = 0
	}
	if drop >= 0 {
		*list = slices.Delete(*list, drop, drop+1)
	}
	*list = append(*list, e)
}

// Count counts spans of a service. It is asked of each resource, and does nothing unless a release is being measured.
func (b *Book) Count(service uint32, is Release, spans float64) {
	if b.measuring.Load() == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	h := b.histories[service]
	if h == nil || h.release == nil || h.release.told {
		return
	}
	h.release.all += spans
	if is.clean() == h.release.Release {
		h.release.served += spans
	}
}

// Look takes the edges that there are at a tick, which stay as they are until the next one, and looks whether services were
// restarted.
func (b *Book) Look(now int64, edges []dependency.Edge) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.around.begin(edges)
	b.arrived = slices.DeleteFunc(b.arrived, func(service uint32) bool {
		is := &b.histories[service].instances
		if replaced, all := is.replaced(now); replaced > 0 {
			if is.restart == nil {
				is.restart = &entry{Change: Change{Kind: Restart, Service: service, At: is.arrived}}
				b.add(is.restart)
			}
			is.restart.Many, is.restart.Of = float64(replaced), float64(all)
		}
		over := now-is.arrived > 2*rollout.Gone
		if over {
			is.arrived, is.restart = 0, nil
		}
		return over
	})
}

// Fresh returns the changes of releases that were measured for long enough since the last call, or, if it is the last, all.
func (b *Book) Fresh(now int64, last bool) []Change {
	b.mu.Lock()
	defer b.mu.Unlock()
	var fresh []Change
	for _, e := range b.untold {
		if !last && now-e.known < measured {
			break
		}
		e.told = true
		fresh = append(fresh, e.seen())
	}
	b.untold = slices.Delete(b.untold, 0, len(fresh))
	b.measuring.Add(int32(-len(fresh)))
	return fresh
}

// Changed says whether people changed a service shortly before a time.
func (b *Book) Changed(service uint32, at int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.ContainsFunc(b.made, func(e *entry) bool { return e.Service == service && b.isNear(e, at, near) })
}

// Before returns the change that came shortly before an onset and is associated best with a suspect, the latest of those
// that are alike; nil if there is none. What people do counts up to now, since what comes with it may be seen a little
// earlier; what may be a symptom has to come first.
func (b *Book) Before(onset, now int64, suspect uint32) *Change {
	b.mu.Lock()
	defer b.mu.Unlock()
	var found *entry
	best := 0
	consider := func(e *entry) {
		if rank, ok := b.rank(e, suspect); ok && (found == nil || cmp.Or(cmp.Compare(rank, best), cmp.Compare(found.At, e.At)) <= 0) {
			found, best = e, rank
		}
	}
	for _, e := range b.made {
		if b.isNear(e, now, near) {
			consider(e)
		}
	}
	for _, e := range b.odds {
		if b.isNear(e, onset, nearOdds) {
			consider(e)
		}
	}
	if found == nil {
		return nil
	}
	seen := found.seen()
	return &seen
}

// rank is how well a change is associated with a suspect, the less the better: those of the suspect go before those of whom
// it calls or is called by, and what people do before what may as well be a symptom. It is false for one that is not worth a
// word.
func (b *Book) rank(e *entry, suspect uint32) (rank int, ok bool) {
	made := e.Kind.IsMade()
	switch {
	case e.Service == suspect:
	case b.around.has(suspect, e.Service):
		rank = 1
	case made:
		return 4, true
	default:
		return 0, false
	}
	if !made {
		rank += 2
	}
	return rank, true
}

// isNear says whether a change came shortly before a time, and had not been taken back by then.
func (b *Book) isNear(e *entry, at, near int64) bool {
	return e.At <= at && at-e.At <= near && b.holds(e, at)
}

// holds says whether a change has not been taken back.
func (b *Book) holds(e *entry, at int64) bool {
	switch e.Kind {
	case Flag, FlagRules, FlagFirst:
		return e.flag.Holds()
	case Version, Revision:
		return b.histories[e.Service].releases.Serves(e.Release, at)
	case Configuration:
		return b.histories[e.Service].templates.Serves(e.To, at)
	default:
		return true
	}
}
