package recording

import (
	"math"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Shift moves every time in the export by d: of spans and their events, of points, their starts and exemplars, and of
// records. A time that is not set stays so, and one that the move would take out of the years 1970 to 2262 stays as it is.
func (e *Export) Shift(d time.Duration) {
	for _, p := range e.parts {
		switch p.signal {
		case Traces:
			shiftTraces(p.traces, d)
		case Metrics:
			shiftMetrics(p.metrics, d)
		case Logs:
			shiftLogs(p.logs, d)
		}
	}
	if !e.Last.IsZero() {
		e.Last = shifted(pcommon.NewTimestampFromTime(e.Last), d).AsTime()
	}
}

func shifted(t pcommon.Timestamp, d time.Duration) pcommon.Timestamp {
	if t == 0 || t > math.MaxInt64 {
		return t
	}
	moved := int64(t) + int64(d)
	if moved <= 0 { // before 1970, or beyond the end of the int64
		return t
	}
	return pcommon.Timestamp(moved)
}

func shiftTraces(traces ptrace.Traces, d time.Duration) {
	for _, resource := range traces.ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			for _, span := range scope.Spans().All() {
				span.SetStartTimestamp(shifted(span.StartTimestamp(), d))
				span.SetEndTimestamp(shifted(span.EndTimestamp(), d))
				for _, event := range span.Events().All() {
					event.SetTimestamp(shifted(event.Timestamp(), d))
				}
			}
		}
	}
}

func shiftLogs(logs plog.Logs, d time.Duration) {
	for _, resource := range logs.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				record.SetTimestamp(shifted(record.Timestamp(), d))
				record.SetObservedTimestamp(shifted(record.ObservedTimestamp(), d))
			}
		}
	}
}

func shiftMetrics(metrics pmetric.Metrics, d time.Duration) {
	eachPoint(metrics, func(p point) {
		p.SetTimestamp(shifted(p.Timestamp(), d))
		p.SetStartTimestamp(shifted(p.StartTimestamp(), d))
		if with, ok := p.(interface{ Exemplars() pmetric.ExemplarSlice }); ok {
			for _, exemplar := range with.Exemplars().All() {
				exemplar.SetTimestamp(shifted(exemplar.Timestamp(), d))
			}
		}
	})
}
