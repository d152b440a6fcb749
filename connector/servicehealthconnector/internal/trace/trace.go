// Package trace holds span records without pointers, and puts the records of one trace into a tree.
package trace

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/throughline-otel/throughline/internal/layer"
)

// Flags are facts about a span.
type Flags uint8

const (
	// Failed says that the span's status is an error.
	Failed Flags = 1 << iota
	// TimedOut says that the failure was a timeout or a cancellation, as far as the span says so.
	TimedOut
	// Call says that the span stands for a call that its service made and waited for.
	Call
	// ToService says that the peer of a call is a service that sends telemetry, whether or not its span is here.
	ToService
	// Broker says that the span is about the broker of a message: it receives or settles, and neither calls nor answers anybody.
	Broker
	// Receives says of a span about the broker that it fetches messages.
	Receives
)

// Record is what is kept of a span until its trace is decided. It fills one line of the processor's cache, and has no pointers,
// so that the garbage collector does not look at it.
type Record struct {
	ID, Parent uint64
	// Start and End are nanoseconds since the epoch; End is never before Start.
	Start, End int64
	// Count is how many spans this one stands for: 1, or more where the sender sampled.
	Count float64
	// Service, Operation and Peer are numbers of a names.Table, and so is ErrorType, of which there are few.
	Service, Operation, Peer uint32
	// Marks is the number, in a marks.Table, of what objectives say of the span.
	Marks     uint32
	ErrorType uint16
	// Dimensions is the number, in a dimension.Table, of what the span says of the extra dimensions.
	Dimensions uint16
	Kind       uint8
	Layer      layer.Layer
	Flags      Flags
}

// SpanKind is the record's kind as pdata has it.
func (r *Record) SpanKind() ptrace.SpanKind { return ptrace.SpanKind(r.Kind) }

// IsOutgoing says whether the span stands for one call or message alone.
func (r *Record) IsOutgoing() bool {
	return r.SpanKind() == ptrace.SpanKindClient || r.SpanKind() == ptrace.SpanKindProducer
}

// Number makes an integer of a span ID; 0 is the invalid one.
func Number(id pcommon.SpanID) uint64 { return binary.LittleEndian.Uint64(id[:]) }

// SpanID is the inverse of Number.
func SpanID(number uint64) pcommon.SpanID {
	var id pcommon.SpanID
	binary.LittleEndian.PutUint64(id[:], number)
	return id
}

// Has says whether all of flags are set.
func (r *Record) Has(flags Flags) bool { return r.Flags&flags == flags }

// None is the index of no span.
const None int32 = -1

// Trace is the tree of one trace's records. Build may be called again and again; it reuses its memory.
type Trace struct {
	ID pcommon.TraceID
	// Spans are in order of their start.
	Spans []Record
	// Parent, FirstChild and NextSibling are indices into Spans, or None. Siblings are in order of their start. Of two spans that
	// share an ID the server's is the child of the client's.
	Parent, FirstChild, NextSibling []int32
	// Self is the time of each span in nanoseconds in which it waited for none of those that Waits names.
	Self []int64
	// Duplicates is the number of records that came more than once and were left out.
	Duplicates int

	order []place
	index table
	waits []int32
	last  []int32
	// consumers is made only for traces that are asked for it.
	consumers    table
	hasConsumers bool
	// clients has the client's half of each pair of spans that share an ID, and exists only in traces with such.
	clients  table
	hasPairs bool
}

type place struct {
	start int64
	id    uint64
	at    int32
}

// Build makes the tree from records, which it leaves as they are. Records with the ID of another are left out, except that the
// client's and the server's span of one call may share theirs, as Zipkin's do (https://github.com/openzipkin/b3-propagation).
// A record whose parent is missing is a root; of a circle of parents, the span that started first becomes a root.
func (t *Trace) Build(id pcommon.TraceID, records []Record) {
	t.ID = id
	t.sort(records)
	t.index.reset(len(records))
	t.Spans = t.Spans[:0]
	t.hasConsumers, t.hasPairs = false, false
	for _, o := range t.order {
		if t.index.put(records[o.at].ID, int32(len(t.Spans))) || t.pair(&records[o.at], len(records)) {
			t.Spans = append(t.Spans, records[o.at])
		}
	}
	t.Duplicates = len(records) - len(t.Spans)
	t.link()
	t.measure()
}

