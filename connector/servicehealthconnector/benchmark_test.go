package servicehealthconnector

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// BenchmarkConsume measures a span from its arrival to the verdict on its trace, also with objectives on four services, with extra
// dimensions, and with buckets of one's own.
func BenchmarkConsume(b *testing.B) {
	for name, set := range map[string]func(*Config){
		"no objectives": func(*Config) {},
		"20 objectives": func(c *Config) { c.SLO.Documents = documents(20) },
		"3 dimensions": func(c *Config) {
			c.Dependencies.Dimensions = []string{"http.route", "http.response.status_code", "service.version"}
		},
		"explicit histogram": func(c *Config) {
			c.Dependencies.Histogram.Explicit.Buckets = []time.Duration{time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond, time.Second}
		},
	} {
		b.Run(name, func(b *testing.B) {
			cfg := createDefaultConfig().(*Config)
			cfg.Clock = clockEvent
			set(cfg)
			require.NoError(b, cfg.Validate())
			c, err := NewFactory().CreateTracesToMetrics(b.Context(), settings(""), cfg, consumertest.NewNop())
			require.NoError(b, err)
			require.NoError(b, c.Start(b.Context(), componenttest.NewNopHost()))
			request, now, next := requestOfTraces(100), noon, uint64(0)
			spans := request.SpanCount()
			b.ReportAllocs()
			for b.Loop() {
				// A hundred traces a tenth of a second: the window holds 10,000 traces, as many as are decided.
				now = now.Add(100 * time.Millisecond)
				next = renew(request, now, next)
				require.NoError(b, c.ConsumeTraces(b.Context(), request))
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*spans), "ns/span")
			require.NoError(b, c.Shutdown(b.Context()))
		})
	}
}

// BenchmarkOthersObjectives measures a span while most objectives are those of services that are not seen: ten of 10, or of
// 10,000.
func BenchmarkOthersObjectives(b *testing.B) {
	for _, objectives := range []int{10, 10_000} {
		b.Run(fmt.Sprintf("%d objectives", objectives), func(b *testing.B) {
			cfg := createDefaultConfig().(*Config)
			cfg.Clock = clockEvent
			cfg.SLO.Documents = documents(objectives)
			for i, d := range cfg.SLO.Documents[10:] {
				d["spec"].(map[string]any)["service"] = fmt.Sprintf("other-%d", i)
			}
			c, err := NewFactory().CreateTracesToMetrics(b.Context(), settings(""), cfg, consumertest.NewNop())
			require.NoError(b, err)
			require.NoError(b, c.Start(b.Context(), componenttest.NewNopHost()))
			request, now, next := requestOfTraces(100), noon, uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				now = now.Add(100 * time.Millisecond)
				next = renew(request, now, next)
				require.NoError(b, c.ConsumeTraces(b.Context(), request))
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*request.SpanCount()), "ns/span")
			require.NoError(b, c.Shutdown(b.Context()))
		})
	}
}

// BenchmarkConsumeMetrics measures a point of a cumulative histogram, of which a request has a thousand: of a service without
// objectives, of one with objectives on another metric, and of one with three on this.
func BenchmarkConsumeMetrics(b *testing.B) {
	cfg := createDefaultConfig().(*Config)
	cfg.Clock = clockEvent
	for service, metric := range map[string]string{"another-metric": "queue.length", "this-metric": "http.server.request.duration"} {
		for i, spec := range []map[string]any{
			{"thresholdMetric": onMetrics(`metric.name == "` + metric + `"`)},
			{"thresholdMetric": onMetrics(`metric.name == "` + metric + `" and attributes["http.response.status_code"] < 500`)},
			{"ratioMetric": map[string]any{"total": onMetrics(`metric.name == "` + metric + `"`), "bad": onMetrics(`attributes["http.response.status_code"] >= 500`)}},
		} {
			goal := map[string]any{"target": 0.99}
			if spec["thresholdMetric"] != nil {
				goal["op"], goal["value"] = "lte", 0.5
			}
			cfg.SLO.Documents = append(cfg.SLO.Documents, map[string]any{
				"apiVersion": "openslo/v1", "kind": "SLO", "metadata": map[string]any{"name": fmt.Sprintf("%s-%d", service, i)},
				"spec": map[string]any{"service": service, "indicator": map[string]any{"spec": spec}, "budgetingMethod": "Occurrences", "objectives": []any{goal}},
			})
		}
	}
	require.NoError(b, cfg.Validate())
	for _, service := range []string{"without-objectives", "another-metric", "this-metric"} {
		b.Run(service, func(b *testing.B) {
			c, err := NewFactory().CreateMetricsToMetrics(b.Context(), settings(""), cfg, consumertest.NewNop())
			require.NoError(b, err)
			require.NoError(b, c.Start(b.Context(), componenttest.NewNopHost()))
			md := pmetric.NewMetrics()
			rm := md.ResourceMetrics().AppendEmpty()
			rm.Resource().Attributes().PutStr("service.name", service)
			m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
			m.SetName("http.server.request.duration")
			m.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
			points := m.Histogram().DataPoints()
			for i := range 1000 {
				p := points.AppendEmpty()
				p.Attributes().PutStr("http.route", fmt.Sprintf("/orders/%d", i))
				p.Attributes().PutInt("http.response.status_code", 200)
				p.ExplicitBounds().FromRaw([]float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10})
				p.BucketCounts().FromRaw(make([]uint64, 15))
				p.SetStartTimestamp(at(0))
			}
			now := noon
			b.ReportAllocs()
			for b.Loop() {
				now = now.Add(time.Second)
				for _, p := range points.All() {
					p.SetTimestamp(pcommon.NewTimestampFromTime(now))
					p.SetCount(p.Count() + 1)
					p.BucketCounts().SetAt(5, p.Count())
				}
				require.NoError(b, c.ConsumeMetrics(b.Context(), md))
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*points.Len()), "ns/point")
			require.NoError(b, c.Shutdown(b.Context()))
		})
	}
}

