package recording

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

// Signal is one of the three kinds of telemetry.
type Signal int

// The signals.
const (
	Traces Signal = iota
	Metrics
	Logs
	signals
)

// String is the signal's name as it stands in the paths of OTLP/HTTP.
func (s Signal) String() string {
	switch s {
	case Traces:
		return "traces"
	case Metrics:
		return "metrics"
	case Logs:
		return "logs"
	default:
		return fmt.Sprintf("signal %d", int(s))
	}
}

var errNoSignal = errors.New("the JSON object has none of the keys resourceSpans, resourceMetrics and resourceLogs")

// Counts says how much telemetry there is.
type Counts struct {
	Spans, Points, Records int
}

// Items is the sum.
func (c Counts) Items() int { return c.Spans + c.Points + c.Records }

// Export is what one line asks to export: up to one request per signal, in the order of the line's keys.
type Export struct {
	Counts Counts

	// Last is the line's event time: the latest time of a span, point or record in it, or the zero time if none says one.
	// A record counts by the time it happened, and by when it was observed only if it has no such time.
	Last time.Time

	parts []part
}

// part holds one signal; only the field of that signal is set.
type part struct {
	signal  Signal
	items   int
	traces  ptrace.Traces
	metrics pmetric.Metrics
	logs    plog.Logs
}

// Request is one OTLP export request in its protobuf encoding.
type Request struct {
	Signal Signal
	Items  int // spans, points or records in it; at least 1
	Body   []byte
}

// Parse decodes a line. It copies what it keeps. As OTLP demands, fields that it does not know are ignored, but a line
// without any of the three signals is an error, as is everything that is not exactly one JSON object.
func Parse(line []byte) (Export, error) {
	var order []Signal
	var seen [signals]bool
	err := topLevel(line, func(key []byte) {
		signal, ok := signalOf(key)
		if ok && !seen[signal] {
			seen[signal] = true
			order = append(order, signal)
		}
	})
	if err != nil {
		return Export{}, err
	}
	if len(order) == 0 {
		return Export{}, errNoSignal
	}
	var export Export
	for _, signal := range order {
		decoded, err := decode(signal, line)
		if err != nil {
			return Export{}, fmt.Errorf("not an OTLP/JSON request for %s: %w", signal, decodeReason(err))
		}
		var last pcommon.Timestamp
		switch signal {
		case Traces:
			decoded.items, last = surveyTraces(decoded.traces)
			export.Counts.Spans = decoded.items
		case Metrics:
			decoded.items, last = surveyMetrics(decoded.metrics)
			export.Counts.Points = decoded.items
		case Logs:
			decoded.items, last = surveyLogs(decoded.logs)
			export.Counts.Records = decoded.items
		}
		if last > 0 && last.AsTime().After(export.Last) {
			export.Last = last.AsTime()
		}
		if decoded.items > 0 {
			export.parts = append(export.parts, decoded)
		}
	}
	return export, nil
}

// Requests encodes what the line asks to export. Signals without any item are left out: there is nothing in them to accept.
func (e Export) Requests() ([]Request, error) {
	requests := make([]Request, 0, len(e.parts))
	for _, p := range e.parts {
		body, err := p.encode()
		if err != nil {
			return nil, fmt.Errorf("cannot encode %s: %w", p.signal, err)
		}
		requests = append(requests, Request{Signal: p.signal, Items: p.items, Body: body})
	}
	return requests, nil
}

func signalOf(key []byte) (Signal, bool) {
	switch string(key) {
	case "resourceSpans", "resource_spans":
		return Traces, true
	case "resourceMetrics", "resource_metrics":
		return Metrics, true
	case "resourceLogs", "resource_logs":
		return Logs, true
	}
	return 0, false
}

