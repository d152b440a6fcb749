// Package outline reads what a span says about itself without its attributes.
package outline

import (
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/store"
)

// maxSkew is how far a sender's clock may be ahead before its time is taken for nonsense.
const maxSkew = int64(time.Hour)

// Flaw is why a span is malformed.
type Flaw int

const (
	// NoTraceID and NoSpanID are for ids of zeros.
	NoTraceID Flaw = iota
	NoSpanID
	// NoName is for an empty one.
	NoName
	// NoStart is for a time of zero, which would be a duration of half a century.
	NoStart
	// EndBeforeStart would be a negative duration.
	EndBeforeStart
	// FromTheFuture is more than an hour ahead, or not of this age at all.
	FromTheFuture
	// FlawCount is how many there are.
	FlawCount
	// Flawless is none of them.
	Flawless Flaw = -1
)

// Names are the flaws as values of an attribute.
var Names = [FlawCount]string{
	NoTraceID: "trace_id", NoSpanID: "span_id", NoName: "name", NoStart: "start",
	EndBeforeStart: "end_before_start", FromTheFuture: "future",
}

// Of is the outline of a span.
func Of(span ptrace.Span) store.Span {
	return store.Span{
		Trace:     span.TraceID(),
		ID:        span.SpanID(),
		Start:     int64(span.StartTimestamp()),
		End:       int64(span.EndTimestamp()),
		Root:      span.ParentSpanID().IsEmpty(),
		Operation: span.Name(),
	}
}

// FlawOf tells what is wrong with the outline of a span at a time of the wall clock, in nanoseconds.
func FlawOf(now int64, span *store.Span) Flaw {
	switch {
	case span.Trace.IsEmpty():
		return NoTraceID
	case span.ID.IsEmpty():
		return NoSpanID
	case span.Operation == "":
		return NoName
	case span.Start == 0:
		return NoStart
	case span.Start > now+maxSkew, span.End > now+maxSkew, span.Start < 0, span.End < 0:
		return FromTheFuture
	case span.End < span.Start:
		return EndBeforeStart
	default:
		return Flawless
	}
}

// IsFlawless tells whether nothing is wrong with a span.
func IsFlawless(now int64, span ptrace.Span) bool {
	seen := Of(span)
	return FlawOf(now, &seen) == Flawless
}

// IsFailed believes the status where there is one, and else that a type of error means a failure.
func IsFailed(status ptrace.StatusCode, typed bool) bool {
	switch status {
	case ptrace.StatusCodeError:
		return true
	case ptrace.StatusCodeOk:
		return false
	default:
		return typed
	}
}

// IsEntry tells whether a trace came to an instance with the span.
func IsEntry(span ptrace.Span) bool {
	switch span.Kind() {
	case ptrace.SpanKindServer, ptrace.SpanKindConsumer:
		return true
	default:
		return span.ParentSpanID().IsEmpty()
	}
}

// IsSampled tells whether the tracestate says that other spans like this one were not recorded: its threshold (`ot=th`)
// rejects some. See https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/.
func IsSampled(span ptrace.Span) bool {
	state := span.TraceState().AsRaw()
	if state == "" {
		return false
	}
	w3c, err := sampling.NewW3CTraceState(state)
	if err != nil {
		return false
	}
	threshold, ok := w3c.OTelValue().TValueThreshold()
	return ok && threshold != sampling.AlwaysSampleThreshold
}
