// Package store remembers spans for a short while, so that what comes later about the same trace can be joined to them.
//
// It is sharded by trace. A shard is a list of traces in the order of their newest spans, which alone says what goes next,
// and a trace is a list of blocks of spans. So a span that comes finds what it needs where the span before it in its trace
// was, however many others are remembered. Nothing that there is much of has a pointer, and whatever grows does so by a
// small piece at a time. All operations take constant time, and in the steady state none allocates.
package store

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/throughline-otel/throughline/internal/layer"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/recency"
)

// Span is what is told of a span.
type Span struct {
	Trace      pcommon.TraceID
	ID         pcommon.SpanID
	Start, End int64
	// Service is the name of the service that sent it, as people know it.
	Service string
	Layer   layer.Layer
	Failed  bool
	// Root says that nobody called: the trace came in here.
	Root bool
	// Operation is the span's name. It is remembered of a root only.
	Operation string
}

// Outcome is what became of a trace, as far as its spans have been seen. The worse is the greater.
type Outcome uint8

const (
	// Unknown means that the trace is not remembered.
	Unknown Outcome = iota
	// Fine means that nothing else is known.
	Fine
	// Slow means that a span of it took too long.
	Slow
	// Failed means that a span of it failed.
	Failed
)

// Context is what is known about a span and its trace.
type Context struct {
	// SpanSeen is whether the span itself is remembered, and Layer its layer.
	SpanSeen bool
	Layer    layer.Layer
	// RootSeen is whether it is known where the trace came in: at the service Entry, for Operation.
	RootSeen  bool
	Entry     string
	Operation string
	// Failed is what became of the trace at its entry.
	Failed bool
	// Outcome is what became of the whole trace so far.
	Outcome Outcome
}

const (
	// A shard has at least shardBytes, so that what all shards need does not take the room of a small store.
	shardBytes = 1 << 20
	maxShards  = 8
	// runLength is how many spans are sorted by trace at a time.
	runLength = 512
	listBits  = 9
)

// run has lists of spans whose hashes start alike. A link is a place plus one; zero is none.
type run struct {
	first  [1 << listBits]uint16
	next   [runLength]uint16
	hashes [runLength]uint64
}

// Store remembers spans. It reads no clock: every call says what time it is, in nanoseconds, by one that does not go back.
type Store struct {
	seed      uint64
	shards    []shard
	shift     int // of a hash, to the number of its shard
	used      atomic.Int64
	byAge     atomic.Int64
	byBytes   atomic.Int64
	crowded   atomic.Int64
	slowAbove int64
	runs      sync.Pool
}

// New makes a store of at most maxBytes, which has to be 64 KiB or more. It forgets what is older than retention, but up
// to 0.2 % later. A span that took longer than slowAbove, which is not negative, makes its trace slow.
func New(maxBytes int64, retention, slowAbove time.Duration) *Store {
	count := 1
	for count < maxShards && maxBytes >= int64(2*count)*shardBytes {
		count *= 2
	}
	s := &Store{
		seed:      rand.Uint64(),
		shards:    make([]shard, count),
		shift:     64 - bits.TrailingZeros(uint(count)),
		slowAbove: int64(slowAbove),
		runs:      sync.Pool{New: func() any { return new(run) }},
	}
	for i := range s.shards {
		s.shards[i].init(s, maxBytes/int64(count), int64(retention))
	}
	return s
}

// Remember takes the spans in. It is cheaper by the span if there are many.
func (s *Store) Remember(now int64, spans []Span) {
	if len(spans) == 1 {
		shard, hash := s.lock(now, lowHalf(spans[0].Trace))
		shard.insert(&spans[0], hash)
		shard.unlock()
		return
	}
	for len(spans) > 0 {
		length := min(len(spans), runLength)
		s.remember(now, spans[:length])
		spans = spans[length:]
	}
}

// remember takes each lock once, and the spans of a trace in a row, however they are mixed.
func (s *Store) remember(now int64, spans []Span) {
	r := s.runs.Get().(*run)
	defer s.runs.Put(r)
	clear(r.first[:])
	for i := len(spans) - 1; i >= 0; i-- {
		hash := s.traceHash(lowHalf(spans[i].Trace))
		list := &r.first[hash>>(64-listBits)]
		r.hashes[i], r.next[i], *list = hash, *list, uint16(i+1)
	}
	lists := len(r.first) / len(s.shards)
	// Who comes at the same time starts elsewhere.
	start := int(r.hashes[0] >> s.shift)
	for i := range s.shards {
		number := (start + i) & (len(s.shards) - 1)
		s.shards[number].remember(now, spans, r, r.first[number*lists:][:lists])
	}
}

// Context tells what is known about a span and its trace. It is false where the trace is not remembered. An empty
// span id asks about the trace alone.
func (s *Store) Context(now int64, trace pcommon.TraceID, span pcommon.SpanID) (Context, bool) {
	shard, hash := s.lock(now, lowHalf(trace))
	defer shard.unlock()
	return shard.context(trace, span, hash)
}

// Decide tells the outcome of a trace, always the same one from the first time it is known: whatever hangs on it is then
// settled for all that belongs to the trace. Settled is false where the trace is not remembered.
func (s *Store) Decide(now int64, trace pcommon.TraceID) (outcome Outcome, settled bool) {
	shard, hash := s.lock(now, lowHalf(trace))
	defer shard.unlock()
	return shard.decide(trace, hash)
}

// Resolve finds the only remembered trace whose id ends in the given half.
func (s *Store) Resolve(now int64, half uint64) (pcommon.TraceID, bool) {
	shard, hash := s.lock(now, half)
	defer shard.unlock()
	return shard.resolve(half, hash)
}

// Size is how many bytes the store takes.
func (s *Store) Size() int64 {
	return s.used.Load()
}

// Evicted counts the spans that have left so far, without those that Crowded counts.
func (s *Store) Evicted() recency.Evictions {
	return recency.Evictions{Age: s.byAge.Load(), Bytes: s.byBytes.Load()}
}

// Crowded counts the spans that have made place for others of their own trace, which more memory would not have kept.
func (s *Store) Crowded() int64 {
	return s.crowded.Load()
}

// lock returns the shard of the traces whose ids end in the given half, locked, and their hash.
func (s *Store) lock(now int64, half uint64) (*shard, uint64) {
	hash := s.traceHash(half)
	shard := &s.shards[hash>>s.shift]
	shard.lock(now)
	return shard, hash
}

// traceHash looks at half of the id, so that senders who know no more than that find their trace too.
func (s *Store) traceHash(half uint64) uint64 {
	return mix(half^s.seed, 0x9e3779b97f4a7c15)
}

func lowHalf(id pcommon.TraceID) uint64 {
	return binary.BigEndian.Uint64(id[8:])
}

func mix(a, b uint64) uint64 {
	high, low := bits.Mul64(a, b)
	return high ^ low
}
