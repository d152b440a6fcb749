package engine

import (
	"math"
	"sync"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/blame"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/dependency"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/hold"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/trace"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/usual"
)

// maxProducers bounds the messages of one shard whose consumers may still come. A queue may lag far behind a trace's
// window, and a producer's record is small.
const maxProducers = 1 << 16

// shard owns a part of all traces, by trace ID, and all that is counted from them.
type shard struct {
	mu        sync.Mutex
	held      *hold.Shard
	most      int
	tree      trace.Trace
	records   []trace.Record
	calls     []dependency.Call
	book      *dependency.Book
	sample    *usual.Sample
	judge     *blame.Judge
	producers producers
	seen      counts
}

// counts are what a shard tells of itself.
type counts struct {
	decided, duplicates, cutShort, unmatchedLinks uint64
}

// item is a span on its way into a shard.
type item struct {
	id     pcommon.TraceID
	record trace.Record
	marks  []hold.Mark
	links  []hold.Link
}

// follow is a consumer whose producer may be in another shard.
type follow struct {
	link     hold.Link
	id       pcommon.TraceID
	consumer trace.Record
}

func newShard(maxSpans int, admission *dependency.Admission) *shard {
	return &shard{
		held:      hold.New(),
		most:      maxSpans,
		book:      dependency.NewBook(admission),
		sample:    usual.NewSample(),
		judge:     blame.NewJudge(),
		producers: producers{services: map[hold.Link]uint32{}},
	}
}

// add takes in spans that are held until deadline.
func (s *shard) add(items []item, deadline int64) {
	for i := range items {
		it := &items[i]
		for _, mark := range it.marks {
			it.record.Marks = s.held.Mark(it.record.Marks, mark)
		}
		for _, link := range it.links {
			it.record.Links = s.held.Link(it.record.Links, link)
		}
		if it.record.SpanKind() == ptrace.SpanKindProducer {
			s.producers.put(hold.Link{Trace: it.id, Span: it.record.ID}, it.record.Service)
		}
		s.held.Add(it.id, it.record, deadline)
	}
}

// decide takes out the traces that are due, and the oldest ones of too many, and appends what they amount to.
func (s *shard) decide(now int64, o *objectives, u *usual.Usual, out *outcome) {
	for {
		id, records, ok := s.held.Pop(now, s.records[:0])
		if !ok && s.held.Len() > s.most {
			id, records, ok = s.held.Pop(math.MaxInt64, s.records[:0])
			s.seen.cutShort++
		}
		if !ok {
			return
		}
		s.records = records
		s.tree.Build(id, records)
		s.seen.decided += uint64(len(s.tree.Spans))
		s.seen.duplicates += uint64(s.tree.Duplicates)
		s.calls = dependency.Calls(&s.tree, s.calls[:0])
		for _, call := range s.calls {
			s.book.Count(&s.tree, call)
		}
		s.judge.Begin(&s.tree)
		anyBad := false
		for i := range s.tree.Spans {
			span := &s.tree.Spans[i]
			if span.Marks != 0 {
				s.held.Marks(span.Marks, func(mark hold.Mark) {
					anyBad = anyBad || !mark.Good
					out.events = append(out.events, s.event(mark, int32(i), o, u))
				})
			}
			// Where the parent is of another service, the call was found by that.
			if parent := s.tree.Parent[i]; span.Links != 0 && (parent == trace.None || s.tree.Spans[parent].Service == span.Service) {
				s.held.Links(span.Links, func(link hold.Link) {
					out.follows = append(out.follows, follow{link, id, *span})
				})
			}
		}
		s.held.Release(records)
		s.learn(anyBad, u)
	}
}

// learn adds a trace to what is usual. A bad one must not, so that a burn never becomes usual while it lasts; except at the
// start, since what is always bad would never be known.
func (s *shard) learn(anyBad bool, u *usual.Usual) {
	if _, known := u.Self(s.tree.Spans[0].Operation); anyBad && known {
		return
	}
	s.sample.Add(&s.tree)
}

func (s *shard) event(mark hold.Mark, at int32, o *objectives, u *usual.Usual) event {
	span := &s.tree.Spans[at]
	e := event{mark: mark, at: span.End, count: span.Count, service: span.Service, id: s.tree.ID}
	if mark.Good {
		return e
	}
	if !o.isLatency(mark.Objective) && (span.Has(trace.Failed) || s.judge.Failed(&s.tree, at)) {
		e.verdict = s.judge.Failure(&s.tree, at)
		return e
	}
	e.verdict = s.judge.Slowness(&s.tree, at, u)
	if e.verdict.Entity == 0 && (span.Has(trace.Failed) || !o.isLatency(mark.Objective)) {
		// It is bad for another reason than its time.
		e.verdict = s.judge.Failure(&s.tree, at)
	}
	return e
}

// producers remembers who sent a message, the latest ones.
type producers struct {
	services map[hold.Link]uint32
	ring     []hold.Link
	next     int
}

func (p *producers) put(link hold.Link, service uint32) {
	if _, ok := p.services[link]; ok {
		return
	}
	p.services[link] = service
	if len(p.ring) < maxProducers {
		p.ring = append(p.ring, link)
		return
	}
	delete(p.services, p.ring[p.next])
	p.ring[p.next] = link
	p.next = (p.next + 1) % maxProducers
}
