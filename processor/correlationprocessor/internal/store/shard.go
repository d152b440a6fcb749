package store

import (
	"strings"
	"sync"
	"unicode/utf8"
	"unsafe"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/throughline-otel/throughline/internal/layer"
)

const (
	chunkLength = 32
	chunkBytes  = int64(unsafe.Sizeof(chunk{}))
	smallest    = 64
	// maxChain bounds the walk for traces that a stranger made to meet in one place.
	maxChain = 64
	// maxOperation bounds the names that strangers give to their spans.
	maxOperation = 256
	// maxNames is how many operations a shard knows again without keeping another copy.
	maxNames = 64
)

type chunk [chunkLength]record

// record is one span. Links are positions in the queue plus one, so that none is zero.
type record struct {
	trace               pcommon.TraceID
	span                pcommon.SpanID
	arrived             int64
	start, end          int64
	emitter             *Emitter
	nextSpan, nextTrace uint64
	// The newest record of a trace knows what is known about the trace.
	entry      *Emitter
	operation  string
	entryStart int64
	layer      layer.Layer
	failed     bool
	entryFail  bool
}

// shard is a queue of records from head to tail, in chunks, of which the one with number n stands at n modulo the
// length of chunks.
type shard struct {
	mu              sync.Mutex
	store           *Store
	budget, used    int64
	head, tail      uint64
	chunks          []*chunk
	spare           *chunk
	bySpan, byTrace []uint64
	latest          int64
	names           map[string]string
	_               [64]byte // Shards are locked by different cores.
}

func (s *shard) at(position uint64) *record {
	return &s.chunks[position/chunkLength&uint64(len(s.chunks)-1)][position%chunkLength]
}

// alive tells whether a link leads to a record that is still remembered.
func (s *shard) alive(link uint64) bool {
	return link > s.head
}

// expire lets go of what is too old.
func (s *shard) expire(now int64) {
	s.latest = max(s.latest, now)
	oldest := s.latest - s.store.retention
	before := s.head
	for s.head < s.tail && s.at(s.head).arrived < oldest {
		s.pop()
	}
	if gone := s.head - before; gone > 0 {
		s.store.byAge.Add(int64(gone))
	}
}

func (s *shard) pop() {
	r := s.at(s.head)
	s.account(-int64(len(r.operation)))
	*r = record{}
	s.head++
	if s.head%chunkLength != 0 {
		return
	}
	slot := (s.head/chunkLength - 1) & uint64(len(s.chunks)-1)
	if s.spare == nil && s.used <= s.budget {
		s.spare = s.chunks[slot]
	} else {
		s.account(-chunkBytes)
	}
	s.chunks[slot] = nil
}

func (s *shard) insert(now int64, span *Span, hash uint64) {
	s.makeRoom()
	position := s.tail
	s.tail++
	r := s.at(position)
	*r = record{
		trace: span.Trace, span: span.ID, arrived: max(s.latest, now), start: span.Start, end: span.End,
		emitter: span.Emitter, layer: span.Layer, failed: span.Failed,
	}
	bucket := &s.bySpan[spanHash(hash, span.Trace, span.ID)&uint64(len(s.bySpan)-1)]
	r.nextSpan, *bucket = *bucket, position+1

	// What was known about the trace moves on to its newest record, which takes the place of the former one.
	bucket = &s.byTrace[hash&uint64(len(s.byTrace)-1)]
	for link, steps := bucket, 0; s.alive(*link) && steps < maxChain; steps++ {
		former := s.at(*link - 1)
		if former.trace == span.Trace {
			*link = former.nextTrace
			r.entry, r.operation, r.entryStart = former.entry, former.operation, former.entryStart
			r.entryFail = former.entryFail
			former.operation = ""
			break
		}
		link = &former.nextTrace
	}
	r.nextTrace, *bucket = *bucket, position+1
	if span.Root && (r.entry == nil || span.Start < r.entryStart) {
		s.account(-int64(len(r.operation)))
		r.entry, r.operation, r.entryStart = span.Emitter, s.name(span.Operation), span.Start
		r.entryFail = span.Failed
		s.account(int64(len(r.operation)))
	}
}

// makeRoom sees to it that there is a place at the tail, in the tables too.
func (s *shard) makeRoom() {
	if s.tail%chunkLength == 0 {
		s.shrink(true)
		if number := s.tail / chunkLength; number-s.head/chunkLength >= uint64(len(s.chunks)) {
			s.growChunks()
		}
		if s.spare == nil {
			s.spare = new(chunk)
			s.account(chunkBytes)
		}
		s.chunks[s.tail/chunkLength&uint64(len(s.chunks)-1)], s.spare = s.spare, nil
	}
	if s.tail-s.head >= uint64(len(s.bySpan)) {
		s.growTables()
	}
	s.shrink(false)
}

