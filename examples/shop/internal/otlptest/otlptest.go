// Package otlptest is a collector for tests: it receives OTLP by gRPC and keeps it.
package otlptest

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltraces "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
)

// Attrs are attributes in a form that is easy to compare: string, int64, float64, bool or nil.
type Attrs map[string]any

// Span is a span with its resource.
type Span struct {
	*traces.Span
	Resource, Attrs Attrs
}

// Service is the span's service.name.
func (s Span) Service() string { return s.Resource.String("service.name") }

// Duration is from start to end.
func (s Span) Duration() time.Duration { return time.Duration(s.EndTimeUnixNano - s.StartTimeUnixNano) }

// Start is when the span started.
func (s Span) Start() time.Time { return time.Unix(0, int64(s.StartTimeUnixNano)) }

// Failed says that the span's status is an error.
func (s Span) Failed() bool { return s.GetStatus().GetCode() == traces.Status_STATUS_CODE_ERROR }

// Log is a log record with its resource.
type Log struct {
	*logs.LogRecord
	Resource, Attrs Attrs
}

// Metric is a metric with its resource.
type Metric struct {
	*metrics.Metric
	Resource Attrs
}

// String returns the attribute, or nothing if it is not a string.
func (a Attrs) String(key string) string {
	s, _ := a[key].(string)
	return s
}

// Collector keeps what it receives.
type Collector struct {
	Endpoint string

	mu      sync.Mutex
	spans   []Span
	logs    []Log
	metrics []Metric
}

// New starts a collector that ends with the test.
func New(t testing.TB) *Collector {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &Collector{Endpoint: l.Addr().String()}
	server := grpc.NewServer()
	coltraces.RegisterTraceServiceServer(server, traceService{c: c})
	collogs.RegisterLogsServiceServer(server, logsService{c: c})
	colmetrics.RegisterMetricsServiceServer(server, metricsService{c: c})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l) // ends with Stop
	}()
	t.Cleanup(func() {
		server.Stop()
		<-done
	})
	return c
}

// Spans returns the spans that match.
func (c *Collector) Spans(match func(Span) bool) []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return filter(c.spans, match)
}

// Logs returns the records that match.
func (c *Collector) Logs(match func(Log) bool) []Log {
	c.mu.Lock()
	defer c.mu.Unlock()
	return filter(c.logs, match)
}

// Metrics returns the metrics that match, each as often as it came.
func (c *Collector) Metrics(match func(Metric) bool) []Metric {
	c.mu.Lock()
	defer c.mu.Unlock()
	return filter(c.metrics, match)
}

func filter[T any](all []T, match func(T) bool) []T {
	var out []T
	for _, v := range all {
		if match(v) {
			out = append(out, v)
		}
	}
	return out
}

type traceService struct {
	coltraces.UnimplementedTraceServiceServer
	c *Collector
}

func (s traceService) Export(_ context.Context, in *coltraces.ExportTraceServiceRequest) (*coltraces.ExportTraceServiceResponse, error) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	for _, r := range in.GetResourceSpans() {
		resource := flatten(r.GetResource().GetAttributes())
		for _, scope := range r.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				s.c.spans = append(s.c.spans, Span{span, resource, flatten(span.GetAttributes())})
			}
		}
	}
	return &coltraces.ExportTraceServiceResponse{}, nil
}

type logsService struct {
	collogs.UnimplementedLogsServiceServer
	c *Collector
}

func (s logsService) Export(_ context.Context, in *collogs.ExportLogsServiceRequest) (*collogs.ExportLogsServiceResponse, error) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	for _, r := range in.GetResourceLogs() {
		resource := flatten(r.GetResource().GetAttributes())
		for _, scope := range r.GetScopeLogs() {
			for _, record := range scope.GetLogRecords() {
				s.c.logs = append(s.c.logs, Log{record, resource, flatten(record.GetAttributes())})
			}
		}
	}
	return &collogs.ExportLogsServiceResponse{}, nil
}

type metricsService struct {
	colmetrics.UnimplementedMetricsServiceServer
	c *Collector
}

func (s metricsService) Export(_ context.Context, in *colmetrics.ExportMetricsServiceRequest) (*colmetrics.ExportMetricsServiceResponse, error) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	for _, r := range in.GetResourceMetrics() {
		resource := flatten(r.GetResource().GetAttributes())
		for _, scope := range r.GetScopeMetrics() {
			for _, metric := range scope.GetMetrics() {
				s.c.metrics = append(s.c.metrics, Metric{metric, resource})
			}
		}
	}
	return &colmetrics.ExportMetricsServiceResponse{}, nil
}

func flatten(kvs []*common.KeyValue) Attrs {
	out := make(Attrs, len(kvs))
	for _, kv := range kvs {
		switch v := kv.GetValue().GetValue().(type) {
		case *common.AnyValue_StringValue:
			out[kv.GetKey()] = v.StringValue
		case *common.AnyValue_IntValue:
			out[kv.GetKey()] = v.IntValue
		case *common.AnyValue_DoubleValue:
			out[kv.GetKey()] = v.DoubleValue
		case *common.AnyValue_BoolValue:
			out[kv.GetKey()] = v.BoolValue
		default:
			out[kv.GetKey()] = nil
		}
	}
	return out
}
