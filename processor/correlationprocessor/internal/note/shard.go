package note

import (
	"bytes"
	"slices"
	"sync"
	"unsafe"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/recency"
)

const (
	smallest = 16

	entryBytes  = int64(unsafe.Sizeof(entry{}))
	noteBytes   = int64(unsafe.Sizeof(note{}))
	bucketBytes = int64(unsafe.Sizeof((*entry)(nil)))
)

type identity struct {
	trace pcommon.TraceID
	span  pcommon.SpanID
}

// entry is what is noted about a span.
type entry struct {
	identity
	hash   uint64
	latest int64
	next   *entry
	recency.Links[entry]
	errors, leftOut uint32
	// lately are digests of the records that came last, by which one that comes again is known; came counts all.
	lately [15]uint32
	came   uint32
	// notes stand in the order in which they are worth keeping: the most severe first, and of those the earliest.
	notes []note
}

// note is about one record. What it packs is written once, so that it can be read without the shard's lock.
type note struct {
	at       pcommon.Timestamp
	severity plog.SeverityNumber
	packed   []byte
}

// before tells whether a note is worth more than one of the given severity and time.
func (n *note) before(severity plog.SeverityNumber, at pcommon.Timestamp) bool {
	if n.severity != severity {
		return n.severity > severity
	}
	return n.at <= at
}

// shard is a hash table of entries, which are also in a list from the newest to the oldest.
type shard struct {
	mu           sync.Mutex
	index        *Index
	budget, used int64
	latest       int64
	count        int
	table        []*entry
	order        recency.List[entry, *entry]
	scratch      []byte
	_            [64]byte // Shards are locked by different cores.
}

func (s *shard) add(now int64, id identity, hash uint64, record plog.LogRecord, severity plog.SeverityNumber) {
	e := s.find(id, hash)
	if e != nil {
		s.order.Touch(e)
	} else if e = s.insert(id, hash); e != nil {
		s.order.Push(e)
	} else {
		return
	}
	e.latest = s.latest
	s.pack(record)
	at := timeOf(now, record)
	if !e.meet(s.index.digest(at, severity, s.scratch)) {
		return
	}
	least := s.index.config.MinSeverity
	if least != plog.SeverityNumberUnspecified && severity >= least && !s.keep(e, at, severity) {
		return
	}
	if severity >= plog.SeverityNumberError {
		e.errors++
	}
}

// meet is false for a record that has come lately.
func (e *entry) meet(digest uint32) bool {
	if slices.Contains(e.lately[:], digest) {
		return false
	}
	e.lately[e.came%uint32(len(e.lately))] = digest
	e.came++
	return true
}

// pack makes the scratch what a note would keep of the record.
func (s *shard) pack(record plog.LogRecord) {
	before := cap(s.scratch)
	s.scratch = pack(s.scratch[:0], record, s.index.carried)
	if larger := cap(s.scratch) - before; larger > 0 {
		s.account(int64(larger))
	}
}

// keep adds a note with what was packed to an entry, which is the newest, if it is worth one of the places. It is false if
// the entry has the same note already.
func (s *shard) keep(e *entry, at pcommon.Timestamp, severity plog.SeverityNumber) bool {
	place := len(e.notes)
	for place > 0 && !e.notes[place-1].before(severity, at) {
		place--
	}
	alike := 0
	for alike < place && e.notes[place-1-alike].severity == severity && e.notes[place-1-alike].at == at {
		alike++
	}
	for i := place - alike; i < place; i++ {
		if bytes.Equal(e.notes[i].packed, s.scratch) {
			return false
		}
	}
	most := s.index.config.MaxPerSpan
	if place >= most {
		e.leftOut++
		return true
	}

	packed := append([]byte(nil), s.scratch...)
	grown := int64(cap(packed))
	if len(e.notes) == most {
		grown -= int64(cap(e.notes[most-1].packed))
	}
	length := cap(e.notes)
	if len(e.notes) == length && length < most {
		length = min(max(1, 2*length), most)
		grown += int64(length-cap(e.notes)) * noteBytes
	}
	if !s.makeRoom(grown, e) {
		e.leftOut++
		return true
	}
	s.account(grown)
	if len(e.notes) == most {
		e.notes = e.notes[:most-1]
		e.leftOut++
	}
	if length > cap(e.notes) {
		e.notes = append(make([]note, 0, length), e.notes...)
	}
	e.notes = append(e.notes, note{})
	copy(e.notes[place+1:], e.notes[place:])
	e.notes[place] = note{at: at, severity: severity, packed: packed}
	return true
}

// timeOf is when the record's event occurred, or else when somebody first saw it.
func timeOf(now int64, record plog.LogRecord) pcommon.Timestamp {
	switch {
	case record.Timestamp() != 0:
		return record.Timestamp()
	case record.ObservedTimestamp() != 0:
		return record.ObservedTimestamp()
	default:
		return pcommon.Timestamp(now)
	}
}

func (s *shard) find(id identity, hash uint64) *entry {
	if len(s.table) == 0 {
		return nil
	}
	for e := *s.bucket(hash); e != nil; e = e.next {
		if e.identity == id {
			return e
		}
	}
	return nil
}

// insert makes an entry that is in the table only. It is nil where the bound leaves no room for one.
func (s *shard) insert(id identity, hash uint64) *entry {
	length := len(s.table)
	if s.count == length {
		length = max(smallest, 2*length)
	}
	grown := entryBytes + int64(length-len(s.table))*bucketBytes
	if !s.makeRoom(grown, nil) {
		return nil
	}
	s.account(grown)
	if length > len(s.table) {
		s.table = make([]*entry, length)
		for e := s.order.Newest(); e != nil; e = s.order.Older(e) {
			bucket := s.bucket(e.hash)
			e.next, *bucket = *bucket, e
		}
	}
	e := &entry{identity: id, hash: hash}
	bucket := s.bucket(hash)
	e.next, *bucket = *bucket, e
	s.count++
	s.index.mark(hash).Add(1)
	s.index.spans.Add(1)
	return e
}

// expire lets go of what is too old.
func (s *shard) expire(now int64) {
	s.latest = max(s.latest, now)
	for e := s.order.Oldest(); e != nil && e.latest < s.latest-s.index.retention; e = s.order.Oldest() {
		s.remove(e)
		s.index.byAge.Add(1)
	}
}

// makeRoom lets the oldest go until there is room for so many bytes, but not the one that is in use.
func (s *shard) makeRoom(needed int64, inUse *entry) bool {
	for s.used+needed > s.budget {
		oldest := s.order.Oldest()
		if oldest == inUse {
			return false
		}
		s.remove(oldest)
		s.index.bytes.Add(1)
	}
	return true
}

func (s *shard) remove(e *entry) {
	s.order.Remove(e)
	link := s.bucket(e.hash)
	for *link != e {
		link = &(*link).next
	}
	*link = e.next
	e.next = nil
	s.count--
	freed := entryBytes + int64(cap(e.notes))*noteBytes
	for i := range e.notes {
		freed += int64(cap(e.notes[i].packed))
	}
	s.account(-freed)
	s.index.mark(e.hash).Add(-1)
	s.index.spans.Add(-1)
}

func (s *shard) bucket(hash uint64) **entry {
	return &s.table[hash&uint64(len(s.table)-1)]
}

func (s *shard) account(bytes int64) {
	s.used += bytes
	s.index.used.Add(bytes)
}
