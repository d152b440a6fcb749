// Package hold keeps span records until their trace is decided: for a fixed time after the trace's first span came,
// or until too many are held.
package hold

import (
	"bytes"
	"cmp"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/trace"
)

// Link is the span of another trace, or of the same, that a span continues.
type Link struct {
	// From is the span that has the link.
	From  uint64
	Trace pcommon.TraceID
	Span  uint64
}

// Shard holds a part of all traces. It is not safe for concurrent use: whoever owns the shard locks it.
type Shard struct {
	spans slab[trace.Record]
	links slab[linkNode]
	held  slab[entry]
	more  slab[block]
	index index
	queue fifo
	// count is the number of records, and size that of their links, too.
	count, size int
	// latest is the entry of the trace that was added to last, or 0.
	latest uint32
}

// entry is a trace. It lists the places of its records instead of chaining them: to fetch one then does not wait for the one
// before, which in a large shard is not in the processor's cache.
type entry struct {
	id       pcommon.TraceID
	deadline int64
	count    uint32
	hash     uint32
	// more is the block with the latest records beyond the first ones, or 0.
	more    uint32
	links   uint32
	numbers [6]uint32
}

// block lists records beyond those that an entry has room for.
type block struct {
	numbers [15]uint32
	before  uint32
}

type linkNode struct {
	link Link
	next uint32
}

// New returns an empty shard.
func New() *Shard {
	return &Shard{index: newIndex()}
}

// Len is the number of span records held.
func (s *Shard) Len() int { return s.count }

// Size is the number of span records and links held: what memory is needed for.
func (s *Shard) Size() int { return s.size }

// Add holds record and its links until deadline (nanoseconds), or until the deadline with which the trace's first
// record came. Deadlines of successive calls must not decrease.
func (s *Shard) Add(id pcommon.TraceID, record *trace.Record, links []Link, deadline int64) {
	e := s.held.at(s.entryOf(id, deadline))
	number := s.spans.take()
	*s.spans.at(number) = *record
	if at, first := e.count, uint32(len(e.numbers)); at < first {
		e.numbers[at] = number
	} else {
		const size = uint32(len(block{}.numbers))
		if (at-first)%size == 0 {
			grown := s.more.take()
			s.more.at(grown).before = e.more
			e.more = grown
		}
		s.more.at(e.more).numbers[(at-first)%size] = number
	}
	e.count++
	for _, link := range links {
		node := s.links.take()
		*s.links.at(node) = linkNode{link, e.links}
		e.links = node
	}
	s.count++
	s.size += 1 + len(links)
}

func (s *Shard) entryOf(id pcommon.TraceID, deadline int64) uint32 {
	// Senders batch the spans of a trace together more often than not.
	if s.latest != 0 && s.held.at(s.latest).id == id {
		return s.latest
	}
	hash := s.index.hash(id)
	at := s.index.get(hash, func(entry uint32) bool { return s.held.at(entry).id == id })
	if at == 0 {
		at = s.held.take()
		*s.held.at(at) = entry{id: id, deadline: deadline, hash: hash}
		s.index.put(hash, at)
		s.queue.push(at)
	}
	s.latest = at
	return at
}

// Taken is what was taken out of shards: traces one after the other.
type Taken struct {
	Traces  []Trace
	records []trace.Record
	links   []Link
}

// Trace is one of the traces of a Taken.
type Trace struct {
	ID pcommon.TraceID
	// Deadline is until when it was to be held, in nanoseconds since the epoch.
	Deadline               int64
	from, to               int
	firstLink, behindLinks int
}

// Reset empties it.
func (t *Taken) Reset() {
	t.Traces, t.records, t.links = t.Traces[:0], t.records[:0], t.links[:0]
}

// Records are those of a trace.
func (t *Taken) Records(of Trace) []trace.Record { return t.records[of.from:of.to] }

// Links are those of the spans of a trace.
func (t *Taken) Links(of Trace) []Link { return t.links[of.firstLink:of.behindLinks] }

// Pop moves the oldest trace into taken if its deadline is not after now.
func (s *Shard) Pop(now int64, taken *Taken) bool {
	at, ok := s.queue.peek()
	if !ok || s.held.at(at).deadline > now {
		return false
	}
	s.queue.pop()
	e := s.held.at(at)
	popped := Trace{ID: e.id, Deadline: e.deadline, from: len(taken.records), firstLink: len(taken.links)}
	s.popRecords(e, taken)
	popped.to = len(taken.records)
	for node := e.links; node != 0; {
		s.size--
		n := *s.links.at(node)
		taken.links = append(taken.links, n.link)
		s.links.free(node)
		node = n.next
	}
	taken.links = taken.links[:popped.firstLink+len(distinct(taken.links[popped.firstLink:]))]
	popped.behindLinks = len(taken.links)
	taken.Traces = append(taken.Traces, popped)
	s.count -= int(e.count)
	s.size -= int(e.count)
	s.index.remove(e.hash, at)
	s.held.free(at)
	if s.latest == at {
		s.latest = 0
	}
	return true
}

// distinct leaves each link in once: a span may have been sent again. It works in place.
func distinct(links []Link) []Link {
	if len(links) < 2 {
		return links
	}
	slices.SortFunc(links, func(a, b Link) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.Span, b.Span), bytes.Compare(a.Trace[:], b.Trace[:]))
	})
	return slices.Compact(links)
}

func (s *Shard) popRecords(e *entry, taken *Taken) {
	pop := func(numbers []uint32) {
		for _, number := range numbers {
			taken.records = append(taken.records, *s.spans.at(number))
			s.spans.free(number)
		}
	}
	first := min(e.count, uint32(len(e.numbers)))
	pop(e.numbers[:first])
	const size = uint32(len(block{}.numbers))
	for left, number := e.count-first, e.more; number != 0; {
		b := s.more.at(number)
		n := (left-1)%size + 1 // Only the latest block may have room left.
		pop(b.numbers[:n])
		left -= n
		s.more.free(number)
		number = b.before
	}
}