func onMetrics(condition string) map[string]any {
	return map[string]any{"metricSource": map[string]any{"type": "OpenTelemetry", "spec": map[string]any{"signal": "metrics", "condition": condition}}}
}

// documents are SLOs on four services in turn.
func documents(n int) []map[string]any {
	var all []map[string]any
	for i := range n {
		source := func(condition string) map[string]any {
			return map[string]any{"metricSource": map[string]any{"type": "OpenTelemetry", "spec": map[string]any{"signal": "traces", "condition": condition}}}
		}
		all = append(all, map[string]any{
			"apiVersion": "openslo/v1", "kind": "SLO",
			"metadata": map[string]any{"name": fmt.Sprintf("slo-%d", i)},
			"spec": map[string]any{
				"service": fmt.Sprintf("service-%d", i%4),
				"indicator": map[string]any{
					"metadata": map[string]any{"name": fmt.Sprintf("sli-%d", i)},
					"spec": map[string]any{"ratioMetric": map[string]any{
						"counter": true,
						"total":   source("kind == SPAN_KIND_SERVER"),
						"good":    source("status.code != STATUS_CODE_ERROR"),
					}},
				},
				"timeWindow":      []any{map[string]any{"duration": "30d", "isRolling": true}},
				"budgetingMethod": "Occurrences",
				"objectives":      []any{map[string]any{"target": 0.999}},
			},
		})
	}
	return all
}

// requestOfTraces has spans in the order of their resources, as senders batch them: each trace passes through four services and
// ends in a database. One in fifty fails.
func requestOfTraces(n int) ptrace.Traces {
	td := ptrace.NewTraces()
	for s := range 4 {
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", fmt.Sprintf("service-%d", s))
		rs.Resource().Attributes().PutStr("service.namespace", "bench")
		rs.Resource().Attributes().PutStr("service.version", "1")
		spans := rs.ScopeSpans().AppendEmpty().Spans()
		for i := range n {
			server := spans.AppendEmpty()
			server.SetKind(ptrace.SpanKindServer)
			server.SetName("POST /orders/{id}")
			server.Attributes().PutStr("http.request.method", "POST")
			server.Attributes().PutStr("http.route", "/orders/{id}")
			server.Attributes().PutInt("http.response.status_code", 200)
			server.SetSpanID(number(2*s + 2))
			if s > 0 {
				server.SetParentSpanID(number(2*s + 1))
			}
			client := spans.AppendEmpty()
			client.SetKind(ptrace.SpanKindClient)
			client.SetName("POST")
			client.Attributes().PutStr("server.address", "10.0.0.1")
			if s == 3 {
				client.SetName("SELECT orders")
				client.Attributes().PutStr("db.system.name", "postgresql")
				client.Attributes().PutStr("db.namespace", "orders")
			}
			client.SetSpanID(number(2*s + 3))
			client.SetParentSpanID(number(2*s + 2))
			if i%50 == 0 {
				server.Status().SetCode(ptrace.StatusCodeError)
				client.Status().SetCode(ptrace.StatusCodeError)
			}
		}
	}
	return td
}

