package dependency

import (
	"maps"
	"math"
	"slices"

	"github.com/lightstep/go-expohisto/structure"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/dimension"
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
	Sets      Sets
}

// Sets are the numbers, in a dimension.Table, of what the spans of both sides say of the extra dimensions.
type Sets struct{ Caller, Callee uint16 }

// overflow is where sets count that are not told apart.
func (s Sets) overflow() Sets {
	if s.Caller != dimension.None {
		s.Caller = dimension.Other
	}
	if s.Callee != dimension.None {
		s.Callee = dimension.Other
	}
	return s
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
	// Seconds are the durations, unless Explicit has them.
	Seconds  structure.Histogram[float64]
	Explicit *Explicit
	// Slowest is the slowest call since the totals were told last: a trace of long ago is no longer to be found.
	Slowest  Exemplar
	observed bool
	// rest is the part of sampled counts that is less than a call, so that rounding does not add up.
	rest float64
}

// Explicit is a histogram over bounds that somebody set. Counts has one more than there are bounds, each of which belongs to the
// bucket below it.
type Explicit struct {
	Bounds        []float64
	Counts        []uint64
	Count         uint64
	Sum, Min, Max float64
}

func newExplicit(bounds []float64) *Explicit {
	return &Explicit{Bounds: bounds, Counts: make([]uint64, len(bounds)+1)}
}

func (e *Explicit) add(seconds float64, count uint64) {
	at, _ := slices.BinarySearch(e.Bounds, seconds)
	e.Counts[at] += count
	if e.Count == 0 || seconds < e.Min {
		e.Min = seconds
	}
	e.Max = max(e.Max, seconds)
	e.Count += count
	e.Sum += seconds * float64(count)
}

func (e *Explicit) take(from *Explicit) {
	for i, n := range from.Counts {
		e.Counts[i] += n
	}
	if from.Count > 0 && (e.Count == 0 || from.Min < e.Min) {
		e.Min = from.Min
	}
	e.Max = max(e.Max, from.Max)
	e.Count += from.Count
	e.Sum += from.Sum
}

func (e *Explicit) clear() {
	clear(e.Counts)
	e.Count, e.Sum, e.Min, e.Max = 0, 0, 0, 0
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
	// bounds are those of explicit histograms, nil for exponential ones.
	bounds []float64
	// rest is what of Calls was rounded off when deltas were told.
	rest float64
	// Share is what a teller that sums up series has to remember of this one. It leaves with the series.
	Share any
}

func newSeries(bounds []float64) *Series {
	s := &Series{bounds: bounds}
	if bounds != nil {
		s.Caller.Explicit, s.Callee.Explicit = newExplicit(bounds), newExplicit(bounds)
	}
	return s
}

// side is the caller's or the callee's.
func (s *Series) side(i int) *Side {
	if i == 0 {
		return &s.Caller
	}
	return &s.Callee
}

// take moves what from holds into s.
func (s *Series) take(from *Series) {
	s.Calls += from.Calls
	s.Confident += from.Confident
	s.Caller.take(&from.Caller)
	s.Callee.take(&from.Callee)
	from.Calls, from.Confident = 0, 0
}

// Whole is Calls as a whole number. Those of successive deltas add up.
func (s *Series) Whole() int64 { return int64(math.Round(s.Calls + s.rest)) }

func (s *Series) clear() {
	s.rest += s.Calls - float64(s.Whole())
	s.Calls, s.Confident = 0, 0
	s.Caller.clear()
	s.Callee.clear()
}

// observe adds a span that stands for so many.
func (s *Side) observe(id pcommon.TraceID, span *trace.Record, count float64) {
	whole := math.Floor(count + s.rest)
	s.rest += count - whole
	s.add(span.End-span.Start, uint64(whole))
	s.show(id, span)
}

