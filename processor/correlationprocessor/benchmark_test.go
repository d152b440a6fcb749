package correlationprocessor

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/metadata"
)

// Each benchmark of the processor stands beside one that unmarshals the same batch, which is what it is measured by.
// An operation is a batch of benchmarkItems.
const benchmarkItems = 512

func BenchmarkTraces(b *testing.B) {
	wire := marshalTraces(b)
	unmarshal := func() ptrace.Traces {
		batch, err := new(ptrace.ProtoUnmarshaler).UnmarshalTraces(wire)
		require.NoError(b, err)
		return batch
	}
	b.Run("unmarshal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			unmarshal()
		}
	})
	b.Run("correlate", func(b *testing.B) {
		t := benchmarkTracesOf(b, benchmarkBase(b))
		fill(b, t)
		fresh := stock(b, unmarshal)
		b.ReportAllocs()
		for n := uint64(0); b.Loop(); n++ {
			batch := fresh()
			renumber(batch, n)
			t.learn(b.Context(), t.clock.Now(), batch)
		}
	})
}

func BenchmarkLogs(b *testing.B) {
	for _, shape := range []string{"context", "text", "json", "none"} {
		wire := marshalLogs(b, shape)
		unmarshal := func() plog.Logs {
			batch, err := new(plog.ProtoUnmarshaler).UnmarshalLogs(wire)
			require.NoError(b, err)
			return batch
		}
		b.Run(shape+"/unmarshal", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				unmarshal()
			}
		})
		b.Run(shape+"/correlate", func(b *testing.B) {
			base := benchmarkBase(b)
			spans := benchmarkTracesOf(b, base)
			fill(b, spans)
			spans.learn(b.Context(), spans.clock.Now(), benchmarkTraces())
			l := newLogs(base, consumertest.NewNop())
			fresh := stock(b, unmarshal)
			b.ReportAllocs()
			for b.Loop() {
				l.correlate(b.Context(), l.clock.Now(), fresh())
			}
		})
	}
}

func BenchmarkMetrics(b *testing.B) {
	wire := marshalMetrics(b)
	unmarshal := func() pmetric.Metrics {
		batch, err := new(pmetric.ProtoUnmarshaler).UnmarshalMetrics(wire)
		require.NoError(b, err)
		return batch
	}
	b.Run("unmarshal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			unmarshal()
		}
	})
	b.Run("correlate", func(b *testing.B) {
		base := benchmarkBase(b)
		benchmarkTracesOf(b, base).learn(b.Context(), base.clock.Now(), benchmarkTraces())
		m := newMetrics(base, consumertest.NewNop())
		fresh := stock(b, unmarshal)
		b.ReportAllocs()
		for b.Loop() {
			m.correlate(b.Context(), m.clock.Now(), fresh())
		}
	})
}

func benchmarkTracesOf(tb testing.TB, base *correlation) *traces {
	t, err := newTraces(base, consumertest.NewNop())
	require.NoError(tb, err)
	return t
}

// stock hands out batches that nothing was added to yet, and makes new ones while the clock stands still.
func stock[T any](b *testing.B, unmarshal func() T) func() T {
	var batches []T
	return func() T {
		if len(batches) == 0 {
			b.StopTimer()
			for range 64 {
				batches = append(batches, unmarshal())
			}
			b.StartTimer()
		}
		last := batches[len(batches)-1]
		batches = batches[:len(batches)-1]
		return last
	}
}

func benchmarkBase(tb testing.TB) *correlation {
	config := createDefaultConfig().(*Config)
	config.Store.Retention = time.Hour
	base, err := newCorrelation(processortest.NewNopSettings(metadata.Type), config, new(memories))
	require.NoError(tb, err)
	require.NoError(tb, base.Start(tb.Context(), componenttest.NewNopHost()))
	tb.Cleanup(func() { require.NoError(tb, base.Shutdown(tb.Context())) })
	return base
}

// fill fills the store, so that what is measured is the steady state.
func fill(tb testing.TB, t *traces) {
	batch := benchmarkTraces()
	for n := range uint64(1200) {
		fresh := ptrace.NewTraces()
		batch.CopyTo(fresh)
		renumber(fresh, 1<<32+n)
		t.learn(tb.Context(), t.clock.Now(), fresh)
	}
}

func renumber(batch ptrace.Traces, n uint64) {
	for _, resource := range batch.ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			for _, span := range scope.Spans().All() {
				id := span.TraceID()
				binary.BigEndian.PutUint64(id[:], n+1)
				binary.BigEndian.PutUint64(id[8:], binary.BigEndian.Uint64(id[8:])+n<<32)
				span.SetTraceID(id)
			}
		}
	}
}

var benchmarkTime = pcommon.NewTimestampFromTime(time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC))

func benchmarkResource(attributes pcommon.Map, service int) {
	attributes.PutStr("service.name", fmt.Sprint("service-", service))
	attributes.PutStr("service.namespace", "shop")
	attributes.PutStr("service.version", "1.2.3")
	attributes.PutStr("service.instance.id", "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9")
	attributes.PutStr("telemetry.sdk.name", "opentelemetry")
	attributes.PutStr("telemetry.sdk.language", "go")
	attributes.PutStr("host.name", "node-1")
}

