package config

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
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

const (
	// spansPerTrace are front's own, its call, and the called service's own.
	spansPerTrace = 3
	// chainTimeout is several times the windows that the shipped gateway waits for, and what a noisy machine adds.
	chainTimeout = 2 * time.Minute
	route        = "/checkout"
)

func traceID(n int) (id pcommon.TraceID) {
	binary.BigEndian.PutUint64(id[:], 0x7468726f7567686c)
	binary.BigEndian.PutUint64(id[8:], uint64(n)*0x9E3779B97F4A7C15+1)
	return id
}

func spanID(n int) (id pcommon.SpanID) {
	binary.BigEndian.PutUint64(id[:], uint64(n)+1)
	return id
}

// post sends one OTLP/HTTP request, as an SDK does.
func post(t *testing.T, address, signal string, body []byte) {
	t.Helper()
	response, err := http.Post("http://"+address+"/v1/"+signal, "application/x-protobuf", bytes.NewReader(body))
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)
}

func fails(n int) bool { return n%2 == 1 }

// sendTraces lets front call checkout once for each number from first on. Each service sends its own spans, as they do in life.
func sendTraces(t *testing.T, address string, first, count int) {
	t.Helper()
	now := time.Now()
	front, checkout := ptrace.NewTraces(), ptrace.NewTraces()
	scope := func(traces ptrace.Traces, service string) ptrace.SpanSlice {
		rs := traces.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", service)
		rs.Resource().Attributes().PutStr("service.namespace", "chain")
		return rs.ScopeSpans().AppendEmpty().Spans()
	}
	ofFront, ofCheckout := scope(front, "front"), scope(checkout, "checkout")
	for n := first; n < first+count; n++ {
		for i := range spansPerTrace {
			spans := ofFront
			if i == 2 {
				spans = ofCheckout
			}
			span := spans.AppendEmpty()
			span.SetTraceID(traceID(n))
			span.SetSpanID(spanID(n*spansPerTrace + i))
			if i > 0 {
				span.SetParentSpanID(spanID(n*spansPerTrace + i - 1))
			}
			span.SetKind([]ptrace.SpanKind{ptrace.SpanKindServer, ptrace.SpanKindClient, ptrace.SpanKindServer}[i])
			span.SetName("POST " + route)
			span.SetStartTimestamp(pcommon.NewTimestampFromTime(now.Add(-100*time.Millisecond + time.Duration(i)*10*time.Millisecond)))
			span.SetEndTimestamp(pcommon.NewTimestampFromTime(now.Add(time.Duration(-i) * 10 * time.Millisecond)))
			span.Attributes().PutStr("http.request.method", "POST")
			span.Attributes().PutStr("http.route", route)
			if fails(n) {
				span.Status().SetCode(ptrace.StatusCodeError)
				span.Attributes().PutInt("http.response.status_code", 503)
			} else {
				span.Attributes().PutInt("http.response.status_code", 200)
			}
		}
	}
	post(t, address, "traces", must((&ptrace.ProtoMarshaler{}).MarshalTraces(checkout)))
	post(t, address, "traces", must((&ptrace.ProtoMarshaler{}).MarshalTraces(front)))
}

// sendProbe lets the platform look whether front lives. Nobody is interested.
func sendProbe(t *testing.T, address string) {
	t.Helper()
	traces := ptrace.NewTraces()
	rs := traces.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "front")
	span := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetTraceID(traceID(1 << 30))
	span.SetSpanID(spanID(1 << 30))
	span.SetName("probe")
	span.SetKind(ptrace.SpanKindServer)
	span.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	span.SetEndTimestamp(span.StartTimestamp() + 1000)
	span.Attributes().PutStr("url.path", "/healthz")
	span.Status().SetCode(ptrace.StatusCodeError)
	post(t, address, "traces", must((&ptrace.ProtoMarshaler{}).MarshalTraces(traces)))
}

