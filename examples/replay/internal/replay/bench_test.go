package replay

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/throughline-otel/throughline/examples/replay/internal/recording"
	"github.com/throughline-otel/throughline/examples/replay/internal/sender"
)

// benchFile is a recording: a real one from the folder that THROUGHLINE_DATA names, else a made one of the same size.
func benchFile(b *testing.B) string {
	if dir := os.Getenv("THROUGHLINE_DATA"); dir != "" {
		path := filepath.Join(dir, "ob-20220822-01.jsonl.zst")
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	var text strings.Builder
	for line := range 190 {
		text.WriteString(`{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"cart"}}]},"scopeSpans":[{"spans":[`)
		for span := range 330 {
			if span > 0 {
				text.WriteByte(',')
			}
			_, _ = fmt.Fprintf(&text, `{"traceId":"%032x","spanId":"%016x","parentSpanId":"%016x","name":"hipstershop.CartService/GetCart","kind":2,"startTimeUnixNano":"%d","endTimeUnixNano":"%d"}`,
				line*1000+span/30+1, line*1000+span+1, line*1000+span/2+1, begin.UnixNano(), begin.UnixNano()+int64(line)*1e9)
		}
		text.WriteString("]}]}]}\n")
	}
	path := filepath.Join(b.TempDir(), "made.jsonl")
	require.NoError(b, os.WriteFile(path, []byte(text.String()), 0o600))
	return path
}

// sink answers every request with success after handle has seen its body.
func sink(b *testing.B, handle func(path string, body []byte) error) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = handle(r.URL.Path, body)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	b.Cleanup(server.Close)
	return server.URL
}

func newSender(b *testing.B, endpoint string) *sender.Sender {
	s, err := sender.New(sender.Options{Endpoint: endpoint, Timeout: time.Minute})
	require.NoError(b, err)
	b.Cleanup(s.Close)
	return s
}

func cpu(b *testing.B) time.Duration {
	var usage syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// measure reports time and CPU time per item, and the rates that a user sees.
func measure(b *testing.B, once func() (lines, items int)) {
	before := cpu(b)
	lines, items := 0, 0
	for b.Loop() {
		l, i := once()
		lines, items = lines+l, items+i
	}
	seconds := b.Elapsed().Seconds()
	b.ReportMetric(float64(lines)/seconds, "lines/s")
	b.ReportMetric(float64(items)/seconds, "items/s")
	b.ReportMetric(float64(cpu(b)-before)/float64(items), "cpu-ns/item")
}

// BenchmarkReplay is the whole way into a collector that does nothing with what it gets.
func BenchmarkReplay(b *testing.B) {
	path := benchFile(b)
	dst := newSender(b, sink(b, func(string, []byte) error { return nil }))
	measure(b, func() (int, int) {
		src, err := recording.Open([]string{path}, nil)
		require.NoError(b, err)
		totals, err := Run(b.Context(), src, src.Close, dst, Options{})
		require.NoError(b, err)
		return totals.Lines, totals.Counts.Items()
	})
}

// BenchmarkWire compares the two encodings that OTLP/HTTP has, into a server that decodes as a collector does. Client and server
// share the CPU, as they do when one replays into a collector on one's own machine. The JSON way posts the lines as they
// are, without a look inside: less than a replay could do, which needs their event times.
func BenchmarkWire(b *testing.B) {
	path := benchFile(b)
	b.Run("protobuf", func(b *testing.B) {
		dst := newSender(b, sink(b, decodeProto))
		measure(b, func() (int, int) {
			src, err := recording.Open([]string{path}, nil)
			require.NoError(b, err)
			totals, err := Run(b.Context(), src, src.Close, dst, Options{})
			require.NoError(b, err)
			return totals.Lines, totals.Counts.Items()
		})
	})
	items := countItems(b, path)
	b.Run("json", func(b *testing.B) {
		endpoint := sink(b, decodeJSON)
		measure(b, func() (int, int) {
			src, err := recording.Open([]string{path}, nil)
			require.NoError(b, err)
			defer src.Close()
			lines := 0
			for ; ; lines++ {
				line, err := src.Next()
				if errors.Is(err, io.EOF) {
					return lines, items
				}
				require.NoError(b, err)
				response, err := http.Post(endpoint+pathOf(line.Data), "application/json", bytes.NewReader(line.Data))
				require.NoError(b, err)
				require.Equal(b, http.StatusOK, response.StatusCode)
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
			}
		})
	})
}

// BenchmarkDecode is the collector's part alone.
func BenchmarkDecode(b *testing.B) {
	path := benchFile(b)
	var asJSON, asProto [][]byte
	var paths []string
	src, err := recording.Open([]string{path}, nil)
	require.NoError(b, err)
	defer src.Close()
	for {
		line, err := src.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(b, err)
		export, err := recording.Parse(line.Data)
		require.NoError(b, err)
		requests, err := export.Requests()
		require.NoError(b, err)
		require.Len(b, requests, 1)
		asJSON, asProto = append(asJSON, bytes.Clone(line.Data)), append(asProto, requests[0].Body)
		paths = append(paths, pathOf(line.Data))
	}
	items := countItems(b, path)
	for name, way := range map[string]struct {
		decode func(string, []byte) error
		bodies [][]byte
	}{"protobuf": {decodeProto, asProto}, "json": {decodeJSON, asJSON}} {
		b.Run(name, func(b *testing.B) {
			measure(b, func() (int, int) {
				for i, body := range way.bodies {
					if err := way.decode(paths[i], body); err != nil {
						b.Fatal(err)
					}
				}
				return len(way.bodies), items
			})
		})
	}
}

func countItems(b *testing.B, path string) int {
	src, err := recording.Open([]string{path}, nil)
	require.NoError(b, err)
	totals, err := Run(b.Context(), src, src.Close, &collector{}, Options{})
	require.NoError(b, err)
	return totals.Counts.Items()
}

func pathOf(line []byte) string {
	switch {
	case bytes.HasPrefix(line, []byte(`{"resourceSpans"`)):
		return "/v1/traces"
	case bytes.HasPrefix(line, []byte(`{"resourceMetrics"`)):
		return "/v1/metrics"
	}
	return "/v1/logs"
}

func decodeProto(path string, body []byte) error {
	switch path {
	case "/v1/traces":
		return ptraceotlp.NewExportRequest().UnmarshalProto(body)
	case "/v1/metrics":
		return pmetricotlp.NewExportRequest().UnmarshalProto(body)
	}
	return plogotlp.NewExportRequest().UnmarshalProto(body)
}

func decodeJSON(path string, body []byte) error {
	switch path {
	case "/v1/traces":
		return ptraceotlp.NewExportRequest().UnmarshalJSON(body)
	case "/v1/metrics":
		return pmetricotlp.NewExportRequest().UnmarshalJSON(body)
	}
	return plogotlp.NewExportRequest().UnmarshalJSON(body)
}
