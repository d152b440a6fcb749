// Package note remembers what log records said about a span, so that it can be put onto the span when that comes by.
package note

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"
	"unsafe"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/recency"
)

const (
	shardCount = 8
	// bytesPerMark is how many bytes of the bound there are for each mark of the filter: about what a span with one note
	// takes, so that most marks are free even when the index is full.
	bytesPerMark = 256
	markBytes    = int64(unsafe.Sizeof(atomic.Int32{}))
	// sweeps is how often within the retention all shards are looked through for what is too old.
	sweeps = 8
)

// Config says what is noted beside the count of errors.
type Config struct {
	// MinSeverity is the lowest severity that is noted; SeverityNumberUnspecified notes nothing.
	MinSeverity plog.SeverityNumber
	// MaxPerSpan bounds the notes of a span.
	MaxPerSpan int
	// Attributes are the keys of a record's attributes that its note takes along.
	Attributes []string
}

// Index finds notes by the span that they are about. It reads no clock: every call says what time it is, in nanoseconds, by
// one that does not go back.
//
// What is found stays remembered for the retention after the span's newest record, since a span may come again: its
// sender sends it once more when a consumer behind this one has failed.
type Index struct {
	config    Config
	lowest    plog.SeverityNumber
	carried   []string
	retention int64
	seeds     [4]uint64
	texts     maphash.Seed
	shards    [shardCount]shard
	// filter counts spans by a part of their hash. The path of a span that nothing is noted about ends there, without
	// a lock.
	filter       []atomic.Int32
	spans        atomic.Int64
	nextSweep    atomic.Int64
	used         atomic.Int64
	byAge, bytes atomic.Int64
}

// New makes an index of at most maxBytes, which forgets what it noted about a span when none of the span's records has
// come for the retention.
func New(maxBytes int64, retention time.Duration, config Config) *Index {
	x := &Index{
		config:    config,
		lowest:    plog.SeverityNumberError,
		carried:   carried(config.Attributes),
		retention: int64(retention),
		texts:     maphash.MakeSeed(),
		seeds:     [4]uint64{rand.Uint64(), rand.Uint64(), rand.Uint64(), rand.Uint64()},
		filter:    make([]atomic.Int32, 1<<(bits.Len64(uint64(max(maxBytes/bytesPerMark, 1)))-1)),
	}
	if config.MinSeverity != plog.SeverityNumberUnspecified {
		x.lowest = min(x.lowest, config.MinSeverity)
	}
	fixed := int64(len(x.filter)) * markBytes
	x.used.Store(fixed)
	for i := range x.shards {
		x.shards[i].index = x
		x.shards[i].budget = (maxBytes - fixed) / shardCount
	}
	return x
}

// carried are the keys that notes take along: those that were asked for, and those without which an exception has none.
func carried(listed []string) []string {
	var keys []string
	for _, key := range slices.Concat(listed, []string{exceptionType, exceptionMessage}) {
		if !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys
}

// Add takes note of a record that says which span it belongs to. A record that is neither an error nor severe enough
// for a note, or whose severity is none of the 24 that there are, costs no more than a comparison.
//
// A record that comes again, after a failure or by another pipeline, counts once: if it is among the 15 last ones of its span,
// or its note among those that are kept. It is the same by its time, its severity and what a note takes along.
func (x *Index) Add(now int64, record plog.LogRecord) {
	if severity := record.SeverityNumber(); severity >= x.lowest && severity <= plog.SeverityNumberFatal4 {
		x.add(now, record, severity)
	}
}

func (x *Index) add(now int64, record plog.LogRecord, severity plog.SeverityNumber) {
	id := identity{record.TraceID(), record.SpanID()}
	if id.trace.IsEmpty() || id.span.IsEmpty() {
		return
	}
	hash := x.hash(id)
	s := x.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(now)
	s.add(now, id, hash, record, severity)
}

// Empty tells whether nothing at all is noted.
func (x *Index) Empty() bool {
	return x.spans.Load() == 0
}

// Of returns what is noted about a span. It is false if nothing is.
func (x *Index) Of(now int64, trace pcommon.TraceID, span pcommon.SpanID) (About, bool) {
	x.sweep(now)
	id := identity{trace, span}
	hash := x.hash(id)
	if x.mark(hash).Load() == 0 {
		return About{}, false
	}
	s := x.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(now)
	e := s.find(id, hash)
	if e == nil {
		return About{}, false
	}
	return About{
		Errors: int64(e.errors), LeftOut: int64(e.leftOut), notes: slices.Clone(e.notes), carried: x.carried,
	}, true
}

// sweep lets go of what is too old in all shards, also in those that no record comes to any longer.
func (x *Index) sweep(now int64) {
	next := x.nextSweep.Load()
	if now < next || !x.nextSweep.CompareAndSwap(next, now+x.retention/sweeps) {
		return
	}
	for i := range x.shards {
		s := &x.shards[i]
		s.mu.Lock()
		s.expire(now)
		s.mu.Unlock()
	}
}

// Size is how many bytes the index takes.
func (x *Index) Size() int64 {
	return x.used.Load()
}

// Evicted counts the spans about which nothing is known any longer.
func (x *Index) Evicted() recency.Evictions {
	return recency.Evictions{Age: x.byAge.Load(), Bytes: x.bytes.Load()}
}

// hash is of the whole id, so that the spans of a large trace spread over the shards.
func (x *Index) hash(id identity) uint64 {
	trace := mix(
		binary.LittleEndian.Uint64(id.trace[:8])^x.seeds[0],
		binary.LittleEndian.Uint64(id.trace[8:])^x.seeds[1],
	)
	return mix(trace^x.seeds[2], binary.LittleEndian.Uint64(id.span[:])^x.seeds[3])
}

// digest is of all by which a record is known again, and never zero.
func (x *Index) digest(at pcommon.Timestamp, severity plog.SeverityNumber, packed []byte) uint32 {
	when := mix(uint64(at)^x.seeds[0], uint64(severity)^x.seeds[1])
	return uint32(mix(when^x.seeds[2], maphash.Bytes(x.texts, packed)^x.seeds[3])) | 1
}

func mix(a, b uint64) uint64 {
	high, low := bits.Mul64(a, b)
	return high ^ low
}

func (x *Index) shard(hash uint64) *shard {
	return &x.shards[hash>>(64-3)]
}

func (x *Index) mark(hash uint64) *atomic.Int32 {
	return &x.filter[hash>>32&uint64(len(x.filter)-1)]
}
