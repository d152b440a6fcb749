// Package jointest replays recorded telemetry in event time, and scores what was joined by what the recording says.
package jointest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Request is one export request of one signal; the other two are empty.
type Request struct {
	// Now is the latest time that stands in this request and those before it, in nanoseconds since 1970: when it came, at
	// the earliest.
	Now     int64
	Traces  ptrace.Traces
	Logs    plog.Logs
	Metrics pmetric.Metrics
}

// Read reads a file of OTLP/JSON lines that was compressed by zstd, in its order, but not more than the first so many
// seconds of event time in which anything came. Zero is all.
func Read(path string, seconds int) ([]Request, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	decoder, err := zstd.NewReader(file, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer decoder.Close()

	var (
		all    []Request
		lines  = bufio.NewReaderSize(decoder, 1<<20)
		now    int64
		active = map[int64]struct{}{}
	)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			request, wrong := parse(line)
			if wrong != nil {
				return nil, fmt.Errorf("%s, line %d: %w", path, len(all)+1, wrong)
			}
			now = max(now, request.latest())
			request.Now = now
			active[now/1e9] = struct{}{}
			if seconds > 0 && len(active) > seconds {
				return all, nil
			}
			all = append(all, request)
		}
		switch {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
}

func parse(line []byte) (r Request, err error) {
	r = Request{Traces: ptrace.NewTraces(), Logs: plog.NewLogs(), Metrics: pmetric.NewMetrics()}
	switch {
	case bytes.HasPrefix(line, []byte(`{"resourceSpans"`)):
		r.Traces, err = new(ptrace.JSONUnmarshaler).UnmarshalTraces(line)
	case bytes.HasPrefix(line, []byte(`{"resourceLogs"`)):
		r.Logs, err = new(plog.JSONUnmarshaler).UnmarshalLogs(line)
	case bytes.HasPrefix(line, []byte(`{"resourceMetrics"`)):
		r.Metrics, err = new(pmetric.JSONUnmarshaler).UnmarshalMetrics(line)
	default:
		err = errors.New("of no signal")
	}
	return r, err
}

func (r *Request) latest() (at int64) {
	note := func(time pcommon.Timestamp) { at = max(at, int64(time)) }
	EachSpan(r.Traces, func(_ pcommon.Map, span ptrace.Span) { note(span.EndTimestamp()) })
	EachRecord(r.Logs, func(_ pcommon.Map, record plog.LogRecord) { note(record.Timestamp()) })
	EachPoint(r.Metrics, func(point Point) { note(point.Until) })
	return at
}

// EachSpan visits the spans of a batch with the attributes of their resource.
func EachSpan(batch ptrace.Traces, visit func(resource pcommon.Map, span ptrace.Span)) {
	for _, resource := range batch.ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			for _, span := range scope.Spans().All() {
				visit(resource.Resource().Attributes(), span)
			}
		}
	}
}

// EachRecord visits the records of a batch with the attributes of their resource.
func EachRecord(batch plog.Logs, visit func(resource pcommon.Map, record plog.LogRecord)) {
	for _, resource := range batch.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				visit(resource.Resource().Attributes(), record)
			}
		}
	}
}

// Point is what the points of all kinds have in common.
type Point struct {
	Resource   pcommon.Map
	Metric     string
	Attributes pcommon.Map
	// Exemplars are always empty for summaries, which have none.
	Exemplars    pmetric.ExemplarSlice
	Since, Until pcommon.Timestamp
}

type point interface {
	Attributes() pcommon.Map
	StartTimestamp() pcommon.Timestamp
	Timestamp() pcommon.Timestamp
}

// EachPoint visits the points of a batch.
func EachPoint(batch pmetric.Metrics, visit func(Point)) {
	for _, resource := range batch.ResourceMetrics().All() {
		for _, scope := range resource.ScopeMetrics().All() {
			for _, metric := range scope.Metrics().All() {
				show := func(p point, exemplars pmetric.ExemplarSlice) {
					visit(Point{
						resource.Resource().Attributes(), metric.Name(), p.Attributes(), exemplars, p.StartTimestamp(), p.Timestamp(),
					})
				}
				switch metric.Type() {
				case pmetric.MetricTypeGauge:
					for _, p := range metric.Gauge().DataPoints().All() {
						show(p, p.Exemplars())
					}
				case pmetric.MetricTypeSum:
					for _, p := range metric.Sum().DataPoints().All() {
						show(p, p.Exemplars())
					}
				case pmetric.MetricTypeHistogram:
					for _, p := range metric.Histogram().DataPoints().All() {
						show(p, p.Exemplars())
					}
				case pmetric.MetricTypeExponentialHistogram:
					for _, p := range metric.ExponentialHistogram().DataPoints().All() {
						show(p, p.Exemplars())
					}
				case pmetric.MetricTypeSummary:
					for _, p := range metric.Summary().DataPoints().All() {
						show(p, pmetric.NewExemplarSlice())
					}
				}
			}
		}
	}
}
