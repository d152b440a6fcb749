// Package rollout notices when something new takes the place of what served: a version, a ruleset, a template of pods.
package rollout

const (
	// most bounds the values that are told apart at a time.
	most = 16
	// Forgotten is after how long in nanoseconds a value that no longer serves counts as new again. While a rollout goes on, two
	// values take turns; a rollback days later is a change.
	Forgotten = int64(600e9)
	// Gone is after how long in nanoseconds a value that was not seen is taken to have been taken back.
	Gone = int64(15e9)
)

// Rollout is what is known of the values of one thing. The zero Rollout has seen nothing.
type Rollout[V comparable] struct {
	// current is the value that was announced last, unless that was taken back.
	current V
	// seen are the values with the time at which each was seen last.
	seen []seen[V]
}

type seen[V comparable] struct {
	value V
	last  int64
}

// See notes that a value serves at the time now, in nanoseconds since the epoch. If it is new, it returns what served
// before; the first one of all is not. keep makes a copy of a value that is to be remembered.
func (r *Rollout[V]) See(is V, now int64, keep func(V) V) (previous V, changed bool) {
	at := r.find(is)
	if at < 0 {
		if is = keep(is); len(r.seen) == 0 {
			r.seen, r.current = append(r.seen, seen[V]{is, now}), is
			return previous, false
		}
		if !r.makeRoom(now) {
			return previous, false
		}
		r.seen = append(r.seen, seen[V]{is, now})
		previous, r.current = r.current, is
		return previous, true
	}
	s := &r.seen[at]
	known := now-s.last <= Forgotten
	s.last = max(s.last, now)
	if s.value == r.current {
		return previous, false
	}
	if known {
		if !r.Serves(r.current, now) {
			r.current = s.value // It is what the next one replaces, which may be the one that was taken back.
		}
		return previous, false
	}
	previous, r.current = r.current, s.value
	return previous, true
}

// Serves says whether a value was seen shortly before a time.
func (r *Rollout[V]) Serves(value V, at int64) bool {
	i := r.find(value)
	return i >= 0 && at-r.seen[i].last <= Gone
}

// Current is the value that was announced last, or the first one; the zero value before there was any.
func (r *Rollout[V]) Current() V { return r.current }

func (r *Rollout[V]) find(value V) int {
	for i := range r.seen {
		if r.seen[i].value == value {
			return i
		}
	}
	return -1
}

// makeRoom forgets what no longer serves, if there is no room for one more, and says whether there is.
func (r *Rollout[V]) makeRoom(now int64) bool {
	if len(r.seen) < most {
		return true
	}
	left := r.seen[:0]
	for _, s := range r.seen {
		if now-s.last <= Forgotten || s.value == r.current {
			left = append(left, s)
		}
	}
	clear(r.seen[len(left):])
	r.seen = left
	return len(r.seen) < most
}
