package place

import (
	"math"
	"slices"
	"unsafe"

	bounded "github.com/throughline-otel/throughline/processor/correlationprocessor/internal/name"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/recency"
)

const (
	// maxServices bounds the services of one place.
	maxServices = 16
	// yield is how long one of them must have been silent before a newcomer takes its place: were it shorter, the points of a
	// place with many services would change their attributes all the time.
	yield = silence / 3

	recordBytes  = int64(unsafe.Sizeof(record{}))
	residentSize = int64(unsafe.Sizeof(resident{}))
	readingSize  = int64(unsafe.Sizeof(reading{}))
	stringSize   = int64(unsafe.Sizeof(""))
	nameSize     = int64(unsafe.Sizeof(name{}))
	// entryBytes and nameBytes are an entry of the maps, of which a half to two thirds are taken.
	entryBytes = 26
	nameBytes  = 56
)

// record is what is known under one spelling.
type record struct {
	key uint64
	recency.Links[record]
	bytes     int64
	seen      int64
	claims    claims
	claimed   int64 // when somebody last claimed anything
	contested int64 // until when the name stands for nothing
	residents []resident
	due       int64 // when the first of them may have to leave
	answer    []string
	readings  []reading
}

// resident is a service of a place.
type resident struct {
	name *name
	seen int64
}

// name is shared by all places of a service.
type name struct {
	text  string
	users int
}

// bytes are those that the allocator takes, in steps of 16.
func (n *name) bytes() int64 {
	return nameSize + int64(len(n.text)+15)&^15
}

// reading is the last value of a metric.
type reading struct {
	// at is the sender's time, and fresh the same unless that is ahead.
	at, fresh int64
	value     float64
	metric    uint8
}

func (r *record) last(metric uint8) *reading {
	for i := range r.readings {
		if r.readings[i].metric == metric {
			return &r.readings[i]
		}
	}
	return nil
}

// read takes a reading. One that only seems young to a clock ahead does not keep others out: neither once it has become older
// than oldest, nor while it is from after newest.
func (r *record) read(oldest, newest int64, taken reading) {
	last := r.last(taken.metric)
	switch {
	case last == nil:
		r.readings = append(r.readings, taken)
	case taken.at > last.at, last.fresh < oldest:
		*last = taken
	case taken.at == last.at:
		last.value = max(last.value, taken.value)
	case last.at > newest:
		*last = taken
	}
}

// join adds a service to those of a place, or takes note that it is still there.
func (x *Index) join(now int64, r *record, service string) {
	service = bounded.Cut(service)
	longest := -1
	for i := range r.residents {
		known := &r.residents[i]
		if known.name.text == service {
			known.seen = max(known.seen, now)
			return
		}
		if longest < 0 || known.seen < r.residents[longest].seen {
			longest = i
		}
	}
	newcomer := resident{name: x.intern(service), seen: now}
	switch {
	case len(r.residents) < maxServices:
		r.residents = append(r.residents, newcomer)
	case r.residents[longest].seen < now-yield:
		x.release(r.residents[longest].name)
		r.residents[longest] = newcomer
	default:
		x.release(newcomer.name)
		return
	}
	x.answer(r)
}

// leave lets the services go that have been silent for too long.
func (x *Index) leave(now int64, r *record) {
	before := len(r.residents)
	r.residents = slices.DeleteFunc(r.residents, func(known resident) bool {
		gone := known.seen < now-x.keep
		if gone {
			x.release(known.name)
		}
		return gone
	})
	if len(r.residents) < before {
		x.answer(r)
	} else {
		x.schedule(r)
	}
}

// answer makes the list anew: somebody may still be reading the former one.
func (x *Index) answer(r *record) {
	r.answer = make([]string, 0, len(r.residents))
	for i := range r.residents {
		r.answer = append(r.answer, r.residents[i].name.text)
	}
	slices.Sort(r.answer)
	x.schedule(r)
	x.settle(r)
}

// schedule says when to look for services that have to leave. Until then whoever asks need not look.
func (x *Index) schedule(r *record) {
	r.due = math.MaxInt64
	for i := range r.residents {
		r.due = min(r.due, r.residents[i].seen+x.keep)
	}
}

// empty forgets what is known, but not whose the name is.
func (x *Index) empty(r *record) {
	for i := range r.residents {
		x.release(r.residents[i].name)
	}
	r.residents, r.answer, r.readings, r.due = nil, nil, nil, math.MaxInt64
	x.settle(r)
}

// settle accounts for what a record takes.
func (x *Index) settle(r *record) {
	bytes := recordBytes + int64(cap(r.residents))*residentSize + int64(cap(r.answer))*stringSize +
		int64(cap(r.readings))*readingSize
	if bytes != r.bytes {
		x.used.Add(bytes - r.bytes)
		r.bytes = bytes
	}
}

// intern keeps one copy of a name, which keeps nothing else alive.
func (x *Index) intern(service string) *name {
	n, ok := x.names[service]
	if !ok {
		n = &name{text: bounded.Keep(service)}
		x.names[n.text] = n
		x.used.Add(n.bytes())
		if len(x.names) > x.mostNames {
			x.mostNames = len(x.names)
			x.used.Add(nameBytes)
		}
	}
	n.users++
	return n
}

func (x *Index) release(n *name) {
	n.users--
	if n.users == 0 {
		delete(x.names, n.text)
		x.used.Add(-n.bytes())
	}
}
