package dependency

import (
	"math"

	"github.com/lightstep/go-expohisto/structure"
	"go.opentelemetry.io/collector/pdata/pcommon"

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
	Seconds structure.Histogram[float64]
	// Slowest is the slowest call since the totals were told last: a trace of long ago is no longer to be found.
	Slowest  Exemplar
	observed bool
	// rest is the part of sampled counts that is less than a call, so that rounding does not add up.
	rest float64
}

// Observed says whether this side sent any span.
func (s *Side) Observed() bool { return s.observed }

// Series is the total of an edge's calls with one outcome.
type Series struct {
	// Calls is the sum of adjusted counts, Confident that of each count times the confidence in its edge.
	Calls, Confident float64
	Caller, Callee   Side
	// Start and Last are when the series began, and when it was last added to, in nanoseconds since the epoch.
	Start, Last int64
	// Share is what a teller that sums up series has to remember of this one. It leaves with the series.
	Share any
}

// take moves what from holds into s.
func (s *Series) take(from *Series) {
	s.Calls += from.Calls
	s.Confident += from.Confident
	s.Caller.take(&from.Caller)
	s.Callee.take(&from.Callee)
	from.Calls, from.Confident = 0, 0
}

func (s *Series) clear() {
	s.Calls, s.Confident = 0, 0
	s.Caller.clear()
	s.Callee.clear()
}

// observe adds a span that stands for so many.
func (s *Side) observe(id pcommon.TraceID, span *trace.Record, count float64) {
	s.init()
	seconds := float64(span.End-span.Start) / 1e9
	whole := math.Floor(count + s.rest)
	s.rest += count - whole
	if whole > 0 {
		s.Seconds.UpdateByIncr(seconds, uint64(whole))
	}
	if seconds >= s.Slowest.Seconds || s.Slowest.At == 0 {
		s.Slowest = Exemplar{Trace: id, Span: span.ID, At: span.End, Seconds: seconds}
	}
}

func (s *Side) take(from *Side) {
	if !from.observed {
		return
	}
	s.init()
	s.Seconds.MergeFrom(&from.Seconds)
	if from.Slowest.At != 0 && (s.Slowest.At == 0 || from.Slowest.Seconds >= s.Slowest.Seconds) {
		s.Slowest = from.Slowest
	}
	from.clear()
}

func (s *Side) clear() {
	if s.observed {
		s.Seconds.Clear()
		s.Slowest = Exemplar{}
	}
}

func (s *Side) init() {
	if !s.observed {
		s.observed = true
		s.Seconds.Init(structure.NewConfig(structure.WithMaxSize(histogramSize)))
	}
}

// Totals holds the series of all books. It is not safe for concurrent use.
type Totals struct {
	series map[Key]*Series
	// silence is after how long without calls a series leaves, in nanoseconds.
	silence int64
	delta   bool
	// flushed is when the totals were told last.
	flushed int64
}

// NewTotals returns totals whose series begin at start and leave after silence; both are in nanoseconds. Delta totals begin
// anew each time that they were told.
func NewTotals(start, silence int64, delta bool) *Totals {
	return &Totals{series: map[Key]*Series{}, silence: silence, delta: delta, flushed: start}
}

func (t *Totals) take(key Key, from *Series, now int64) {
	if from.Calls == 0 {
		return
	}
	s := t.series[key]
	if s == nil {
		// A series that comes back after it has left begins anew, and says so by its start.
		s = &Series{Start: t.flushed}
		t.series[key] = s
	}
	s.take(from)
	s.Last = now
}

// Tell calls f with each series: with all of them, or, if they are deltas, with those that were added to since the last call.
// now is in nanoseconds since the epoch. It returns the edges that have left.
func (t *Totals) Tell(now int64, f func(Key, *Series)) (left []Edge) {
	stay, gone := map[Edge]bool{}, map[Edge]bool{}
	for key, s := range t.series {
		if now-s.Last >= t.silence {
			delete(t.series, key)
			gone[key.Edge] = true
			continue
		}
		stay[key.Edge] = true
		if s.Calls == 0 {
			continue
		}
		f(key, s)
		s.Caller.Slowest, s.Callee.Slowest = Exemplar{}, Exemplar{}
		if t.delta {
			s.clear()
			s.Start = now
		}
	}
	t.flushed = now
	for edge := range gone {
		if !stay[edge] {
			left = append(left, edge)
		}
	}
	return left
}

// Len is the number of series.
func (t *Totals) Len() int { return len(t.series) }