func decode(signal Signal, line []byte) (p part, err error) {
	p.signal = signal
	switch signal {
	case Traces:
		request := ptraceotlp.NewExportRequest()
		err = request.UnmarshalJSON(line)
		p.traces = request.Traces()
	case Metrics:
		request := pmetricotlp.NewExportRequest()
		err = request.UnmarshalJSON(line)
		p.metrics = request.Metrics()
	default:
		request := plogotlp.NewExportRequest()
		err = request.UnmarshalJSON(line)
		p.logs = request.Logs()
	}
	return p, err
}

func (p part) encode() ([]byte, error) {
	switch p.signal {
	case Traces:
		return ptraceotlp.NewExportRequestFromTraces(p.traces).MarshalProto()
	case Metrics:
		return pmetricotlp.NewExportRequestFromMetrics(p.metrics).MarshalProto()
	default:
		return plogotlp.NewExportRequestFromLogs(p.logs).MarshalProto()
	}
}

// decodeReason keeps the decoder's first sentence; the rest quotes the surrounding input, which may be long and is not text
// that one can trust on a terminal.
func decodeReason(err error) error {
	if errors.Is(err, io.EOF) {
		return errTorn
	}
	sentence, _, _ := strings.Cut(err.Error(), ", error found in #")
	return errors.New(Printable(sentence))
}

// Printable makes text from a stranger fit for a terminal and a log: one line of at most 500 bytes, no control characters.
func Printable(text string) string {
	const limit = 500
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' || r >= '\u202a' && r <= '\u202e' ||
			r >= '\u2066' && r <= '\u2069' {
			return ' '
		}
		return r
	}, text)
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "") + "…"
	}
	return strings.TrimSpace(text)
}

// later ignores times that no clock reaches, beyond 2262, which is where time.Time in nanoseconds ends: they are bad input.
func later(a, b pcommon.Timestamp) pcommon.Timestamp {
	if b > math.MaxInt64 {
		return a
	}
	return max(a, b)
}

func surveyTraces(traces ptrace.Traces) (n int, last pcommon.Timestamp) {
	for _, resource := range traces.ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			n += scope.Spans().Len()
			for _, span := range scope.Spans().All() {
				last = later(later(last, span.StartTimestamp()), span.EndTimestamp())
			}
		}
	}
	return n, last
}

func surveyLogs(logs plog.Logs) (n int, last pcommon.Timestamp) {
	for _, resource := range logs.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			n += scope.LogRecords().Len()
			for _, record := range scope.LogRecords().All() {
				at := record.Timestamp()
				if at == 0 {
					at = record.ObservedTimestamp()
				}
				last = later(last, at)
			}
		}
	}
	return n, last
}

func surveyMetrics(metrics pmetric.Metrics) (n int, last pcommon.Timestamp) {
	eachPoint(metrics, func(p point) {
		n++
		last = later(last, p.Timestamp())
	})
	return n, last
}

// point is what the points of all kinds of metrics have in common.
type point interface {
	Timestamp() pcommon.Timestamp
	SetTimestamp(pcommon.Timestamp)
	StartTimestamp() pcommon.Timestamp
	SetStartTimestamp(pcommon.Timestamp)
}

func eachPoint(metrics pmetric.Metrics, do func(point)) {
	for _, resource := range metrics.ResourceMetrics().All() {
		for _, scope := range resource.ScopeMetrics().All() {
			for _, metric := range scope.Metrics().All() {
				eachPointOf(metric, do)
			}
		}
	}
}

func eachPointOf(metric pmetric.Metric, do func(point)) {
	switch metric.Type() {
	case pmetric.MetricTypeGauge:
		for _, p := range metric.Gauge().DataPoints().All() {
			do(p)
		}
	case pmetric.MetricTypeSum:
		for _, p := range metric.Sum().DataPoints().All() {
			do(p)
		}
	case pmetric.MetricTypeHistogram:
		for _, p := range metric.Histogram().DataPoints().All() {
			do(p)
		}
	case pmetric.MetricTypeExponentialHistogram:
		for _, p := range metric.ExponentialHistogram().DataPoints().All() {
			do(p)
		}
	case pmetric.MetricTypeSummary:
		for _, p := range metric.Summary().DataPoints().All() {
			do(p)
		}
	}
}