// shrink lets the oldest go until there is room for one more name, and for one more chunk if there needs to be.
func (s *shard) shrink(chunk bool) {
	before := s.head
	for s.head < s.tail {
		needed := int64(maxOperation)
		if chunk && s.spare == nil {
			needed += chunkBytes
		}
		if s.used+needed <= s.budget {
			break
		}
		s.pop()
	}
	if gone := s.head - before; gone > 0 {
		s.store.byBytes.Add(int64(gone))
	}
}

func (s *shard) growChunks() {
	larger := make([]*chunk, max(4, 2*len(s.chunks)))
	for number := s.head / chunkLength; number < s.tail/chunkLength; number++ {
		larger[number&uint64(len(larger)-1)] = s.chunks[number&uint64(len(s.chunks)-1)]
	}
	s.account(int64(len(larger)-len(s.chunks)) * int64(unsafe.Sizeof(larger[0])))
	s.chunks = larger
}

func (s *shard) growTables() {
	length := max(smallest, 2*len(s.bySpan))
	s.account(2 * int64(length-len(s.bySpan)) * int64(unsafe.Sizeof(s.bySpan[0])))
	former := s.byTrace
	s.bySpan, s.byTrace = make([]uint64, length), make([]uint64, length)
	for position := s.head; position < s.tail; position++ {
		r := s.at(position)
		hash := s.store.traceHash(lowHalf(r.trace))
		bucket := &s.bySpan[spanHash(hash, r.trace, r.span)&uint64(length-1)]
		r.nextSpan, *bucket = *bucket, position+1
	}
	// Of a trace only its newest record is in the table. A chain of the former table falls apart into two of the new
	// one, and both keep their order when it is taken from its end.
	var chain []uint64
	for _, link := range former {
		chain = chain[:0]
		for ; s.alive(link); link = s.at(link - 1).nextTrace {
			chain = append(chain, link)
		}
		for i := len(chain) - 1; i >= 0; i-- {
			r := s.at(chain[i] - 1)
			bucket := &s.byTrace[s.store.traceHash(lowHalf(r.trace))&uint64(length-1)]
			r.nextTrace, *bucket = *bucket, chain[i]
		}
	}
}

func (s *shard) context(trace pcommon.TraceID, span pcommon.SpanID, hash uint64) (Context, bool) {
	newest := s.newest(trace, hash)
	if newest == nil {
		return Context{}, false
	}
	found := Context{Entry: newest.entry, Operation: newest.operation, Failed: newest.entryFail}
	if r := s.find(trace, span, hash); r != nil {
		found.SpanSeen, found.Layer = true, r.layer
	}
	return found, true
}

func (s *shard) newest(trace pcommon.TraceID, hash uint64) *record {
	if len(s.byTrace) == 0 {
		return nil
	}
	link := s.byTrace[hash&uint64(len(s.byTrace)-1)]
	for steps := 0; s.alive(link) && steps < maxChain; steps++ {
		r := s.at(link - 1)
		if r.trace == trace {
			return r
		}
		link = r.nextTrace
	}
	return nil
}

func (s *shard) find(trace pcommon.TraceID, span pcommon.SpanID, hash uint64) *record {
	if span.IsEmpty() {
		return nil
	}
	link := s.bySpan[spanHash(hash, trace, span)&uint64(len(s.bySpan)-1)]
	for steps := 0; s.alive(link) && steps < maxChain; steps++ {
		r := s.at(link - 1)
		if r.span == span && r.trace == trace {
			return r
		}
		link = r.nextSpan
	}
	return nil
}

func (s *shard) resolve(half, hash uint64) (found pcommon.TraceID, ok bool) {
	if len(s.byTrace) == 0 {
		return found, false
	}
	link := s.byTrace[hash&uint64(len(s.byTrace)-1)]
	for steps := 0; s.alive(link); steps++ {
		if steps == maxChain {
			return pcommon.TraceID{}, false
		}
		r := s.at(link - 1)
		if lowHalf(r.trace) == half {
			if ok && r.trace != found {
				return pcommon.TraceID{}, false
			}
			found, ok = r.trace, true
		}
		link = r.nextTrace
	}
	return found, ok
}

// name returns a copy of an operation that keeps nothing else alive.
func (s *shard) name(operation string) string {
	if len(operation) > maxOperation {
		end := maxOperation
		for end > maxOperation-utf8.UTFMax && !utf8.RuneStart(operation[end]) {
			end--
		}
		operation = operation[:end]
	}
	if known, ok := s.names[operation]; ok {
		return known
	}
	if s.names == nil || len(s.names) >= maxNames {
		s.names = make(map[string]string, maxNames)
	}
	operation = strings.Clone(operation)
	s.names[operation] = operation
	return operation
}

func (s *shard) account(bytes int64) {
	if bytes != 0 {
		s.used += bytes
		s.store.used.Add(bytes)
	}
}