// sendLogs writes a record to each trace, with the id in an attribute as old libraries do.
func sendLogs(t *testing.T, address string, first, count int) {
	t.Helper()
	logs := plog.NewLogs()
	rl := logs.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("service.name", "front")
	rl.Resource().Attributes().PutStr("service.namespace", "chain")
	records := rl.ScopeLogs().AppendEmpty().LogRecords()
	for n := first; n < first+count; n++ {
		record := records.AppendEmpty()
		record.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
		record.Body().SetStr(fmt.Sprintf("order %d", n))
		record.Attributes().PutStr("trace_id", traceID(n).String())
		record.Attributes().PutStr("span_id", spanID(n*spansPerTrace).String())
	}
	post(t, address, "logs", must((&plog.ProtoMarshaler{}).MarshalLogs(logs)))
}

// sendMetrics tells front's durations without exemplars.
func sendMetrics(t *testing.T, address string, count int) {
	t.Helper()
	metrics := pmetric.NewMetrics()
	rm := metrics.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("service.name", "front")
	rm.Resource().Attributes().PutStr("service.namespace", "chain")
	metric := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	metric.SetName("http.server.request.duration")
	metric.SetUnit("s")
	histogram := metric.SetEmptyHistogram()
	histogram.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	point := histogram.DataPoints().AppendEmpty()
	point.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Now().Add(-time.Minute)))
	point.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	point.ExplicitBounds().FromRaw([]float64{0.05, 0.5})
	point.BucketCounts().FromRaw([]uint64{0, uint64(count), 0})
	point.SetCount(uint64(count))
	point.SetSum(0.1 * float64(count))
	point.Attributes().PutStr("http.request.method", "POST")
	point.Attributes().PutStr("http.route", route)
	post(t, address, "metrics", must((&pmetric.ProtoMarshaler{}).MarshalMetrics(metrics)))
}

// gateway is one of several, with its own state.
type gateway struct {
	*collector
	env []string
}

func (g *gateway) start(t *testing.T, address string) {
	t.Helper()
	free := programs.FreeAddresses(t, 2)
	g.collector = start(t, "gateway.yaml", g.env, node{
		"receivers":  node{"otlp": node{"protocols": node{"grpc": node{"endpoint": address}}}},
		"extensions": node{"zpages": node{"endpoint": free[0]}},
		"exporters":  node{"prometheus": node{"endpoint": free[1]}},
	})
	g.grpc, g.prometheus = address, free[1]
}

