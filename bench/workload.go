package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/klauspost/compress/zstd"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// workload is recorded telemetry, batch by batch as it came.
type workload struct {
	name    string
	traces  []ptrace.Traces
	metrics []pmetric.Metrics
	logs    []plog.Logs
	spans   int
	// end is the latest time in it.
	end pcommon.Timestamp
}

// load reads OTLP JSON lines until it has maxSpans spans.
func load(name, path string, maxSpans int) (*workload, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	z, err := zstd.NewReader(file)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	w := &workload{name: name}
	lines := bufio.NewReader(z)
	for w.spans < maxSpans {
		line, err := lines.ReadBytes('\n')
		if len(line) == 0 {
			break // the end; a file that cannot be read to there says so by having too few spans or none
		}
		if err := w.add(line); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if err != nil {
			break
		}
	}
	if w.spans == 0 {
		return nil, fmt.Errorf("%s: no spans", path)
	}
	return w, nil
}

func (w *workload) add(line []byte) error {
	switch {
	case bytes.HasPrefix(line, []byte(`{"resourceSpans"`)):
		td, err := new(ptrace.JSONUnmarshaler).UnmarshalTraces(line)
		if err != nil {
			return err
		}
		w.traces = append(w.traces, td)
		w.spans += td.SpanCount()
		for span := range spansOf(td) {
			w.end = max(w.end, span.EndTimestamp())
		}
	case bytes.HasPrefix(line, []byte(`{"resourceMetrics"`)):
		md, err := new(pmetric.JSONUnmarshaler).UnmarshalMetrics(line)
		if err != nil {
			return err
		}
		w.metrics = append(w.metrics, md)
	case bytes.HasPrefix(line, []byte(`{"resourceLogs"`)):
		ld, err := new(plog.JSONUnmarshaler).UnmarshalLogs(line)
		if err != nil {
			return err
		}
		w.logs = append(w.logs, ld)
	default:
		return errors.New("a line is no OTLP export request")
	}
	return nil
}

// spansOf goes through the spans of a batch.
func spansOf(td ptrace.Traces) func(yield func(ptrace.Span) bool) {
	return func(yield func(ptrace.Span) bool) {
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, span := range ss.Spans().All() {
					if !yield(span) {
						return
					}
				}
			}
		}
	}
}

// renewal makes other traces of those in a workload: the same, but with other trace IDs, and at another time.
type renewal struct {
	mask  uint64
	shift int64
}

// renew returns the renewal that makes a workload end at now. round tells the renewals of one workload apart.
func (w *workload) renew(round int, now time.Time) renewal {
	return renewal{mask: uint64(round) * 0x9E3779B97F4A7C15, shift: now.UnixNano() - int64(w.end)}
}

func (r renewal) time(t pcommon.Timestamp) pcommon.Timestamp {
	if t == 0 {
		return 0
	}
	return pcommon.Timestamp(int64(t) + r.shift)
}

// id leaves zero IDs as they are: they say that there is none.
func (r renewal) id(id pcommon.TraceID) pcommon.TraceID {
	if id.IsEmpty() {
		return id
	}
	for _, at := range []int{0, 8} {
		binary.LittleEndian.PutUint64(id[at:], binary.LittleEndian.Uint64(id[at:])^r.mask)
	}
	return id
}

// traces writes into dst what r makes of src. dst is a copy of src, or what an earlier renewal made of it.
func (r renewal) traces(src, dst ptrace.Traces) {
	for i, rs := range src.ResourceSpans().All() {
		for j, ss := range rs.ScopeSpans().All() {
			for k, from := range ss.Spans().All() {
				to := dst.ResourceSpans().At(i).ScopeSpans().At(j).Spans().At(k)
				to.SetTraceID(r.id(from.TraceID()))
				to.SetStartTimestamp(r.time(from.StartTimestamp()))
				to.SetEndTimestamp(r.time(from.EndTimestamp()))
				for l, link := range from.Links().All() {
					to.Links().At(l).SetTraceID(r.id(link.TraceID()))
				}
				for l, event := range from.Events().All() {
					to.Events().At(l).SetTimestamp(r.time(event.Timestamp()))
				}
			}
		}
	}
}

func (r renewal) logs(ld plog.Logs) {
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, record := range sl.LogRecords().All() {
				record.SetTraceID(r.id(record.TraceID()))
				record.SetTimestamp(r.time(record.Timestamp()))
				record.SetObservedTimestamp(r.time(record.ObservedTimestamp()))
			}
		}
	}
}

func (r renewal) metrics(md pmetric.Metrics) {
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				r.metric(m)
			}
		}
	}
}

func (r renewal) metric(m pmetric.Metric) {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		for _, p := range m.Gauge().DataPoints().All() {
			renewPoint(r, p, p.Exemplars())
		}
	case pmetric.MetricTypeSum:
		for _, p := range m.Sum().DataPoints().All() {
			renewPoint(r, p, p.Exemplars())
		}
	case pmetric.MetricTypeHistogram:
		for _, p := range m.Histogram().DataPoints().All() {
			renewPoint(r, p, p.Exemplars())
		}
	case pmetric.MetricTypeExponentialHistogram:
		for _, p := range m.ExponentialHistogram().DataPoints().All() {
			renewPoint(r, p, p.Exemplars())
		}
	}
}

type point interface {
	StartTimestamp() pcommon.Timestamp
	SetStartTimestamp(pcommon.Timestamp)
	Timestamp() pcommon.Timestamp
	SetTimestamp(pcommon.Timestamp)
}

func renewPoint(r renewal, p point, exemplars pmetric.ExemplarSlice) {
	p.SetStartTimestamp(r.time(p.StartTimestamp()))
	p.SetTimestamp(r.time(p.Timestamp()))
	for _, e := range exemplars.All() {
		e.SetTraceID(r.id(e.TraceID()))
		e.SetTimestamp(r.time(e.Timestamp()))
	}
}

// quantile returns the duration below which a share of a service's server spans stay, or 0 if it has none.
func (w *workload) quantile(service string, share float64) time.Duration {
	var durations []time.Duration
	for _, td := range w.traces {
		for _, rs := range td.ResourceSpans().All() {
			if nameOf(rs.Resource()) != service {
				continue
			}
			for _, ss := range rs.ScopeSpans().All() {
				for _, span := range ss.Spans().All() {
					if span.Kind() == ptrace.SpanKindServer || span.Kind() == ptrace.SpanKindConsumer {
						durations = append(durations, time.Duration(span.EndTimestamp()-span.StartTimestamp()))
					}
				}
			}
		}
	}
	if len(durations) == 0 {
		return 0
	}
	return sorted(durations)[int(math.Floor(share*float64(len(durations)-1)))]
}

// services are the names of the services in it, in order.
func (w *workload) services() []string {
	seen := map[string]bool{}
	var names []string
	for _, td := range w.traces {
		for _, rs := range td.ResourceSpans().All() {
			if name := nameOf(rs.Resource()); name != "" && !seen[name] {
				seen[name] = true
				names = append(names, name)
			}
		}
	}
	return sorted(names)
}

// nameOf is how an OpenSLO document names a resource's service.
func nameOf(resource pcommon.Resource) string {
	text := func(key string) string {
		value, ok := resource.Attributes().Get(key)
		if !ok {
			return ""
		}
		return value.Str()
	}
	name, namespace := text("service.name"), text("service.namespace")
	if namespace != "" {
		return namespace + "/" + name
	}
	return name
}
