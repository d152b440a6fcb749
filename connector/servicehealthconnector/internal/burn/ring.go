package burn

import (
	"math"
	"time"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/snapshot"
)

// shape is what the rings of one window have in common.
type shape struct {
	window time.Duration
	width  int64
	// size is the number of buckets in the window, room that of all that are kept: also those ahead of it, and the next one.
	size, room int64
}

// newShape divides a window into buckets of a whole number of slices, if there are any.
func newShape(window, ahead, slice time.Duration) shape {
	width := max(window/buckets, finest)
	if slice > 0 {
		width = (width + slice - 1) / slice * slice
	}
	size := max(1, int64(window/width))
	return shape{window: window, width: int64(width), size: size, room: size + int64((ahead+width-1)/width) + 1}
}

// first is the start of the first bucket of the window that ends now.
func (s *shape) first(now int64) int64 { return (now/s.width - s.size + 1) * s.width }

// ring holds the latest buckets of one window, and those ahead of it. The bucket with number n, which begins at n times
// width, is at n modulo the room.
type ring struct {
	*shape
	// last is the latest bucket that anything was counted in.
	last int64
	// narrow are the counts while all are small, wide once one is not. Neither is there as long as nothing is counted.
	narrow [][2]uint32
	wide   []Count
	// at is the last bucket of the window whose sum and number of measured buckets are known; -1 if they are not.
	at       int64
	sum      Count
	measured int64
}

func newRing(s *shape) ring { return ring{shape: s, last: -1, at: -1} }

// get is the count of a bucket.
func (r *ring) get(number int64) Count {
	switch {
	case number < 0 || number > r.last || number <= r.last-r.room:
		return Count{}
	case r.wide != nil:
		return r.wide[number%r.room]
	case r.narrow != nil:
		c := r.narrow[number%r.room]
		return Count{uint64(c[0]), uint64(c[1])}
	default:
		return Count{}
	}
}

func (r *ring) set(number int64, c Count) {
	if r.wide == nil && (c.Good > math.MaxUint32 || c.Bad > math.MaxUint32) {
		wide := make([]Count, r.room)
		for i, n := range r.narrow {
			wide[i] = Count{uint64(n[0]), uint64(n[1])}
		}
		r.narrow, r.wide = nil, wide
	}
	if r.wide != nil {
		r.wide[number%r.room] = c
		return
	}
	if r.narrow == nil {
		r.narrow = make([][2]uint32, r.room)
	}
	r.narrow[number%r.room] = [2]uint32{uint32(c.Good), uint32(c.Bad)}
}

// change takes less out of the bucket that a time is in, and puts more into it. What is past the window stays out.
func (r *ring) change(at int64, less, more Count) {
	number := at / r.width
	r.advance(number)
	if number <= r.last-r.room {
		return // It is past this window, but may be within longer ones.
	}
	was := r.get(number)
	is := Count{was.Good - less.Good + more.Good, was.Bad - less.Bad + more.Bad}
	r.set(number, is)
	if number <= r.at && number > r.at-r.size {
		r.enter(is)
		r.leave(was)
	}
}

// advance makes room for a bucket.
func (r *ring) advance(number int64) {
	if number <= r.last {
		return
	}
	if number-r.room > r.at-r.size {
		r.at = -1 // What goes may be in the sum.
	}
	if r.last < number-r.room {
		clear(r.narrow)
		clear(r.wide)
	} else {
		for gone := r.last + 1; gone <= number; gone++ {
			if r.wide != nil {
				r.wide[gone%r.room] = Count{}
			} else if r.narrow != nil {
				r.narrow[gone%r.room] = [2]uint32{}
			}
		}
	}
	r.last = number
}

func (r *ring) enter(c Count) {
	if c != (Count{}) {
		r.sum.Good += c.Good
		r.sum.Bad += c.Bad
		r.measured++
	}
}

func (r *ring) leave(c Count) {
	if c != (Count{}) {
		r.sum.Good -= c.Good
		r.sum.Bad -= c.Bad
		r.measured--
	}
}

// move makes the sum that of the window which ends now. From one tick to the next it only looks at what enters and leaves.
func (r *ring) move(now int64) {
	current := now / r.width
	switch {
	case current == r.at:
		return
	case r.narrow == nil && r.wide == nil:
		r.sum, r.measured = Count{}, 0
	case r.at < 0 || current < r.at || current-r.at >= r.size:
		r.sum, r.measured = Count{}, 0
		for number := current - r.size + 1; number <= current; number++ {
			r.enter(r.get(number))
		}
	default:
		for number := r.at + 1; number <= current; number++ {
			r.enter(r.get(number))
			r.leave(r.get(number - r.size))
		}
	}
	r.at = current
	if r.last <= current-r.size {
		r.narrow, r.wide = nil, nil // All of it is past.
	}
}

// each calls f with the start and the count of each bucket of the window that ends now, the latest first.
func (r *ring) each(now int64, f func(start int64, c Count)) {
	current := now / r.width
	for number := min(current, r.last); number > max(current-r.size, r.last-r.room, -1); number-- {
		f(number*r.width, r.get(number))
	}
}

// put appends the ring's buckets.
func (r *ring) put(b []byte) []byte {
	b = snapshot.Uint(b, uint64(r.window))
	b = snapshot.Uint(b, uint64(r.width))
	filled := 0
	for number := max(0, r.last-r.room+1); number <= r.last; number++ {
		if r.get(number) != (Count{}) {
			filled++
		}
	}
	b = snapshot.Uint(b, uint64(filled))
	before := int64(0)
	for number := max(0, r.last-r.room+1); number <= r.last; number++ {
		if c := r.get(number); c != (Count{}) {
			b = snapshot.Uint(b, uint64(number-before))
			b = c.put(b)
			before = number
		}
	}
	return b
}

// takeRing reads the buckets of a ring and adds them to that of the same window and width, if there is one. Of a time later than
// latest there can't be any.
func takeRing(r *snapshot.Reader, into []ring, latest int64) {
	window, width := r.Time(), r.Time()
	var to *ring
	for i := range into {
		if int64(into[i].window) == window && into[i].width == width {
			to = &into[i]
		}
	}
	number := int64(0)
	for range r.Len() {
		number += r.Time()
		c := takeCount(r)
		if number < 0 || r.Err() != nil {
			r.Refuse(snapshot.ErrNumber)
			return
		}
		if to != nil && number <= latest/to.width {
			to.change(number*to.width, Count{}, c)
		}
	}
}

func (c Count) put(b []byte) []byte { return snapshot.Uint(snapshot.Uint(b, c.Good), c.Bad) }

func takeCount(r *snapshot.Reader) Count { return Count{Good: r.Uint(), Bad: r.Uint()} }