// TestChain runs the shipped agent, router and two gateways as processes of their own, from front's telemetry to a backend.
func TestChain(t *testing.T) {
	if testing.Short() {
		t.Skip("takes twenty seconds")
	}
	const before, after = 120, 40
	backend := newBackend(t)
	state := t.TempDir()
	addresses := programs.FreeAddresses(t, 2)
	gateways := make([]*gateway, len(addresses))
	for i, address := range addresses {
		gateways[i] = &gateway{env: []string{
			"THROUGHLINE_BACKEND=" + backend.URL,
			fmt.Sprintf("THROUGHLINE_STATE=%s/gateway%d", state, i),
		}}
		gateways[i].start(t, address)
	}
	// On one host, two gateways differ by their ports, which DNS does not tell.
	router := start(t, "router.yaml", []string{"THROUGHLINE_INSECURE=true"}, node{"exporters": node{
		"load_balancing/traces":  node{"resolver": node{"dns": nil, "static": node{"hostnames": addresses}}},
		"load_balancing/metrics": node{"resolver": node{"dns": nil, "static": node{"hostnames": addresses}}},
	}})
	logFile := filepath.Join(state, "mail.log")
	startAgent := func() *collector {
		return start(
			t, "agent.yaml",
			[]string{
				"THROUGHLINE_GATEWAY=" + router.grpc, "THROUGHLINE_INSECURE=true", "THROUGHLINE_STATE=" + state + "/agent",
				"THROUGHLINE_LOG_FILES=" + filepath.Join(state, "*.log"), "K8S_POD_NAME=front-0",
			},
			// The file is written after the start, but perhaps before the agent first looks.
			node{"receivers": node{"file_log": node{"start_at": "beginning"}}},
		)
	}
	agent := startAgent()
	sendTraces(t, agent.http, 0, before)
	sendProbe(t, agent.http)
	sendLogs(t, agent.http, 0, before)
	sendMetrics(t, agent.http, before)
	line := fmt.Sprintf(`{"message":"mail sent","trace_id":%q,"span_id":%q}`+"\n", traceID(0), spanID(2))
	require.NoError(t, os.WriteFile(logFile, []byte(line), 0o600))

	edge := labels{
		"caller_service_name": "front", "callee_service_name": "checkout",
		"caller_service_namespace": "chain", "callee_service_namespace": "chain", "dependency_type": "rpc",
	}
	calls := make([]float64, len(gateways))
	gateways[0].Await("all calls are counted at the gateways", chainTimeout, func() bool {
		total := 0.0
		for i, g := range gateways {
			calls[i] = scrape(t, g.prometheus).sum("dependency_calls_total", edge)
			total += calls[i]
		}
		return total >= before
	})
	assert.Equal(t, float64(before), calls[0]+calls[1], "each call counts once: both ends of a trace meet in one gateway")
	assert.Positive(t, calls[0], "the first gateway's share")
	assert.Positive(t, calls[1], "the second gateway's share")
	for _, g := range gateways {
		all := scrape(t, g.prometheus)
		assert.Equal(t, all.sum("dependency_calls_total", edge), all.sum("dependency_calls_total", nil), "there is no other edge")
	}

	// Each goes on while it has something in hand. What it did not pass on lies on its disk until it starts again.
	sendTraces(t, agent.http, before, after)
	sendLogs(t, agent.http, before, after)
	agent.Stop()
	agent = startAgent()
	const spans = (before+after)*spansPerTrace + 1
	gateways[0].Await("all spans are at the gateways", chainTimeout, func() bool {
		got := 0.0
		for _, g := range gateways {
			got += scrape(t, g.telemetry).sum("otelcol_receiver_accepted_spans", nil)
			got += scrape(t, g.telemetry).sum("otelcol_receiver_accepted_spans_total", nil)
		}
		return got >= spans
	})
	gateways[0].Await("all records are at the backend", chainTimeout, func() bool { return len(backend.bodies()) >= before+after+1 })
	agent.Stop()
	router.Stop()
	for _, g := range gateways {
		g.Stop()
	}
	t.Logf("when all were stopped, %d failed spans and %d calls were at the backend", backend.failedSpans(), backend.calls())
	for i, g := range gateways {
		g.start(t, addresses[i])
	}
	failed := 0
	for n := range before + after {
		if fails(n) {
			failed++
		}
	}
	gateways[0].Await("all failed traces are at the backend", chainTimeout, func() bool {
		return backend.failedSpans() >= failed*spansPerTrace
	})
	gateways[0].Await("the last counts are at the backend", chainTimeout, func() bool { return backend.calls() >= before+after })
	for _, g := range gateways {
		g.Stop()
	}
	assert.EqualValues(t, before+after, backend.calls(), "dependency.calls of both gateways, after their shutdown")
	backend.look(func(traces ptrace.Traces, metrics pmetric.Metrics, logs plog.Logs) {
		checkTraces(t, traces, before+after)
		checkMetrics(t, metrics)
		checkLogs(t, logs, before+after)
	})
}

// bodies counts the records of the services by their text.
func (b *backend) bodies() map[string]int {
	bodies := map[string]int{}
	b.look(func(_ ptrace.Traces, _ pmetric.Metrics, logs plog.Logs) {
		for _, rl := range logs.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, record := range sl.LogRecords().All() {
					if record.EventName() == "" {
						bodies[record.Body().AsString()]++
					}
				}
			}
		}
	})
	return bodies
}

func (b *backend) failedSpans() int {
	n := 0
	b.look(func(traces ptrace.Traces, _ pmetric.Metrics, _ plog.Logs) {
		for _, span := range spans(traces) {
			if span.Status().Code() == ptrace.StatusCodeError {
				n++
			}
		}
	})
	return n
}

