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
		`memory: [1-9]\S* \((met|missed)\) B per span with [1-9]\d* held`,
		`(?m)^per span \(\d+\) +[1-9]`, `(?m)^per record \(\d+\) +[1-9]`, `(?m)^per point \(\d+\) +[1-9]`,
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

	said := calls(*health.sink.latest.Load(), "dependency.calls", "caller.service.name", "callee.service.name", "dependency.type", "rpc")
	graph := calls(*peers.sink.latest.Load(), "traces_service_graph_request_total", "client", "server", "connection_type", "")
	assert.Len(t, graph, 4, "front to checkout and catalog, checkout to catalog and payments: %v", graph)
	assert.Equal(t, graph, said)
}

// calls sums a counter by edge, as far as the attribute named by key has the wanted value.
func calls(md pmetric.Metrics, name, caller, callee, key, wanted string) map[edge]int64 {
	sums := map[edge]int64{}
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				if m.Name() != name {
					continue
				}
				for _, p := range m.Sum().DataPoints().All() {
					if text(p.Attributes(), key) == wanted {
						sums[edge{text(p.Attributes(), caller), text(p.Attributes(), callee)}] += p.IntValue()
					}
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
