// Package series remembers the last point of each cumulative series, and says by how much the next one is more. The data model of
// metrics, which it follows: https://opentelemetry.io/docs/specs/otel/metrics/data-model/#sums
package series

import (
	"maps"
	"sync"
)

// jitter is by how much, in nanoseconds, a start may differ without being another one: senders that compute it from an uptime are
// not exact.
const jitter = int64(1e9)

// Key names a series as one objective counts it.
type Key struct {
	Identity
	Objective uint32
}

// Amount is a number that was counted: whole and broken ones are kept apart, so that large whole numbers stay exact.
type Amount struct {
	Whole  int64
	Broken float64
}

// minus is the difference, which is small even if the amounts are not.
func (a Amount) minus(b Amount) float64 { return float64(a.Whole-b.Whole) + (a.Broken - b.Broken) }

// Float is the amount, rounded.
func (a Amount) Float() float64 { return float64(a.Whole) + a.Broken }

// Point is a cumulative point.
type Point struct {
	// Start is since when it counts, and At up to when, in nanoseconds since the epoch. Start is 0 if it is not known.
	Start, At int64
	// Total is all that it counts, and Good a part of it.
	Total, Good Amount
	// Cut is by which value Good is told from the rest. Points with different ones can't be compared.
	Cut float64
}

// Increase is what was counted since the last point.
type Increase struct{ Total, Good float64 }

// Outcome is what became of a point.
type Outcome string

// The outcomes.
const (
	Counted Outcome = ""
	// Past is the first point of a series that began before anybody listened: what it counts has a time that nobody knows.
	Past Outcome = "past"
	// Stale is not after the last point of its series: it came twice, or too late.
	Stale Outcome = "out_of_order"
	// Overlapping began before the last point did, or at almost the same time with less: two senders share one series.
	Overlapping Outcome = "overlapping"
	// Recut has buckets that can't be compared with those of the last point.
	Recut Outcome = "buckets_changed"
	// Full is a series beyond the bound.
	Full Outcome = "too_many_series"
)

// Store is safe for concurrent use.
type Store struct {
	most int

	mu   sync.Mutex
	last map[Key]*last
	// since is from when on a new series may begin to be counted from its start.
	since int64
	// restarted is the same for the objectives that came later.
	restarted map[uint32]int64
}

type last struct {
	Point
	// seen is when it came, by the time of whoever owns the store.
	seen int64
}

// New returns a store of at most so many series.
func New(most int) *Store {
	return &Store{most: most, last: map[Key]*last{}, restarted: map[uint32]int64{}}
}

// Begin says when its owner began to listen, unless that was said before: what began later is counted from its start on.
func (s *Store) Begin(now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.since == 0 {
		s.since = now
	}
}

// Add takes the next point of a series, which comes now, and returns what it counts over and above the last one. A counter that
// falls has begun anew, as has one with a later start: then the point counts in full. Anything but [Counted] counts nothing.
func (s *Store) Add(key Key, p Point, now int64) (Increase, Outcome) {
	if p.Start > p.At {
		p.Start = 0 // Taken for true, it would make all later points with the right one overlap.
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.last[key]
	if l == nil {
		return s.first(key, p, now)
	}
	if p.At <= l.At {
		return Increase{}, Stale
	}
	total := p.Total.minus(l.Total)
	// A start at the point's own time says that it is not known.
	isKnown := p.Start != 0 && p.Start < p.At && l.Start != 0
	isNew := isKnown && p.Start > l.Start+jitter
	// Who begins anew has a start that is later by more, and who is not exact does not fall.
	isTwin := isKnown && !isNew && p.Start != l.Start && total < 0
	if isTwin || p.Start != 0 && p.Start < l.Start-jitter {
		return Increase{}, Overlapping
	}
	before := l.Point
	l.Point, l.seen = p, now
	if p.Start == 0 {
		l.Start = before.Start
	}
	switch {
	case isNew || total < 0:
		return Increase{p.Total.Float(), p.Good.Float()}, Counted
	case p.Cut != before.Cut:
		return Increase{}, Recut
	default:
		// A part grows no faster than the whole, whatever a sender says.
		return Increase{total, min(max(0, p.Good.minus(before.Good)), total)}, Counted
	}
}

func (s *Store) first(key Key, p Point, now int64) (Increase, Outcome) {
	if len(s.last) >= s.most {
		// Once there is room, what was not counted now must not be made up for at the wrong time.
		s.since = max(s.since, p.At)
		return Increase{}, Full
	}
	s.last[key] = &last{p, now}
	if p.Start <= max(s.since, s.restarted[key.Objective]) || p.Start >= p.At {
		return Increase{}, Past
	}
	return Increase{p.Total.Float(), p.Good.Float()}, Counted
}

// Restart forgets the series of objectives that are others now than before: what began before now, in nanoseconds since the epoch,
// is past to them.
func (s *Store) Restart(now int64, objectives ...uint32) {
	if len(objectives) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	others := make(map[uint32]bool, len(objectives))
	for _, objective := range objectives {
		others[objective], s.restarted[objective] = true, now
	}
	maps.DeleteFunc(s.last, func(key Key, _ *last) bool { return others[key.Objective] })
}

// Forget forgets the series of which nothing came since a time. What comes back after that, with an old start, has been counted
// up to then: it counts on from its next point.
func (s *Store) Forget(silent int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, l := range s.last {
		if l.seen < silent {
			s.since = max(s.since, l.At)
			delete(s.last, key)
		}
	}
}

// Len is the number of series.
func (s *Store) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.last)
}
