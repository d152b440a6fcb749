package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector"
)

// TestCompatibility gives both connectors calls that service_graph counts right: they must say the same, name by name, attribute by
// attribute. What it counts wrong is in the cases of service_health.
func TestCompatibility(t *testing.T) {
	td := ptrace.NewTraces()
	now := time.Now()
	span := func(service, name string, kind ptrace.SpanKind, trace, id, parent byte, took time.Duration) ptrace.Span {
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", service)
		s := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		s.SetName(name)
		s.SetKind(kind)
		s.SetTraceID(pcommon.TraceID{1, trace})
		s.SetSpanID(pcommon.SpanID{id})
		if parent > 0 {
			s.SetParentSpanID(pcommon.SpanID{parent})
		}
		s.SetStartTimestamp(pcommon.NewTimestampFromTime(now.Add(-took)))
		s.SetEndTimestamp(pcommon.NewTimestampFromTime(now))
		return s
	}
	for trace := range byte(20) {
		took := time.Duration(trace+1) * 7 * time.Millisecond
		call := span("front", "POST", ptrace.SpanKindClient, trace, 1, 0, took)
		if trace%4 == 0 {
			call.Status().SetCode(ptrace.StatusCodeError)
		}
		span("back", "POST /", ptrace.SpanKindServer, trace, 2, 1, took/2)
		span("back", "SELECT", ptrace.SpanKindClient, trace, 3, 2, took/4).Attributes().FromRaw(map[string]any{
			"db.system": "postgresql", "db.name": "orders",
		})
		span("back", "send", ptrace.SpanKindProducer, trace, 4, 2, time.Millisecond)
		span("mail", "process", ptrace.SpanKindConsumer, trace, 5, 4, took)
		span("back", "charge", ptrace.SpanKindClient, trace, 6, 2, took/3).Attributes().PutStr("peer.service", "bank")
	}

	health, err := makeHealth(func(c *servicehealthconnector.Config) { c.Compatibility = []string{"service_graph"} })
	require.NoError(t, err)
	require.NoError(t, health.consume(td))
	require.NoError(t, health.stop())
	peers, err := makePeers(plenty)
	require.NoError(t, err)
	require.NoError(t, peers.consume(td))
	const bank = "traces_service_graph_request_total  client=back connection_type=virtual_node failed=false server=bank"
	// A call to a virtual node is counted when nobody has answered for long enough.
	require.Eventually(t, func() bool {
		latest := peers.sink.latest.Load()
		return latest != nil && strings.HasPrefix(graph(*latest)[bank], "20 ")
	}, time.Minute, interval/10)
	require.NoError(t, peers.stop())

	said, wanted := graph(*health.sink.latest.Load()), graph(*peers.sink.latest.Load())
	for series := range wanted {
		// It observes zero seconds on the side of a virtual node that has no span there.
		if strings.HasPrefix(series, "traces_service_graph_request_server") && strings.Contains(series, "virtual_node") {
			delete(wanted, series)
		}
	}
	require.Len(t, wanted, 15)
	assert.Equal(t, wanted, said)
}

// graph are the series of service_graph with their values.
func graph(md pmetric.Metrics) map[string]string {
	all := map[string]string{}
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				if !strings.HasPrefix(m.Name(), "traces_service_graph_") {
					continue
				}
				series := func(a pcommon.Map) string {
					parts := []string{m.Name(), m.Unit()}
					for _, key := range slices.Sorted(maps.Keys(a.AsRaw())) {
						parts = append(parts, key+"="+text(a, key))
					}
					return strings.Join(parts, " ")
				}
				switch m.Type() {
				case pmetric.MetricTypeSum:
					for _, p := range m.Sum().DataPoints().All() {
						all[series(p.Attributes())] = fmt.Sprint(p.IntValue(), m.Sum().IsMonotonic(), m.Sum().AggregationTemporality())
					}
				case pmetric.MetricTypeHistogram:
					for _, p := range m.Histogram().DataPoints().All() {
						all[series(p.Attributes())] = fmt.Sprintf("%d %.6f %v", p.Count(), p.Sum(), p.ExplicitBounds().AsRaw())
					}
				}
			}
		}
	}
	return all
}