// calls are the latest counts of dependency.calls. Each gateway has its own start.
func (b *backend) calls() int64 {
	type source struct {
		start              pcommon.Timestamp
		outcome, errorType string
	}
	latest := map[source]int64{}
	b.look(func(_ ptrace.Traces, metrics pmetric.Metrics, _ plog.Logs) {
		for _, rm := range metrics.ResourceMetrics().All() {
			for _, sm := range rm.ScopeMetrics().All() {
				for _, m := range sm.Metrics().All() {
					if m.Name() != "dependency.calls" {
						continue
					}
					for _, p := range m.Sum().DataPoints().All() {
						s := source{p.StartTimestamp(), text(p.Attributes(), "outcome"), text(p.Attributes(), "error.type")}
						latest[s] = max(latest[s], p.IntValue())
					}
				}
			}
		}
	})
	total := int64(0)
	for _, calls := range latest {
		total += calls
	}
	return total
}

// checkTraces wants every failed trace whole, nothing twice, no probe, and what the agent added.
func checkTraces(t *testing.T, traces ptrace.Traces, count int) {
	t.Helper()
	seen := map[pcommon.SpanID]int{}
	for _, rs := range traces.ResourceSpans().All() {
		at := rs.Resource().Attributes()
		assert.Equal(t, "application", text(at, "throughline.layer"), "%v", at.AsRaw())
		assert.Equal(t, "front-0", text(at, "k8s.pod.name"))
	}
	for _, span := range spans(traces) {
		seen[span.SpanID()]++
		assert.NotEqual(t, "probe", span.Name())
	}
	for n := range count {
		for i := range spansPerTrace {
			times := seen[spanID(n*spansPerTrace+i)]
			assert.LessOrEqual(t, times, 1, "span %d of trace %d came twice", i, n)
			if fails(n) {
				assert.Equal(t, 1, times, "span %d of failed trace %d", i, n)
			} else {
				assert.Equal(t, seen[spanID(n*spansPerTrace)], times, "span %d of trace %d: sampled as a whole", i, n)
			}
		}
	}
}

// checkMetrics wants front's durations with exemplars of its spans, and the agent's own host metrics.
func checkMetrics(t *testing.T, metrics pmetric.Metrics) {
	t.Helper()
	names, exemplars := map[string]bool{}, 0
	for _, rm := range metrics.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				names[m.Name()] = true
				if m.Name() != "http.server.request.duration" {
					continue
				}
				for _, p := range m.Histogram().DataPoints().All() {
					for _, e := range p.Exemplars().All() {
						id := e.TraceID()
						assert.Equal(t, uint64(0x7468726f7567686c), binary.BigEndian.Uint64(id[:]), "an exemplar of ours")
						exemplars++
					}
				}
			}
		}
	}
	assert.Positive(t, exemplars, "front's durations have no exemplar")
	for _, name := range []string{"http.server.request.duration", "dependency.calls", "dependency.duration", "system.memory.utilization"} {
		assert.True(t, names[name], "%s is not among %v", name, names)
	}
}

// checkLogs wants every record once, with the ids that were in its attributes, and what they led to.
func checkLogs(t *testing.T, logs plog.Logs, count int) {
	t.Helper()
	seen, events, lines := map[pcommon.TraceID]int{}, map[string]int{}, 0
	for _, rl := range logs.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, record := range sl.LogRecords().All() {
				if record.EventName() != "" {
					events[record.EventName()]++
					continue
				}
				at := record.Attributes().AsRaw()
				assert.Equal(t, "recovered", at["throughline.match"], record.Body().AsString())
				if _, ok := at["log.file.path"]; ok {
					lines++
					assert.Equal(t, traceID(0), record.TraceID())
					continue
				}
				seen[record.TraceID()]++
				assert.Equal(t, "chain/front", at["throughline.entry.service"])
				assert.Equal(t, "application", at["throughline.layer"])
			}
		}
	}
	for n := range count {
		assert.Equal(t, 1, seen[traceID(n)], "record of trace %d", n)
	}
	assert.Equal(t, 1, lines, "the line in a file")
	assert.Positive(t, events["dependency.discovered"], "events go to the backend, too: %v", events)
}
