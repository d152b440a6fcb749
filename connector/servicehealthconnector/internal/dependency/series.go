package dependency

import (
	"math"
	"slices"
	"sync"

	"github.com/lightstep/go-expohisto/structure"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

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

// maxErrorTypes bounds the kinds of failure of one edge that are told apart.
const maxErrorTypes = 16

// Admission decides which edges and which kinds of their failures are told apart. All books of an engine share it; it is safe
// for concurrent use.
type Admission struct {
	mu    sync.Mutex
	edges map[Edge][]uint32
	most  int
	fresh []Edge
}

// NewAdmission returns an admission of at most the given number of edges.
func NewAdmission(most int) *Admission {
	return &Admission{edges: map[Edge][]uint32{}, most: most}
}

func (a *Admission) admit(e Edge) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.edges[e]; ok {
		return true
	}
	if len(a.edges) >= a.most {
		return false
	}
	a.edges[e] = nil
	a.fresh = append(a.fresh, e)
	return true
}

func (a *Admission) admitError(e Edge, errorType uint32) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	known := a.edges[e]
	if slices.Contains(known, errorType) {
		return true
	}
	if len(known) == maxErrorTypes {
		return false
	}
	a.edges[e] = append(known, errorType)
	return true
}

// Fresh returns the edges that were admitted since the last call of Fresh.
func (a *Admission) Fresh() []Edge {
	a.mu.Lock()
	defer a.mu.Unlock()
	fresh := a.fresh
	a.fresh = nil
	return fresh
}

// Side is what one of the two sides of an edge measured.
type Side struct {
	Seconds  structure.Histogram[float64]
	Slowest  Exemplar
	observed bool
	// rest is the part of sampled counts that is less than a call, so that rounding does not add up.
	rest float64
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
	// edges are those that were admitted, with the kinds of failures that were.
	edges     map[Edge][]uint32
	admission *Admission
}

// NewBook returns a book. Calls along edges that are not admitted are counted toward the callee names.Other of the same
// caller and type, and failures of kinds that are not toward names.Other.
func NewBook(admission *Admission) *Book {
	return &Book{series: map[Key]*Series{}, edges: map[Edge][]uint32{}, admission: admission}
}

// Count counts a call of t.
func (b *Book) Count(t *trace.Trace, call Call) {
	var failed bool
	var errorType uint32
	caller := &t.Spans[call.CallerSpan]
	count := caller.Count
	// Where the caller has no span for the call alone, its span speaks of all that it did.
	speaks := caller.SpanKind() == ptrace.SpanKindClient || caller.SpanKind() == ptrace.SpanKindProducer || call.CalleeSpan == trace.None
	if speaks {
		failed, errorType = caller.Has(trace.Failed), caller.ErrorType
	}
	if call.CalleeSpan != trace.None {
		callee := &t.Spans[call.CalleeSpan]
		count = max(count, callee.Count)
		failed = failed || callee.Has(trace.Failed)
		if errorType == names.None {
			errorType = callee.ErrorType
		}
	}
	s := b.at(call.Edge, failed, errorType)
	s.Calls += count
	if speaks {
		s.Caller.observe(t.ID, caller)
	}
	if call.CalleeSpan != trace.None {
		s.Callee.observe(t.ID, &t.Spans[call.CalleeSpan])
	}
}

// CountLinked counts one consumer's work on a message. The producer's span was counted with its own trace's calls, if any.
func (b *Book) CountLinked(edge Edge, id pcommon.TraceID, consumer *trace.Record) {
	s := b.at(edge, consumer.Has(trace.Failed), consumer.ErrorType)
	s.Calls += consumer.Count
	s.Callee.observe(id, consumer)
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

func (b *Book) at(edge Edge, failed bool, errorType uint32) *Series {
	key := Key{Edge: edge, Failed: failed}
	if _, ok := b.edges[edge]; !ok {
		if b.admission.admit(edge) {
			b.edges[edge] = nil
		} else {
			key.Callee = names.Other
		}
	}
	if failed {
		key.ErrorType = b.errorType(key.Edge, errorType)
	}
	s := b.series[key]
	if s == nil {
		s = &Series{}
		b.series[key] = s
	}
	return s
}

func (b *Book) errorType(edge Edge, errorType uint32) uint32 {
	if errorType <= names.Other || slices.Contains(b.edges[edge], errorType) {
		return errorType
	}
	if !b.admission.admitError(edge, errorType) {
		return names.Other
	}
	b.edges[edge] = append(b.edges[edge], errorType)
	return errorType
}

func (s *Side) observe(id pcommon.TraceID, span *trace.Record) {
	s.init()
	seconds := float64(span.End-span.Start) / 1e9
	whole := math.Floor(span.Count + s.rest)
	s.rest += span.Count - whole
	if whole > 0 {
		s.Seconds.UpdateByIncr(seconds, uint64(whole))
	}
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
