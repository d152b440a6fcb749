package config

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	programs "github.com/throughline-otel/throughline/internal/binary"
)

// TestAFailedRequestTellsWhatItRanOn runs the shipped agent and gateway. A request fails because its database is full: its span
// leaves the gateway with its error, the connections of its database, which another agent has measured, and the processor time
// of its pod.
func TestAFailedRequestTellsWhatItRanOn(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the windows of the shipped configurations")
	}
	backend := newBackend(t)
	state := t.TempDir()
	gateway := start(t, "gateway.yaml",
		[]string{"THROUGHLINE_BACKEND=" + backend.URL, "THROUGHLINE_STATE=" + state + "/gateway"},
		node{"extensions": node{"zpages": node{"endpoint": "127.0.0.1:0"}}, "exporters": node{"prometheus": node{"endpoint": "127.0.0.1:0"}}})
	agent := start(t, "agent.yaml", []string{
		"THROUGHLINE_GATEWAY=" + gateway.grpc, "THROUGHLINE_INSECURE=true", "THROUGHLINE_STATE=" + state + "/agent",
		"THROUGHLINE_LOG_FILES=" + state + "/*.log", "K8S_POD_NAME=orders-0", "K8S_NAMESPACE_NAME=shop",
	})

	// The order is that of life: what is measured comes all the time, the record while the request goes on, the spans after it.
	postMetric(t, gateway.http, map[string]string{"server.address": "orders-db", "server.port": "5432", "postgresql.database.name": "orders"},
		"postgresql.backends", 100)
	postMetric(t, agent.http, map[string]string{"k8s.pod.name": "orders-0", "k8s.namespace.name": "shop"},
		"k8s.pod.cpu_limit_utilization", 0.97)
	logs := plog.NewLogs()
	rl := logs.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("service.name", "orders")
	record := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	record.SetTraceID(traceID(0))
	record.SetSpanID(spanID(0))
	record.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	record.SetSeverityNumber(plog.SeverityNumberError)
	record.Body().SetStr("no connection left")
	record.Attributes().PutStr("exception.type", "sql.PoolExhausted")
	post(t, agent.http, "logs", must((&plog.ProtoMarshaler{}).MarshalLogs(logs)))
	post(t, agent.http, "traces", must((&ptrace.ProtoMarshaler{}).MarshalTraces(failedOrder(time.Now()))))

	received := map[string]ptrace.Span{}
	gateway.Await("the request is at the backend", chainTimeout, func() bool {
		backend.look(func(traces ptrace.Traces, _ pmetric.Metrics, _ plog.Logs) {
			for _, span := range spans(traces) {
				received[span.Name()] = span
			}
		})
		return len(received) == 2
	})
	agent.Stop()
	gateway.Stop()

	request := received["POST /orders"]
	at := request.Attributes().AsRaw()
	assert.Equal(t, 0.97, at["throughline.context.k8s.pod.cpu_limit_utilization"])
	assert.Equal(t, float64(100), at["throughline.context.postgresql.backends"])
	assert.Equal(t, int64(1), at["throughline.logs.error_count"])
	require.Equal(t, 1, request.Events().Len(), "the agent has put the record onto the span, and the gateway not again")
	event := request.Events().At(0)
	assert.Equal(t, "exception", event.Name())
	assert.Equal(t, map[string]any{
		"throughline.log.severity": "ERROR", "throughline.log.body": "no connection left", "exception.type": "sql.PoolExhausted",
	}, event.Attributes().AsRaw())
	query := received["SELECT orders"].Attributes().AsRaw()
	assert.Equal(t, float64(100), query["throughline.context.postgresql.backends"])
	assert.Equal(t, 0.97, query["throughline.context.k8s.pod.cpu_limit_utilization"])
	assert.Equal(t, "data", query["throughline.layer"])
	backend.look(func(_ ptrace.Traces, metrics pmetric.Metrics, _ plog.Logs) {
		assert.Positive(t, metrics.DataPointCount())
	})
}

