package jointest

import (
	"fmt"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// ID is of a span.
type ID struct {
	Trace pcommon.TraceID
	Span  pcommon.SpanID
}

// Of is the id that stands in a record's own fields.
func Of(record plog.LogRecord) ID {
	return ID{record.TraceID(), record.SpanID()}
}

// Share is a part of something.
type Share struct{ Part, Of int }

// Percent is the share times 100, and 100 of nothing at all.
func (s Share) Percent() float64 {
	if s.Of == 0 {
		return 100
	}
	return 100 * float64(s.Part) / float64(s.Of)
}

// String tells nothing at all from all of something.
func (s Share) String() string {
	if s.Of == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f %%", s.Percent())
}

// Score compares the ids that records were given with those that they had.
type Score struct {
	// Records is how many had an id, and Joined how many of all were given one.
	Records, Joined int
	// RightTrace and RightSpan count the joined ones that were given the id of their trace, and of their span in it.
	RightTrace, RightSpan int
	// WithSpan counts those that had the id of a span, and JoinedSpan those that were given one.
	WithSpan, JoinedSpan int
}

// Add takes in one record. Nobody is given anything if given is empty.
func (s *Score) Add(had, given ID) {
	if !had.Trace.IsEmpty() {
		s.Records++
		if !had.Span.IsEmpty() {
			s.WithSpan++
		}
	}
	if given.Trace.IsEmpty() {
		return
	}
	s.Joined++
	right := given.Trace == had.Trace
	if right {
		s.RightTrace++
	}
	if !given.Span.IsEmpty() {
		s.JoinedSpan++
		if right && given.Span == had.Span {
			s.RightSpan++
		}
	}
}

// TracePrecision is how many of the ids of traces that were given are right.
func (s *Score) TracePrecision() Share { return Share{s.RightTrace, s.Joined} }

// TraceRecall is how many of all records that had the id of a trace were given it.
func (s *Score) TraceRecall() Share { return Share{s.RightTrace, s.Records} }

// SpanPrecision is how many of the ids of spans that were given are right.
func (s *Score) SpanPrecision() Share { return Share{s.RightSpan, s.JoinedSpan} }

// SpanRecall is how many of all records that had the id of a span were given it.
func (s *Score) SpanRecall() Share { return Share{s.RightSpan, s.WithSpan} }