// sort orders the places of the records, which are large, by their start and then, so that the order is always the same, by ID.
func (t *Trace) sort(records []Record) {
	t.order = slices.Grow(t.order[:0], len(records))[:len(records)]
	for i := range records {
		t.order[i] = place{start: records[i].Start, id: records[i].ID, at: int32(i)}
	}
	slices.SortFunc(t.order, func(a, b place) int {
		if a.start != b.start {
			return cmp.Compare(a.start, b.start)
		}
		return cmp.Compare(a.id, b.id)
	})
}

// pair says whether a record, the next of Spans, and the first one with the same ID are the two sides of a call. The ID then
// means the server's side.
func (t *Trace) pair(r *Record, most int) bool {
	first := t.index.get(r.ID)
	server, client := int32(len(t.Spans)), first
	switch kinds := [...]ptrace.SpanKind{t.Spans[first].SpanKind(), r.SpanKind()}; kinds {
	case [...]ptrace.SpanKind{ptrace.SpanKindClient, ptrace.SpanKindServer}:
	case [...]ptrace.SpanKind{ptrace.SpanKindServer, ptrace.SpanKindClient}: // By clocks that do not agree.
		server, client = client, server
	default:
		return false
	}
	if !t.hasPairs {
		t.hasPairs = true
		t.clients.reset(most)
	}
	if !t.clients.put(r.ID, client) {
		return false
	}
	t.index.set(r.ID, server)
	return true
}

func (t *Trace) link() {
	n := len(t.Spans)
	t.Parent = filled(t.Parent, n)
	t.FirstChild = filled(t.FirstChild, n)
	t.NextSibling = filled(t.NextSibling, n)
	t.last = filled(t.last, n)
	for i := range t.Spans {
		if parent := t.Spans[i].Parent; parent != 0 && parent != t.Spans[i].ID {
			t.Parent[i] = t.index.get(parent)
		}
	}
	if t.hasPairs {
		t.linkPairs()
	}
	t.breakCircles()
	for i := range t.Spans {
		parent := t.Parent[i]
		if parent == None {
			continue
		}
		if t.last[parent] == None {
			t.FirstChild[parent] = int32(i)
		} else {
			t.NextSibling[t.last[parent]] = int32(i)
		}
		t.last[parent] = int32(i)
	}
}

// linkPairs puts the server's span of each pair under the client's, and so what else of the client's own service has their ID as its
// parent.
func (t *Trace) linkPairs() {
	for i := range t.Spans {
		span := &t.Spans[i]
		if client := t.clients.get(span.ID); client != None && t.index.get(span.ID) == int32(i) {
			t.Parent[i] = client
			continue
		}
		server := t.Parent[i]
		if server == None {
			continue
		}
		client := t.clients.get(span.Parent)
		if client != None && t.Spans[client].Service == span.Service && t.Spans[server].Service != span.Service {
			t.Parent[i] = client
		}
	}
}

// breakCircles walks up from each span until it meets a root or a span that an earlier walk has passed.
// t.last serves as the memory of which walk passed where.
func (t *Trace) breakCircles() {
	for i := range t.Spans {
		for at := int32(i); at != None && t.last[at] == None; at = t.Parent[at] {
			t.last[at] = int32(i)
			if up := t.Parent[at]; up != None && t.last[up] == int32(i) {
				t.Parent[t.firstOfCircle(up)] = None
				break
			}
		}
	}
	for i := range t.last {
		t.last[i] = None
	}
}

func (t *Trace) firstOfCircle(in int32) int32 {
	first := in
	for at := t.Parent[in]; at != in; at = t.Parent[at] {
		first = min(first, at) // Spans are in order of their start.
	}
	return first
}

// measure computes Self.
func (t *Trace) measure() {
	n := len(t.Spans)
	t.Self = slices.Grow(t.Self[:0], n)[:n]
	for i := range t.Spans {
		t.Self[i] = t.Spans[i].End - t.Spans[i].Start
		covered := t.Spans[i].Start
		t.waits = t.Waits(int32(i), t.waits[:0])
		for _, other := range t.waits {
			from, to := max(t.Spans[other].Start, covered), min(t.Spans[other].End, t.Spans[i].End)
			if to > from {
				t.Self[i] -= to - from
				covered = to
			}
		}
	}
}