// add adds a duration in nanoseconds so many times.
func (s *Side) add(ns int64, count uint64) {
	s.init()
	switch {
	case count == 0:
	case s.Explicit != nil:
		s.Explicit.add(float64(ns)/1e9, count)
	default:
		s.Seconds.UpdateByIncr(float64(ns)/1e9, count)
	}
}

// show makes a span the exemplar if it is the slowest.
func (s *Side) show(id pcommon.TraceID, span *trace.Record) {
	if seconds := float64(span.End-span.Start) / 1e9; seconds > s.Slowest.Seconds || s.Slowest.At == 0 {
		s.Slowest = Exemplar{Trace: id, Span: span.ID, At: span.End, Seconds: seconds}
	}
}

func (s *Side) take(from *Side) {
	if !from.observed {
		return
	}
	s.init()
	if s.Explicit != nil {
		s.Explicit.take(from.Explicit)
	} else {
		s.Seconds.MergeFrom(&from.Seconds)
	}
	if from.Slowest.At != 0 && (s.Slowest.At == 0 || from.Slowest.Seconds >= s.Slowest.Seconds) {
		s.Slowest = from.Slowest
	}
	from.clear()
}

func (s *Side) clear() {
	if !s.observed {
		return
	}
	if s.Explicit != nil {
		s.Explicit.clear()
	} else {
		s.Seconds.Clear()
	}
	s.Slowest = Exemplar{}
}

func (s *Side) init() {
	if s.observed {
		return
	}
	s.observed = true
	if s.Explicit == nil {
		s.Seconds.Init(structure.NewConfig(structure.WithMaxSize(histogramSize)))
	}
}

// Totals holds the series of all books. It is not safe for concurrent use.
type Totals struct {
	series map[Key]*Series
	// silence is after how long without calls a series leaves, in nanoseconds.
	silence int64
	delta   bool
	// retired are edges that leave once what is left of them was told.
	retired map[Edge]bool
	// flushed is when the totals were told last.
	flushed int64
}

// NewTotals returns totals whose series begin at start and leave after silence; both are in nanoseconds. Delta totals begin
// anew each time that they were told.
func NewTotals(start, silence int64, delta bool) *Totals {
	return &Totals{series: map[Key]*Series{}, retired: map[Edge]bool{}, silence: silence, delta: delta, flushed: start}
}

func (t *Totals) take(key Key, from *Series, now int64) {
	if from.Calls == 0 {
		return
	}
	s := t.series[key]
	if s == nil {
		// A series that comes back after it has left begins anew, and says so by its start.
		s = newSeries(from.bounds)
		s.Start = t.flushed
		t.series[key] = s
	}
	s.take(from)
	s.Last = now
}

// Tell calls f with each series: with all of them, or, if they are deltas, with those that were added to since the last call.
// now is in nanoseconds since the epoch. It returns the edges that have left.
func (t *Totals) Tell(now int64, f func(Key, *Series)) (left []Edge) {
	stay, gone := map[Edge]bool{}, maps.Clone(t.retired)
	for key, s := range t.series {
		if now-s.Last >= t.silence {
			delete(t.series, key)
			gone[key.Edge] = true
			continue
		}
		if s.Calls > 0 {
			f(key, s)
		}
		if t.retired[key.Edge] {
			delete(t.series, key)
			continue
		}
		stay[key.Edge] = true
		s.Caller.Slowest, s.Callee.Slowest = Exemplar{}, Exemplar{}
		if t.delta && s.Calls > 0 {
			s.clear()
			s.Start = now
		}
	}
	t.flushed, t.retired = now, map[Edge]bool{}
	for edge := range gone {
		if !stay[edge] {
			left = append(left, edge)
		}
	}
	return left
}

// Retire lets edges leave with the next call of Tell, which tells once more what was counted along them.
func (t *Totals) Retire(edges []Edge) {
	for _, e := range edges {
		t.retired[e] = true
	}
}

// Len is the number of series.
func (t *Totals) Len() int { return len(t.series) }
