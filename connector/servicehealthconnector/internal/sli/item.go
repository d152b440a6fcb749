package sli

import (
	"math"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottldatapoint"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottllog"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlspan"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// item is what an indicator is asked about: a span, a data point or a log record. What implements it is a single pointer, so that
// it needs no memory.
type item interface {
	attributes() pcommon.Map
	resource() pcommon.Map
	// field reads any other place, as far as its signal has it.
	field(place) datum
}

// vocabulary is what plain conditions on one signal may name.
type vocabulary struct {
	// own is the prefix that a path may have.
	own    string
	fields map[string]place
	// values may be named as a whole value only.
	values map[string]place
	// enums are OTTL's names of numbers, as far as they occur in plain conditions.
	enums map[string]int64
}

type spanItem struct{ *ottlspan.TransformContext }

var ofSpans = &vocabulary{
	own: "span.",
	fields: map[string]place{
		"name": spanName, "kind": spanKind, "kind.string": spanKindText, "status.code": statusCode, "status.message": statusMessage,
		"end_time": elapsed,
	},
	enums: map[string]int64{
		"SPAN_KIND_UNSPECIFIED": int64(ptrace.SpanKindUnspecified),
		"SPAN_KIND_INTERNAL":    int64(ptrace.SpanKindInternal),
		"SPAN_KIND_SERVER":      int64(ptrace.SpanKindServer),
		"SPAN_KIND_CLIENT":      int64(ptrace.SpanKindClient),
		"SPAN_KIND_PRODUCER":    int64(ptrace.SpanKindProducer),
		"SPAN_KIND_CONSUMER":    int64(ptrace.SpanKindConsumer),
		"STATUS_CODE_UNSET":     int64(ptrace.StatusCodeUnset),
		"STATUS_CODE_OK":        int64(ptrace.StatusCodeOk),
		"STATUS_CODE_ERROR":     int64(ptrace.StatusCodeError),
	},
}

func (s spanItem) attributes() pcommon.Map { return s.GetSpan().Attributes() }

func (s spanItem) resource() pcommon.Map { return s.GetResource().Attributes() }

func (s spanItem) field(at place) datum {
	span := s.GetSpan()
	switch at {
	case spanName:
		return text(span.Name())
	case spanKind:
		return whole(int64(span.Kind()))
	case spanKindText:
		return text(span.Kind().String())
	case statusCode:
		return whole(int64(span.Status().Code()))
	case statusMessage:
		return text(span.Status().Message())
	default:
		start, end := span.StartTimestamp(), span.EndTimestamp()
		if start > math.MaxInt64 || end > math.MaxInt64 {
			return datum{}
		}
		return datum{kind: isDuration, whole: int64(end) - int64(start)} // both fit
	}
}

// pointItem may have no data point, if only its metric is asked about.
type pointItem struct {
	*ottldatapoint.TransformContext
}

// A point has one number, and its sender chooses of which type. To OTTL that of the other type is 0, which would make every point
// of a sender a good, or a bad one.
var ofPoints = &vocabulary{
	own: "datapoint.", fields: map[string]place{"metric.name": metricName},
	values: map[string]place{"value_double": pointValue, "value_int": pointValue},
}

func (p pointItem) attributes() pcommon.Map {
	switch point := p.GetDataPoint().(type) {
	case pmetric.NumberDataPoint:
		return point.Attributes()
	case pmetric.HistogramDataPoint:
		return point.Attributes()
	case pmetric.ExponentialHistogramDataPoint:
		return point.Attributes()
	case pmetric.SummaryDataPoint:
		return point.Attributes()
	default:
		return pcommon.NewMap()
	}
}

func (p pointItem) resource() pcommon.Map { return p.GetResource().Attributes() }

func (p pointItem) field(at place) datum {
	if at == metricName {
		return text(p.GetMetric().Name())
	}
	point, ok := p.GetDataPoint().(pmetric.NumberDataPoint)
	switch {
	case !ok:
		return datum{}
	case point.ValueType() == pmetric.NumberDataPointValueTypeInt:
		return whole(point.IntValue())
	default:
		return datum{kind: isBroken, broken: point.DoubleValue()}
	}
}

type recordItem struct{ *ottllog.TransformContext }

var ofRecords = &vocabulary{
	own: "log.",
	fields: map[string]place{
		"severity_number": severityNumber, "severity_text": severityText, "event_name": eventName, "body": body,
	},
	enums: map[string]int64{
		"SEVERITY_NUMBER_DEBUG": int64(plog.SeverityNumberDebug),
		"SEVERITY_NUMBER_INFO":  int64(plog.SeverityNumberInfo),
		"SEVERITY_NUMBER_WARN":  int64(plog.SeverityNumberWarn),
		"SEVERITY_NUMBER_ERROR": int64(plog.SeverityNumberError),
		"SEVERITY_NUMBER_FATAL": int64(plog.SeverityNumberFatal),
	},
}

func (r recordItem) attributes() pcommon.Map { return r.GetLogRecord().Attributes() }

func (r recordItem) resource() pcommon.Map { return r.GetResource().Attributes() }

func (r recordItem) field(at place) datum {
	record := r.GetLogRecord()
	switch at {
	case severityNumber:
		return whole(int64(record.SeverityNumber()))
	case severityText:
		return text(record.SeverityText())
	case eventName:
		return text(record.EventName())
	default:
		return datumOf(record.Body())
	}
}