// maxBeside bounds how many siblings of a span are looked at for calls that it makes.
const maxBeside = 64

// Waits appends those for which span i waits, in order of their start: its children, unless they are asynchronous, and the calls
// beside it that begin within it. Code that reacts to events leaves a span before it makes the calls of which the span's work
// consists, so that they are beside it and not below.
func (t *Trace) Waits(i int32, spans []int32) []int32 {
	beside, end := None, t.Spans[i].End
	if kind := t.Spans[i].SpanKind(); kind == ptrace.SpanKindInternal || kind == ptrace.SpanKindUnspecified {
		beside = t.NextSibling[i]
	}
	child := t.FirstChild[i]
	for looked := 0; ; {
		if beside != None && (looked >= maxBeside || t.Spans[beside].Start >= end) {
			beside = None
		}
		switch {
		case child == None && beside == None:
			return spans
		case beside == None || child != None && child < beside:
			if !t.Async(child) {
				spans = append(spans, child)
			}
			child = t.NextSibling[child]
		default:
			if s := &t.Spans[beside]; s.IsOutgoing() && s.Service == t.Spans[i].Service {
				spans = append(spans, beside)
			}
			looked++
			beside = t.NextSibling[beside]
		}
	}
}

// Async says whether nobody waits for span i: a consumer works after its producer went on.
func (t *Trace) Async(i int32) bool {
	return t.Spans[i].SpanKind() == ptrace.SpanKindConsumer
}

// At returns the index of the span with this ID, the server's if two have it, or None.
func (t *Trace) At(id uint64) int32 { return t.index.get(id) }

// Remote returns the first child of span i that belongs to another service, or None.
func (t *Trace) Remote(i int32) int32 {
	for child := t.FirstChild[i]; child != None; child = t.NextSibling[child] {
		if t.Spans[child].Service != t.Spans[i].Service {
			return child
		}
	}
	return None
}

// Consumes says whether a child of span parent is work of that service on a message.
func (t *Trace) Consumes(parent int32, service uint32) bool {
	key := func(parent int32, service uint32) uint64 { return uint64(parent)<<32 | uint64(service) }
	if !t.hasConsumers {
		t.hasConsumers = true
		t.consumers.reset(len(t.Spans))
		for i := range t.Spans {
			if t.Parent[i] != None && t.Spans[i].SpanKind() == ptrace.SpanKindConsumer {
				t.consumers.put(key(t.Parent[i], t.Spans[i].Service), int32(i))
			}
		}
	}
	return t.consumers.get(key(parent, service)) != None
}

func filled(s []int32, n int) []int32 {
	s = slices.Grow(s[:0], n)[:n]
	for i := range s {
		s[i] = None
	}
	return s
}

// table maps keys to indices by open addressing. A Go map would have to be cleared for each trace. The hash is seeded: span
// IDs come from strangers.
type table struct {
	seed   [2]uint64
	keys   []uint64
	values []int32
	mask   uint64
}

func (t *table) reset(n int) {
	for t.seed[1] == 0 {
		t.seed = [2]uint64{rand.Uint64(), rand.Uint64()}
	}
	size := 8
	for size < 2*n {
		size *= 2
	}
	t.keys = slices.Grow(t.keys[:0], size)[:size]
	t.values = filled(t.values, size)
	t.mask = uint64(size - 1)
}

// put says whether key was new.
func (t *table) put(key uint64, value int32) bool {
	at := t.slot(key)
	if t.values[at] != None {
		return false
	}
	t.keys[at], t.values[at] = key, value
	return true
}

// set changes the value of a key that is there.
func (t *table) set(key uint64, value int32) { t.values[t.slot(key)] = value }

func (t *table) get(key uint64) int32 { return t.values[t.slot(key)] }

func (t *table) slot(key uint64) uint64 {
	// Both halves of a product with a secret number; package maphash takes several times as long for a single word.
	high, low := bits.Mul64(key^t.seed[0], t.seed[1])
	at := (high ^ low) & t.mask
	for t.values[at] != None && t.keys[at] != key {
		at = (at + 1) & t.mask
	}
	return at
}
