package hold

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// What things take in memory apart from their texts, in bytes, as they are decoded. A value is in a slot of its parent
// and, other than an empty one, in a box of its own.
const (
	// batchBytes also has room for the sender's context.
	batchBytes     = 1 << 10
	resourceBytes  = 240
	scopeBytes     = 160
	recordBytes    = 136
	spanBytes      = 216
	eventBytes     = 80
	linkBytes      = 96
	pairBytes      = 48
	slotBytes      = 24
	boxBytes       = 16
	containerBytes = 48
)

func measureLogs(batch plog.Logs) (items int, bytes int64) {
	bytes = batchBytes
	for i := range batch.ResourceLogs().Len() {
		resource := batch.ResourceLogs().At(i)
		bytes += resourceBytes + mapBytes(resource.Resource().Attributes()) + textBytes(resource.SchemaUrl())
		for j := range resource.ScopeLogs().Len() {
			scope := resource.ScopeLogs().At(j)
			bytes += innerBytes(scope.Scope()) + textBytes(scope.SchemaUrl())
			records := scope.LogRecords()
			items += records.Len()
			for k := range records.Len() {
				record := records.At(k)
				bytes += recordBytes + mapBytes(record.Attributes()) + valueBytes(record.Body()) +
					textBytes(record.SeverityText()) + textBytes(record.EventName())
			}
		}
	}
	return items, bytes
}

func measureTraces(batch ptrace.Traces) (items int, bytes int64) {
	bytes = batchBytes
	for i := range batch.ResourceSpans().Len() {
		resource := batch.ResourceSpans().At(i)
		bytes += resourceBytes + mapBytes(resource.Resource().Attributes()) + textBytes(resource.SchemaUrl())
		for j := range resource.ScopeSpans().Len() {
			scope := resource.ScopeSpans().At(j)
			bytes += innerBytes(scope.Scope()) + textBytes(scope.SchemaUrl())
			spans := scope.Spans()
			items += spans.Len()
			for k := range spans.Len() {
				bytes += spanTotal(spans.At(k))
			}
		}
	}
	return items, bytes
}

func spanTotal(span ptrace.Span) int64 {
	bytes := spanBytes + mapBytes(span.Attributes()) +
		textBytes(span.Name()) + textBytes(span.TraceState().AsRaw()) + textBytes(span.Status().Message())
	for i := range span.Events().Len() {
		event := span.Events().At(i)
		bytes += eventBytes + textBytes(event.Name()) + mapBytes(event.Attributes())
	}
	for i := range span.Links().Len() {
		link := span.Links().At(i)
		bytes += linkBytes + textBytes(link.TraceState().AsRaw()) + mapBytes(link.Attributes())
	}
	return bytes
}

func innerBytes(scope pcommon.InstrumentationScope) int64 {
	return scopeBytes + textBytes(scope.Name()) + textBytes(scope.Version()) + mapBytes(scope.Attributes())
}

func mapBytes(attributes pcommon.Map) (bytes int64) {
	for key, value := range attributes.All() {
		bytes += pairBytes + textBytes(key) + valueBytes(value)
	}
	return bytes
}

func valueBytes(value pcommon.Value) int64 {
	switch value.Type() {
	case pcommon.ValueTypeEmpty:
		return 0
	case pcommon.ValueTypeStr:
		return boxBytes + textBytes(value.Str())
	case pcommon.ValueTypeBytes:
		return boxBytes + int64(value.Bytes().Len())
	case pcommon.ValueTypeMap:
		return containerBytes + mapBytes(value.Map())
	case pcommon.ValueTypeSlice:
		bytes := int64(2 * boxBytes)
		for _, value := range value.Slice().All() {
			bytes += slotBytes + valueBytes(value)
		}
		return bytes
	default:
		return boxBytes
	}
}

// textBytes rounds up as the allocator does.
func textBytes(text string) int64 {
	return int64(len(text)+7) &^ 7
}
