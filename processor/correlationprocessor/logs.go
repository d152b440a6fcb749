package correlationprocessor

import (
	"context"
	"encoding/binary"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/throughline-otel/throughline/internal/layer"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/recovery"
)

// match is how a record came to its trace.
type match int

const (
	matchNone match = iota
	matchContext
	matchRecovered
	matchCount
)

var matchNames = [matchCount]string{matchNone: "none", matchContext: "context", matchRecovered: "recovered"}

// gap is what is missing from the whole story of a record.
type gap int

const (
	gapNone gap = iota
	gapNoID
	gapHalfID
	gapTrace
	gapSpan
	gapCount
)

var gapNames = [gapCount]string{
	gapNone:   "",
	gapNoID:   "no_id",
	gapHalfID: "half_id_of_unknown_trace",
	gapTrace:  "trace_not_seen",
	gapSpan:   "span_not_seen",
}

// maxAdded is how many attributes a record can get.
const maxAdded = 5

type logs struct {
	*correlation
	next    consumer.Logs
	options [matchCount][gapCount][]metric.AddOption
}

func newLogs(base *correlation, next consumer.Logs) *logs {
	l := &logs{correlation: base, next: next}
	for m, match := range matchNames {
		for g, gap := range gapNames {
			set := []attribute.KeyValue{attribute.String("match", match)}
			if gap != "" {
				set = append(set, attribute.String("reason", gap))
			}
			l.options[m][g] = []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(set...))}
		}
	}
	return l
}

func (l *logs) ConsumeLogs(ctx context.Context, batch plog.Logs) error {
	l.correlate(ctx, now(), batch)
	return l.next.ConsumeLogs(ctx, batch)
}

func (l *logs) correlate(ctx context.Context, now int64, batch plog.Logs) {
	var counts [matchCount][gapCount]int64
	for i := range batch.ResourceLogs().Len() {
		scopes := batch.ResourceLogs().At(i).ScopeLogs()
		for j := range scopes.Len() {
			records := scopes.At(j).LogRecords()
			for k := range records.Len() {
				match, gap := l.record(now, records.At(k))
				counts[match][gap]++
			}
		}
	}
	for m := range counts {
		for g, count := range counts[m] {
			if count > 0 {
				l.telemetry.CorrelationRecords.Add(ctx, count, l.options[m][g]...)
			}
		}
	}
}

func (l *logs) record(now int64, record plog.LogRecord) (match, gap) {
	kind := matchContext
	if record.TraceID().IsEmpty() || record.SpanID().IsEmpty() {
		filled, why := l.recover(now, record)
		switch {
		case filled:
			kind = matchRecovered
		case record.TraceID().IsEmpty():
			return matchNone, why
		}
	}

	known, ok := l.spans.Context(now, record.TraceID(), record.SpanID())
	attributes := record.Attributes()
	attributes.EnsureCapacity(attributes.Len() + maxAdded)
	add(attributes, attributeMatch, matchNames[kind])
	if !ok {
		return kind, gapTrace
	}
	if known.Layer != layer.Unknown {
		add(attributes, attributeLayer, known.Layer.String())
	}
	if known.Entry != nil {
		if known.Entry.Name != "" {
			add(attributes, attributeEntryService, known.Entry.Name)
		}
		add(attributes, attributeEntryOperation, known.Operation)
		if into, exists := attributes.GetOrPutEmpty(attributeTraceFailed); !exists {
			into.SetBool(known.Failed)
		}
	}
	if !known.SpanSeen {
		return kind, gapSpan
	}
	return kind, gapNone
}

// recover fills what the sender left empty, and nothing else. What the record says elsewhere must not contradict what
// the sender did fill.
func (l *logs) recover(now int64, record plog.LogRecord) (filled bool, why gap) {
	if !l.config.Logs.RecoverContext {
		return false, gapNoID
	}
	found, ok := recovery.FromAttributes(record.Attributes())
	if !ok {
		if found, ok = recovery.FromBody(record.Body()); !ok {
			return false, gapNoID
		}
	}
	if found.Half != 0 {
		trace, known := l.resolve(now, record.TraceID(), found.Half)
		if !known {
			return false, gapHalfID
		}
		found.Trace = trace
	}
	switch {
	case record.TraceID().IsEmpty():
		if !record.SpanID().IsEmpty() && !found.Span.IsEmpty() && record.SpanID() != found.Span {
			return false, gapNoID
		}
		record.SetTraceID(found.Trace)
		if record.SpanID().IsEmpty() {
			record.SetSpanID(found.Span)
		}
		return true, gapNone
	case record.TraceID() == found.Trace && !found.Span.IsEmpty():
		record.SetSpanID(found.Span)
		return true, gapNone
	default:
		return false, gapNone
	}
}

// resolve finds the whole id of a trace of which the record has half: it is the sender's, or one that was seen.
func (l *logs) resolve(now int64, given pcommon.TraceID, half uint64) (pcommon.TraceID, bool) {
	if !given.IsEmpty() {
		return given, binary.BigEndian.Uint64(given[8:]) == half
	}
	return l.spans.Resolve(now, half)
}