// renew gives the traces other ids and the present time.
func renew(td ptrace.Traces, now time.Time, next uint64) uint64 {
	var n uint64
	for s, rs := range td.ResourceSpans().All() {
		spans := rs.ScopeSpans().At(0).Spans()
		n = uint64(spans.Len() / 2)
		for i := range spans.Len() {
			span := spans.At(i)
			var id pcommon.TraceID
			binary.BigEndian.PutUint64(id[8:], (next+uint64(i/2)+1)*0x9E3779B97F4A7C15)
			span.SetTraceID(id)
			depth := time.Duration(2*s+i%2) * time.Millisecond
			span.SetStartTimestamp(pcommon.NewTimestampFromTime(now.Add(depth)))
			span.SetEndTimestamp(pcommon.NewTimestampFromTime(now.Add(50*time.Millisecond - depth)))
		}
	}
	return next + n
}

func number(n int) pcommon.SpanID {
	var id pcommon.SpanID
	binary.BigEndian.PutUint64(id[:], uint64(n))
	return id
}

// BenchmarkStall sends small batches, thousands a second, beside what holds 50,000 series, and reports the longest that a sender waited,
// and what one in a thousand waited longer than: once while these are flushed each second, and once while they are not, which shows
// what is the machine's. Give it some flushes: -benchtime 10s.
func BenchmarkStall(b *testing.B) {
	for name, interval := range map[string]time.Duration{"while flushing": time.Second, "without": time.Hour} {
		b.Run(name, func(b *testing.B) { benchmarkStall(b, interval) })
	}
}

func benchmarkStall(b *testing.B, interval time.Duration) {
	cfg := createDefaultConfig().(*Config)
	cfg.TraceWindow = 100 * time.Millisecond
	cfg.FlushInterval = interval
	cfg.Dependencies.MaxEdges, cfg.Dependencies.MaxEdgesPerCaller = 25_000, 5000
	var flushes, points atomic.Int64
	metrics, err := consumer.NewMetrics(func(_ context.Context, md pmetric.Metrics) error {
		flushes.Add(1)
		points.Store(int64(md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Sum().DataPoints().Len()))
		return nil
	})
	require.NoError(b, err)
	c, err := NewFactory().CreateTracesToMetrics(b.Context(), settings(""), cfg, metrics)
	require.NoError(b, err)
	require.NoError(b, c.Start(b.Context(), componenttest.NewNopHost()))
	// Each of five services calls 5000 peers, which fail half of the time.
	for peer := 0; peer < 5000; peer += 50 {
		require.NoError(b, c.ConsumeTraces(b.Context(), requestToPeers(peer, peer+50)))
	}
	time.Sleep(2 * time.Second)
	small := requestToPeers(0, 5)
	waits := make([]time.Duration, 0, 1<<22)
	before := flushes.Load()
	now := uint64(0)
	for b.Loop() {
		time.Sleep(200 * time.Microsecond)
		now++
		for _, rs := range small.ResourceSpans().All() {
			for _, span := range rs.ScopeSpans().At(0).Spans().All() {
				id := span.TraceID()
				binary.LittleEndian.PutUint64(id[8:], now)
				span.SetTraceID(id)
			}
		}
		from := time.Now()
		require.NoError(b, c.ConsumeTraces(b.Context(), small))
		waits = append(waits, time.Since(from))
	}
	slices.Sort(waits)
	b.ReportMetric(float64(waits[len(waits)-1].Microseconds())/1000, "ms-longest")
	b.ReportMetric(float64(waits[len(waits)*999/1000].Microseconds())/1000, "ms-99.9%")
	b.ReportMetric(float64(flushes.Load()-before), "flushes")
	require.NoError(b, c.Shutdown(b.Context()))
	require.EqualValues(b, 50_000, points.Load())
}

// requestToPeers has a call of each of five services to each of some peers that is answered well, and one that fails.
func requestToPeers(from, to int) ptrace.Traces {
	td := ptrace.NewTraces()
	for caller := range 5 {
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", fmt.Sprintf("service-%d", caller))
		spans := rs.ScopeSpans().AppendEmpty().Spans()
		for peer := from; peer < to; peer++ {
			for _, status := range []ptrace.StatusCode{ptrace.StatusCodeOk, ptrace.StatusCodeError} {
				span := spans.AppendEmpty()
				span.SetKind(ptrace.SpanKindClient)
				span.SetTraceID(pcommon.TraceID{byte(caller + 1), byte(peer), byte(peer >> 8), byte(status)})
				span.SetSpanID(number(1))
				span.Attributes().PutStr("service.peer.name", fmt.Sprintf("peer-%d", peer))
				span.Status().SetCode(status)
				span.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Now().Add(-time.Millisecond)))
				span.SetEndTimestamp(pcommon.NewTimestampFromTime(time.Now()))
			}
		}
	}
	return td
}
