package config

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// backend takes OTLP/HTTP and keeps all of it.
type backend struct {
	*httptest.Server

	mu      sync.Mutex
	traces  ptrace.Traces
	metrics pmetric.Metrics
	logs    plog.Logs
}

func newBackend(t *testing.T) *backend {
	t.Helper()
	b := &backend{traces: ptrace.NewTraces(), metrics: pmetric.NewMetrics(), logs: plog.NewLogs()}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", b.take(func(body []byte) error {
		traces, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(body)
		if err == nil {
			traces.ResourceSpans().MoveAndAppendTo(b.traces.ResourceSpans())
		}
		return err
	}))
	mux.HandleFunc("POST /v1/metrics", b.take(func(body []byte) error {
		metrics, err := (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(body)
		if err == nil {
			metrics.ResourceMetrics().MoveAndAppendTo(b.metrics.ResourceMetrics())
		}
		return err
	}))
	mux.HandleFunc("POST /v1/logs", b.take(func(body []byte) error {
		logs, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(body)
		if err == nil {
			logs.ResourceLogs().MoveAndAppendTo(b.logs.ResourceLogs())
		}
		return err
	}))
	b.Server = httptest.NewServer(mux)
	t.Cleanup(b.Close)
	return b
}

// take hands on the body of a request. An empty answer is a success in OTLP.
func (b *backend) take(keep func([]byte) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in io.Reader = r.Body
		if r.Header.Get("Content-Encoding") == "gzip" {
			unzipped, err := gzip.NewReader(r.Body)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			in = unzipped
		}
		body, err := io.ReadAll(in)
		if err == nil {
			b.mu.Lock()
			err = keep(body)
			b.mu.Unlock()
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}
}

// look calls f while nothing more arrives.
func (b *backend) look(f func(ptrace.Traces, pmetric.Metrics, plog.Logs)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f(b.traces, b.metrics, b.logs)
}