// TestTheAgentJoinsTheShop runs the shop behind the shipped agent and gateway. Most of its services send ids with their records;
// one writes them into the lines of a file.
func TestTheAgentJoinsTheShop(t *testing.T) {
	if testing.Short() {
		t.Skip("lets the shop run for half a minute")
	}
	backend := newBackend(t)
	state := t.TempDir()
	gateway := start(t, "gateway.yaml",
		[]string{"THROUGHLINE_BACKEND=" + backend.URL, "THROUGHLINE_STATE=" + state + "/gateway"},
		node{"extensions": node{"zpages": node{"endpoint": "127.0.0.1:0"}}, "exporters": node{"prometheus": node{"endpoint": "127.0.0.1:0"}}})
	agent := start(t, "agent.yaml",
		[]string{
			"THROUGHLINE_GATEWAY=" + gateway.grpc, "THROUGHLINE_INSECURE=true", "THROUGHLINE_STATE=" + state + "/agent",
			"THROUGHLINE_LOG_FILES=" + state + "/*.log",
		},
		// The file is written after the start, but perhaps before the agent first looks.
		node{"receivers": node{"file_log": node{"start_at": "beginning", "resource": node{"service.name": "mail", "service.namespace": "shop"}}}})
	shop := programs.Command{Name: "shop", Args: []string{
		"-otlp", agent.grpc, "-events", "127.0.0.1:0", "-mail-log", state + "/mail.log", "-faults", "none", "-duration", "25s",
	}}.Start(t)
	// Its exit code is about the events that it does not get here.
	shop.Wait(2 * time.Minute)
	agent.Stop()
	gateway.Stop()

	total, matches := 0, map[string]int{}
	withSpan, withEntry := 0, 0
	backend.look(func(_ ptrace.Traces, _ pmetric.Metrics, logs plog.Logs) {
		for _, rl := range logs.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, record := range sl.LogRecords().All() {
					if record.EventName() != "" {
						continue
					}
					total++
					at := record.Attributes().AsRaw()
					match := text(record.Attributes(), "throughline.match")
					matches[match]++
					if match == "" {
						t.Logf("not joined: %q of %s", record.Body().AsString(), text(rl.Resource().Attributes(), "service.name"))
					}
					if _, ok := at["throughline.layer"]; ok {
						withSpan++
					}
					if _, ok := at["throughline.entry.service"]; ok {
						withEntry++
					}
					if at["throughline.match"] == "recovered" {
						assert.Equal(t, at["trace_id"], record.TraceID().String())
						assert.Equal(t, at["span_id"], record.SpanID().String())
					}
				}
			}
		}
	})
	t.Logf("%d records: %v, %d with their span seen, %d with their entry", total, matches, withSpan, withEntry)
	require.Greater(t, total, 1000)
	assert.GreaterOrEqual(t, matches["context"]+matches["recovered"], total*99/100)
	assert.Greater(t, matches["recovered"], total/100, "the lines of the file")
	assert.Zero(t, matches["inferred"], "it is off")
	assert.GreaterOrEqual(t, withSpan, total*95/100)
}

// failedOrder is a request and its query, both of which have failed.
func failedOrder(now time.Time) ptrace.Traces {
	traces := ptrace.NewTraces()
	rs := traces.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "orders")
	all := rs.ScopeSpans().AppendEmpty().Spans()
	span := func(id int, name string, kind ptrace.SpanKind) ptrace.Span {
		span := all.AppendEmpty()
		span.SetTraceID(traceID(0))
		span.SetSpanID(spanID(id))
		span.SetName(name)
		span.SetKind(kind)
		span.SetStartTimestamp(pcommon.NewTimestampFromTime(now.Add(-100 * time.Millisecond)))
		span.SetEndTimestamp(pcommon.NewTimestampFromTime(now))
		span.Status().SetCode(ptrace.StatusCodeError)
		return span
	}
	query := span(1, "SELECT orders", ptrace.SpanKindClient)
	query.SetParentSpanID(spanID(0))
	query.Attributes().PutStr("db.system.name", "postgresql")
	query.Attributes().PutStr("db.namespace", "orders")
	query.Attributes().PutStr("server.address", "orders-db")
	request := span(0, "POST /orders", ptrace.SpanKindServer)
	request.Attributes().PutStr("http.request.method", "POST")
	request.Attributes().PutStr("http.route", "/orders")
	return traces
}

// postMetric sends a gauge of one point.
func postMetric(t *testing.T, address string, resource map[string]string, name string, value float64) {
	t.Helper()
	metrics := pmetric.NewMetrics()
	rm := metrics.ResourceMetrics().AppendEmpty()
	for key, value := range resource {
		rm.Resource().Attributes().PutStr(key, value)
	}
	metric := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	metric.SetName(name)
	point := metric.SetEmptyGauge().DataPoints().AppendEmpty()
	point.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	point.SetDoubleValue(value)
	post(t, address, "metrics", must((&pmetric.ProtoMarshaler{}).MarshalMetrics(metrics)))
}
