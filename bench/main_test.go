package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheReportHasEveryFigure(t *testing.T) {
	shop, err := load("shop", shopFile, plenty)
	require.NoError(t, err)
	// Few spans, so that a slot suffices on a machine that does other work, and with the race detector.
	shop.traces, shop.spans = shop.traces[:20], 0
	for _, td := range shop.traces {
		shop.spans += td.SpanCount()
	}
	var out bytes.Buffer
	require.NoError(t, report(&out, shop, plan{warm: 1, turns: 3, spans: 1, scaling: 2, held: 1000, rounds: 2, passes: 1}))
	for _, wanted := range []string{
		`(?m)^service_health +[1-9]\d* +[1-9]\d* +\d+ +\d+\.\d+ +[1-9]\d* +0 %`,
		`(?m)^service_graph \+ span_metrics +[1-9]\d* +[1-9]\d* +[1-9]\d* `,
		`÷ service_graph \(roomy\) \+ span_metrics: cpu \S+ \((met|missed)\)`,
		`(?m)^diagnosis: (\S+ \((met|missed)\) of the processor time|too short a round)`,
		// The heap of so small a round may well have shrunk.
		`memory: -?\d\S* \((met|missed)\) B per span with [1-9]\d* held`,
		`(?m)^correlation: two goroutines feed \d`, `(?m)^per span \(\d+\) +[1-9]`, `(?m)^per record \(\d+\) +[1-9]`, `(?m)^per point \(\d+\) +[1-9]`,
	} {
		assert.Regexp(t, wanted, out.String())
	}
}

// edge is a caller and a callee.
type edge struct{ caller, callee string }

// TestBothSidesCountTheSameCalls is a light check that both sides do the same work on the same spans.
func TestBothSidesCountTheSameCalls(t *testing.T) {
	shop, err := load("shop", shopFile, plenty)
	require.NoError(t, err)
	batches := newFeed(shop).next()

	health, err := makeServiceHealth(shop)
	require.NoError(t, err)
	require.NoError(t, spread(1, batches, health.consume))
	require.NoError(t, health.stop())

	peers, err := makePeers(plenty)
	require.NoError(t, err)
	require.NoError(t, spread(1, batches, peers.consume))
	// The first flush after this may have begun before it.
	wanted := peers.sink.flushes.Load() + 2
	require.Eventually(t, func() bool { return peers.sink.flushes.Load() >= wanted }, time.Minute, interval/10)
	require.NoError(t, peers.stop())

	// The recording begins and ends in the midst of requests. A call whose callee's span is outside of it is a call to
	// service_health, but not to service_graph, so the callees' side is what compares.
	said := calls(*health.sink.latest.Load(), "dependency.duration", "caller.service.name", "callee.service.name", map[string]string{"dependency.type": "rpc", "side": "callee"})
	graph := calls(*peers.sink.latest.Load(), "traces_service_graph_request_total", "client", "server", map[string]string{"connection_type": ""})
	assert.Len(t, graph, 4, "front to checkout and catalog, checkout to catalog and payments: %v", graph)
	assert.Equal(t, graph, said)
}

// calls sums a counter, or the counts of a histogram, by edge, as far as the attributes have the wanted values.
func calls(md pmetric.Metrics, name, caller, callee string, wanted map[string]string) map[edge]int64 {
	sums := map[edge]int64{}
	add := func(attributes pcommon.Map, n int64) {
		for key, value := range wanted {
			if text(attributes, key) != value {
				return
			}
		}
		sums[edge{text(attributes, caller), text(attributes, callee)}] += n
	}
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				if m.Name() != name {
					continue
				}
				if m.Type() == pmetric.MetricTypeExponentialHistogram {
					for _, p := range m.ExponentialHistogram().DataPoints().All() {
						add(p.Attributes(), int64(p.Count()))
					}
					continue
				}
				for _, p := range m.Sum().DataPoints().All() {
					add(p.Attributes(), p.IntValue())
				}
			}
		}
	}
	return sums
}

func text(attributes pcommon.Map, key string) string {
	value, ok := attributes.Get(key)
	if !ok {
		return ""
	}
	return value.AsString()
}