// benchmarkTraces are of eight services, with traces of eight spans.
func benchmarkTraces() ptrace.Traces {
	batch := ptrace.NewTraces()
	for service := range 8 {
		resource := batch.ResourceSpans().AppendEmpty()
		benchmarkResource(resource.Resource().Attributes(), service)
		spans := resource.ScopeSpans().AppendEmpty().Spans()
		for i := range benchmarkItems / 8 {
			span := spans.AppendEmpty()
			span.SetTraceID(benchmarkTrace(service, i))
			span.SetSpanID(benchmarkSpan(service, i))
			if i%8 > 0 {
				span.SetParentSpanID(benchmarkSpan(service, i-1))
			}
			span.SetName("GET /api/items/{id}")
			span.SetStartTimestamp(benchmarkTime)
			span.SetEndTimestamp(benchmarkTime + pcommon.Timestamp(i+1)*1e6)
			attributes := span.Attributes()
			if i%4 == 3 {
				span.SetKind(ptrace.SpanKindClient)
				attributes.PutStr("db.system.name", "postgresql")
				attributes.PutStr("db.namespace", "shop")
				attributes.PutStr("db.operation.name", "SELECT")
				attributes.PutStr("db.collection.name", "items")
				attributes.PutStr("db.query.text", "SELECT id, name, price FROM items WHERE id = $1")
				attributes.PutStr("server.address", "items-db")
				attributes.PutInt("server.port", 5432)
				continue
			}
			span.SetKind(ptrace.SpanKindServer)
			attributes.PutStr("http.request.method", "GET")
			attributes.PutStr("http.route", fmt.Sprintf("/api/items/{id}/%d", i%5))
			attributes.PutStr("url.path", "/api/items/42")
			attributes.PutStr("url.scheme", "http")
			attributes.PutInt("http.response.status_code", 200)
			attributes.PutStr("server.address", "items")
			attributes.PutInt("server.port", 8080)
			attributes.PutStr("network.protocol.version", "1.1")
			attributes.PutStr("user_agent.original", "Go-http-client/1.1")
		}
	}
	return batch
}

func benchmarkTrace(service, i int) (id pcommon.TraceID) {
	binary.BigEndian.PutUint64(id[8:], uint64(service)<<16|uint64(i/8)+1)
	return id
}

func benchmarkSpan(service, i int) (id pcommon.SpanID) {
	binary.BigEndian.PutUint64(id[:], uint64(service)<<16|uint64(i)+1)
	return id
}

func marshalTraces(tb testing.TB) []byte {
	wire, err := new(ptrace.ProtoMarshaler).MarshalTraces(benchmarkTraces())
	require.NoError(tb, err)
	return wire
}

func marshalLogs(tb testing.TB, shape string) []byte {
	batch := plog.NewLogs()
	for service := range 8 {
		resource := batch.ResourceLogs().AppendEmpty()
		benchmarkResource(resource.Resource().Attributes(), service)
		records := resource.ScopeLogs().AppendEmpty().LogRecords()
		for i := range benchmarkItems / 8 {
			record := records.AppendEmpty()
			record.SetTimestamp(benchmarkTime)
			record.SetObservedTimestamp(benchmarkTime)
			record.SetSeverityNumber(plog.SeverityNumberInfo)
			record.SetSeverityText("INFO")
			trace, span := benchmarkTrace(service, i), benchmarkSpan(service, i)
			body := "GET /api/items/42 answered 200 after 13 ms with 5 items for customer 7"
			switch shape {
			case "context":
				record.SetTraceID(trace)
				record.SetSpanID(span)
			case "text":
				body += fmt.Sprintf(" trace_id=%s span_id=%s", trace, span)
			case "json":
				body = fmt.Sprintf(`{"time":"2025-01-01T00:00:00Z","level":"info","msg":"%s","trace_id":"%s","span_id":"%s"}`, body, trace, span)
			}
			record.Body().SetStr(body)
			record.Attributes().PutStr("code.function.name", "shop.Items.Get")
			record.Attributes().PutInt("code.line.number", 42)
			record.Attributes().PutStr("customer.tier", "gold")
			record.Attributes().PutStr("thread.name", "main")
		}
	}
	wire, err := new(plog.ProtoMarshaler).MarshalLogs(batch)
	require.NoError(tb, err)
	return wire
}

func marshalMetrics(tb testing.TB) []byte {
	batch := pmetric.NewMetrics()
	for service := range 8 {
		resource := batch.ResourceMetrics().AppendEmpty()
		benchmarkResource(resource.Resource().Attributes(), service)
		metrics := resource.ScopeMetrics().AppendEmpty().Metrics()
		// As in life, a part of the points is of things that no span is about.
		for metric := range benchmarkItems / 8 / 8 {
			m := metrics.AppendEmpty()
			if metric%2 == 1 {
				m.SetName(fmt.Sprint("process.runtime.gauge.", metric))
				points := m.SetEmptyGauge().DataPoints()
				for i := range 8 {
					point := points.AppendEmpty()
					point.SetTimestamp(benchmarkTime + 60e9)
					point.SetIntValue(7)
					point.Attributes().PutInt("pool", int64(i))
				}
				continue
			}
			m.SetName("http.server.request.duration")
			m.SetUnit("s")
			points := m.SetEmptyHistogram().DataPoints()
			for i := range 8 {
				point := points.AppendEmpty()
				point.SetStartTimestamp(benchmarkTime)
				point.SetTimestamp(benchmarkTime + 60e9)
				point.SetCount(100)
				point.SetSum(1)
				point.ExplicitBounds().FromRaw([]float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10})
				point.BucketCounts().FromRaw([]uint64{10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 0, 0, 0, 0, 0})
				point.Attributes().PutStr("http.request.method", "GET")
				point.Attributes().PutStr("http.route", fmt.Sprintf("/api/items/{id}/%d", i))
				point.Attributes().PutInt("http.response.status_code", 200)
				point.Attributes().PutStr("url.scheme", "http")
				point.Attributes().PutStr("server.address", "items")
			}
		}
	}
	wire, err := new(pmetric.ProtoMarshaler).MarshalMetrics(batch)
	require.NoError(tb, err)
	return wire
}
