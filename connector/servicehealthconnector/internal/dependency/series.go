package dependency

import (
	"github.com/lightstep/go-expohisto/structure"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/trace"
)

// histogramSize is the most buckets of a duration histogram: 160 as the OpenTelemetry SDKs have it, for an error below 5 %
// over a range of 1 to 100,000.
const histogramSize = 160

// Key names one series of calls.
type Key struct {
	Edge
	Failed    bool
	ErrorType uint32
}

// Exemplar is a call that shows what a histogram speaks of.
type Exemplar struct {
	Trace   pcommon.TraceID
	Span    uint64
	At      int64
	Seconds float64
}

// SpanID returns the span's ID in its own form.
func (e Exemplar) SpanID() pcommon.SpanID { return trace.SpanID(e.Span) }

// Side is what one of the two sides of an edge measured.
type Side struct {
	Seconds  structure.Histogram[float64]
	Slowest  Exemplar
	observed bool
}

// Observed says whether this side sent any span.
func (s *Side) Observed() bool { return s.observed }

// Series is the total of an edge's calls with one outcome.
type Series struct {
	// Calls is the sum of adjusted counts.
	Calls          float64
	Caller, Callee Side
}

// Book counts calls. It is not safe for concurrent use.
type Book struct {
	series map[Key]*Series
	edges  map[Edge]struct{}
	most   int
	fresh  []Edge
}

// NewBook returns a book of at most the given number of edges. The calls along further ones are counted toward the
// callee names.Other of the same caller and type.
func NewBook(most int) *Book {
	return &Book{series: map[Key]*Series{}, edges: map[Edge]struct{}{}, most: most}
}

// Count counts a call of t.
func (b *Book) Count(t *trace.Trace, call Call) {
	key := Key{Edge: b.admit(call.Edge)}
	caller := &t.Spans[call.CallerSpan]
	count := caller.Count
	key.Failed, key.ErrorType = caller.Has(trace.Failed), caller.ErrorType
	if call.CalleeSpan != trace.None {
		callee := &t.Spans[call.CalleeSpan]
		count = max(count, callee.Count)
		key.Failed = key.Failed || callee.Has(trace.Failed)
		if key.ErrorType == names.None {
			key.ErrorType = callee.ErrorType
		}
	}
	s := b.at(key)
	s.Calls += count
	s.Caller.observe(t.ID, caller)
	if call.CalleeSpan != trace.None {
		s.Callee.observe(t.ID, &t.Spans[call.CalleeSpan])
	}
}

// CountLinked counts one consumer's work on a message. The producer's span was counted with its own trace's calls, if any.
func (b *Book) CountLinked(edge Edge, id pcommon.TraceID, consumer *trace.Record) {
	s := b.at(Key{Edge: b.admit(edge), Failed: consumer.Has(trace.Failed), ErrorType: consumer.ErrorType})
	s.Calls += consumer.Count
	s.Callee.observe(id, consumer)
}

// Fresh returns the edges that were seen for the first time since the last call of Fresh.
func (b *Book) Fresh() []Edge {
	fresh := b.fresh
	b.fresh = nil
	return fresh
}

// MergeInto adds the book's totals to those of into, and hands over its exemplars.
func (b *Book) MergeInto(into map[Key]*Series) {
	for key, s := range b.series {
		total := into[key]
		if total == nil {
			total = &Series{}
			into[key] = total
		}
		total.Calls += s.Calls
		total.Caller.merge(&s.Caller)
		total.Callee.merge(&s.Callee)
	}
}

func (b *Book) admit(e Edge) Edge {
	if _, ok := b.edges[e]; ok {
		return e
	}
	if len(b.edges) >= b.most {
		e.Callee = names.Other
		return e
	}
	b.edges[e] = struct{}{}
	b.fresh = append(b.fresh, e)
	return e
}

func (b *Book) at(key Key) *Series {
	s := b.series[key]
	if s == nil {
		s = &Series{}
		b.series[key] = s
	}
	return s
}

func (s *Side) observe(id pcommon.TraceID, span *trace.Record) {
	s.init()
	seconds := float64(span.End-span.Start) / 1e9
	s.Seconds.UpdateByIncr(seconds, uint64(span.Count+0.5))
	if seconds >= s.Slowest.Seconds || s.Slowest.At == 0 {
		s.Slowest = Exemplar{Trace: id, Span: span.ID, At: span.End, Seconds: seconds}
	}
}

func (s *Side) merge(from *Side) {
	if !from.observed {
		return
	}
	s.init()
	s.Seconds.MergeFrom(&from.Seconds)
	if from.Slowest.At != 0 && (s.Slowest.At == 0 || from.Slowest.Seconds >= s.Slowest.Seconds) {
		s.Slowest = from.Slowest
	}
	from.Slowest = Exemplar{}
}

func (s *Side) init() {
	if !s.observed {
		s.observed = true
		s.Seconds.Init(structure.NewConfig(structure.WithMaxSize(histogramSize)))
	}
}
