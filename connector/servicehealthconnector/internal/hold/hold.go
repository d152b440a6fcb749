// Package hold keeps span records until their trace is decided: for a fixed time after the trace's first span came,
// or until too many are held.
package hold

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/trace"
)

// Mark says that a span is an event of an objective.
type Mark struct {
	Objective, Group uint32
	Good             bool
}

// Link is the span of another trace, or of the same, that a span continues.
type Link struct {
	Trace pcommon.TraceID
	Span  uint64
}

// Shard holds a part of all traces. It is not safe for concurrent use: whoever owns the shard locks it.
type Shard struct {
	spans  slab[trace.Record]
	marks  slab[node[Mark]]
	links  slab[node[Link]]
	traces map[pcommon.TraceID]uint32
	held   slab[entry]
	queue  fifo
	count  int
	// latest is the entry of the trace that was added to last, or 0.
	latest uint32
}

type entry struct {
	id       pcommon.TraceID
	deadline int64
	head     uint32
}

type node[T any] struct {
	value T
	next  uint32
}

// New returns an empty shard.
func New() *Shard {
	return &Shard{traces: map[pcommon.TraceID]uint32{}}
}

// Len is the number of span records held.
func (s *Shard) Len() int { return s.count }

// Add holds record until deadline (nanoseconds), or until the deadline with which the trace's first record came.
// Deadlines of successive calls must not decrease.
func (s *Shard) Add(id pcommon.TraceID, record trace.Record, deadline int64) {
	e := s.held.at(s.entryOf(id, deadline))
	number := s.spans.take()
	record.Next = e.head
	*s.spans.at(number) = record
	e.head = number
	s.count++
}

func (s *Shard) entryOf(id pcommon.TraceID, deadline int64) uint32 {
	// Senders batch the spans of a trace together more often than not.
	if s.latest != 0 && s.held.at(s.latest).id == id {
		return s.latest
	}
	at, ok := s.traces[id]
	if !ok {
		at = s.held.take()
		*s.held.at(at) = entry{id: id, deadline: deadline}
		s.traces[id] = at
		s.queue.push(at)
	}
	s.latest = at
	return at
}

// Mark puts a mark before the list and returns the list's new head.
func (s *Shard) Mark(list uint32, mark Mark) uint32 {
	return push(&s.marks, list, mark)
}

// Link puts a link before the list and returns the list's new head.
func (s *Shard) Link(list uint32, link Link) uint32 {
	return push(&s.links, list, link)
}

// Marks calls f for each mark of the list.
func (s *Shard) Marks(list uint32, f func(Mark)) { each(&s.marks, list, f) }

// Links calls f for each link of the list.
func (s *Shard) Links(list uint32, f func(Link)) { each(&s.links, list, f) }

// Pop takes out the oldest trace if its deadline is not after now, appending its records to into.
// Their marks and links stay readable until Release.
func (s *Shard) Pop(now int64, into []trace.Record) (pcommon.TraceID, []trace.Record, bool) {
	at, ok := s.queue.peek()
	if !ok || s.held.at(at).deadline > now {
		return pcommon.TraceID{}, into, false
	}
	s.queue.pop()
	e := *s.held.at(at)
	for number := e.head; number != 0; {
		record := s.spans.at(number)
		into = append(into, *record)
		next := record.Next
		s.spans.free(number)
		number = next
		s.count--
	}
	delete(s.traces, e.id)
	s.held.free(at)
	if s.latest == at {
		s.latest = 0
	}
	return e.id, into, true
}

// Release gives back the marks and links of records that Pop returned.
func (s *Shard) Release(records []trace.Record) {
	for i := range records {
		drop(&s.marks, records[i].Marks)
		drop(&s.links, records[i].Links)
	}
}

func push[T any](s *slab[node[T]], list uint32, value T) uint32 {
	number := s.take()
	*s.at(number) = node[T]{value: value, next: list}
	return number
}

func each[T any](s *slab[node[T]], list uint32, f func(T)) {
	for ; list != 0; list = s.at(list).next {
		f(s.at(list).value)
	}
}

func drop[T any](s *slab[node[T]], list uint32) {
	for list != 0 {
		next := s.at(list).next
		s.free(list)
		list = next
	}
}
