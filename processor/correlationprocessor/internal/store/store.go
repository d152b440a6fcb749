// Package store remembers spans for a short while, so that what comes later about the same trace can be joined to them.
//
// It is sharded by trace. A shard is a queue in the order of arrival, and two hash tables into it whose chains run from
// the newest span to the oldest: what has left the queue is the end of every chain, so that nothing needs to be taken
// out of a table. All operations take constant time, and in the steady state none allocates.
package store

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/throughline-otel/throughline/internal/layer"
	"github.com/throughline-otel/throughline/internal/service"
)

// Emitter is who sent a span: an instance of a service.
type Emitter struct {
	Service  service.Identity
	Instance string
	// Name is the service's name as people know it.
	Name string
}

// Span is what is remembered of a span.
type Span struct {
	Trace      pcommon.TraceID
	ID         pcommon.SpanID
	Start, End int64
	Emitter    *Emitter
	Layer      layer.Layer
	Failed     bool
	// Root says that nobody called: the trace came in here.
	Root bool
	// Operation is the span's name. It is remembered of a root only.
	Operation string
}

// Context is what is known about a span and its trace.
type Context struct {
	// SpanSeen is whether the span itself is remembered, and Layer its layer.
	SpanSeen bool
	Layer    layer.Layer
	// Entry is nil until it is known.
	Entry     *Emitter
	Operation string
	// Failed is what became of the trace at its entry.
	Failed bool
}

// Evictions counts what has left the store.
type Evictions struct {
	Age, Bytes int64
}

const shardCount = 32

// Store remembers spans. It reads no clock: every call says what time it is, in nanoseconds.
type Store struct {
	seed      uint64
	retention int64
	shards    [shardCount]shard
	used      atomic.Int64
	byAge     atomic.Int64
	byBytes   atomic.Int64
}

// New makes a store of at most maxBytes, which forgets what is older than retention.
func New(maxBytes int64, retention time.Duration) *Store {
	s := &Store{seed: rand.Uint64(), retention: int64(retention)}
	for i := range s.shards {
		s.shards[i].store = s
		s.shards[i].budget = maxBytes / shardCount
	}
	return s
}

// Remember takes the spans in. Spans of one trace that stand together are cheaper than those that do not.
func (s *Store) Remember(now int64, spans []Span) {
	var held *shard
	for i := range spans {
		span := &spans[i]
		hash := s.traceHash(lowHalf(span.Trace))
		if next := s.shard(hash); next != held {
			if held != nil {
				held.mu.Unlock()
			}
			next.mu.Lock()
			next.expire(now)
			held = next
		}
		held.insert(now, span, hash)
	}
	if held != nil {
		held.mu.Unlock()
	}
}

// Context tells what is known about a span and its trace. It is false where the trace is not remembered. An empty
// span id asks about the trace alone.
func (s *Store) Context(now int64, trace pcommon.TraceID, span pcommon.SpanID) (Context, bool) {
	hash := s.traceHash(lowHalf(trace))
	shard := s.shard(hash)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	shard.expire(now)
	return shard.context(trace, span, hash)
}

// Resolve finds the only remembered trace whose id ends in the given half.
func (s *Store) Resolve(now int64, half uint64) (pcommon.TraceID, bool) {
	hash := s.traceHash(half)
	shard := s.shard(hash)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	shard.expire(now)
	return shard.resolve(half, hash)
}

// Size is how many bytes the store takes.
func (s *Store) Size() int64 {
	return s.used.Load()
}

// Evicted counts the spans that have left so far.
func (s *Store) Evicted() Evictions {
	return Evictions{Age: s.byAge.Load(), Bytes: s.byBytes.Load()}
}

func (s *Store) shard(hash uint64) *shard {
	return &s.shards[hash>>(64-5)]
}

// traceHash looks at half of the id, so that senders who know no more than that find their trace too.
func (s *Store) traceHash(half uint64) uint64 {
	return mix(half^s.seed, 0x9e3779b97f4a7c15)
}

func spanHash(trace uint64, id pcommon.TraceID, span pcommon.SpanID) uint64 {
	return mix(trace^binary.LittleEndian.Uint64(span[:]), 0xd6e8feb86659fd93^binary.LittleEndian.Uint64(id[:8]))
}

func lowHalf(id pcommon.TraceID) uint64 {
	return binary.BigEndian.Uint64(id[8:])
}

func mix(a, b uint64) uint64 {
	high, low := bits.Mul64(a, b)
	return high ^ low
}
