package engine

import (
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/hold"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/trace"
)

// maxProducers bounds the messages of an engine whose consumers may still come. A queue may lag far behind a trace's
// window, and a producer's record is small.
const maxProducers = 1 << 17

// shard holds a part of all traces, by trace ID, until its decider takes them out. Its lock is the only one on the way of a
// span, and is never held for longer than it takes to move a few records.
type shard struct {
	mu   sync.Mutex
	held *hold.Shard
	// all is the size of all shards.
	all       *atomic.Int64
	producers producers
	notes     notes
	decider   *decider
}

// item is a span on its way into a shard. Its links are among those of its batch.
type item struct {
	id                     pcommon.TraceID
	record                 trace.Record
	firstLink, behindLinks int32
}

func newShard(all *atomic.Int64, maxProducers, maxNotes int, d *decider) *shard {
	return &shard{held: hold.New(), all: all, producers: newProducers(maxProducers), notes: newNotes(maxNotes), decider: d}
}

// add takes in spans of b that are held until deadline. The shard is locked.
func (s *shard) add(items []item, b *batch, deadline int64) {
	before := s.held.Size()
	for i := range items {
		it := &items[i]
		if it.record.SpanKind() == ptrace.SpanKindProducer {
			s.producers.put(message{it.id, it.record.ID}, it.record.Service)
		}
		s.held.Add(it.id, &it.record, b.links[it.firstLink:it.behindLinks], deadline)
	}
	s.all.Add(int64(s.held.Size() - before))
}

// pop takes out up to most traces that are due.
func (s *shard) pop(due int64, most int, taken *hold.Taken, notes *takenNotes) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.held.Size()
	for range most {
		if !s.held.Pop(due, taken) {
			break
		}
		notes.all = s.notes.take(taken.Traces[len(taken.Traces)-1].ID, notes.all)
		notes.behind = append(notes.behind, len(notes.all))
	}
	s.all.Add(int64(s.held.Size() - before))
}

// producer is the service that sent a message.
func (s *shard) producer(m message) (uint32, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	service, ok := s.producers.services[m]
	return service, ok
}

// message is the span that sent it.
type message struct {
	trace pcommon.TraceID
	span  uint64
}

// producers remembers who sent a message, the latest ones.
type producers struct {
	services map[message]uint32
	ring     []message
	next     int
	most     int
}

func newProducers(most int) producers {
	return producers{services: map[message]uint32{}, most: most}
}

func (p *producers) put(m message, service uint32) {
	if _, ok := p.services[m]; ok {
		return
	}
	p.services[m] = service
	if len(p.ring) < p.most {
		p.ring = append(p.ring, m)
		return
	}
	delete(p.services, p.ring[p.next])
	p.ring[p.next] = m
	p.next = (p.next + 1) % p.most
}

// workers are the services whose work on messages was seen. Of the others, to receive a message is all that is seen of it. It is
// safe for concurrent use.
type workers [names.MaxEntities]atomic.Bool

func (w *workers) add(service uint32) {
	if !w[service].Load() {
		w[service].Store(true)
	}
}

func (w *workers) has(service uint32) bool { return w[service].Load() }
