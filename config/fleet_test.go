package config

import (
	"fmt"
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
	// fleetWindow and fleetFlush are short, so that the test is. What a gateway counts is told twice the one and once the other later.
	fleetWindow = 2 * time.Second
	fleetFlush  = 2 * time.Second
	// customersEvery is how often requests are sent, and customers how many at a time.
	customersEvery = 100 * time.Millisecond
	customers      = 4
)

// customer sends requests to shop/front, which calls payments, to several collectors alike.
type customer struct {
	t    *testing.T
	to   []string
	sent int
	// failed are those that payments failed.
	failed int
}

// shop sends requests for a while, of which each second one fails if payments is broken.
func (c *customer) shop(d time.Duration, broken bool) {
	c.t.Helper()
	ticks := time.NewTicker(customersEvery)
	defer ticks.Stop()
	for end := time.Now().Add(d); time.Now().Before(end); <-ticks.C {
		traces := ptrace.NewTraces()
		front, payments := spansOf(traces, "front"), spansOf(traces, "payments")
		for range customers {
			fails := broken && c.sent%2 == 0
			for i, spans := range []ptrace.SpanSlice{front, front, payments} {
				span := spans.AppendEmpty()
				span.SetTraceID(traceID(c.sent))
				span.SetSpanID(spanID(c.sent*spansPerTrace + i))
				if i > 0 {
					span.SetParentSpanID(spanID(c.sent*spansPerTrace + i - 1))
				}
				span.SetKind([]ptrace.SpanKind{ptrace.SpanKindServer, ptrace.SpanKindClient, ptrace.SpanKindServer}[i])
				span.SetName("POST /checkout")
				now := time.Now()
				span.SetStartTimestamp(pcommon.NewTimestampFromTime(now.Add(time.Duration(i-20) * time.Millisecond)))
				span.SetEndTimestamp(pcommon.NewTimestampFromTime(now.Add(time.Duration(-i) * time.Millisecond)))
				span.Attributes().PutStr("http.request.method", "POST")
				span.Attributes().PutStr("http.route", "/checkout")
				span.Attributes().PutInt("http.response.status_code", 200)
				if fails {
					span.Status().SetCode(ptrace.StatusCodeError)
					span.Attributes().PutInt("http.response.status_code", 503)
				}
			}
			if c.sent++; fails {
				c.failed++
			}
		}
		body := must((&ptrace.ProtoMarshaler{}).MarshalTraces(traces))
		for _, address := range c.to {
			post(c.t, address, "traces", body)
		}
	}
}

func spansOf(traces ptrace.Traces, service string) ptrace.SpanSlice {
	rs := traces.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", service)
	rs.Resource().Attributes().PutStr("service.namespace", "shop")
	return rs.ScopeSpans().AppendEmpty().Spans()
}

// verdict is an event of an objective.
type verdict struct {
	name, objective, severity, suspects string
	onset                               time.Time
}

// verdicts are those that came to a backend.
func (b *backend) verdicts() []verdict {
	var all []verdict
	b.look(func(_ ptrace.Traces, _ pmetric.Metrics, logs plog.Logs) {
		for _, rl := range logs.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, r := range sl.LogRecords().All() {
					if r.EventName() == "slo.burn.started" || r.EventName() == "slo.burn.resolved" {
						all = append(all, verdict{
							name: r.EventName(), objective: text(r.Attributes(), "slo.name"), severity: text(r.Attributes(), "severity"),
							suspects: text(r.Attributes(), "suspects.service.name"),
							onset:    must(time.Parse(time.RFC3339Nano, text(r.Attributes(), "slo.burn.onset"))),
						})
					}
				}
			}
		}
	})
	return all
}

// counted are the events of an objective that an instance told to a backend, by outcome. Each of its starts counts from zero.
func (b *backend) counted(objective string, instances ...string) map[string]int64 {
	type series struct {
		instance, outcome string
		start             pcommon.Timestamp
	}
	last := map[series]int64{}
	b.look(func(_ ptrace.Traces, metrics pmetric.Metrics, _ plog.Logs) {
		for _, rm := range metrics.ResourceMetrics().All() {
			for _, sm := range rm.ScopeMetrics().All() {
				for _, m := range sm.Metrics().All() {
					if m.Name() != "slo.events" {
						continue
					}
					for _, p := range m.Sum().DataPoints().All() {
						if text(p.Attributes(), "slo.name") == objective {
							s := series{text(rm.Resource().Attributes(), "service.instance.id"), text(p.Attributes(), "outcome"), p.StartTimestamp()}
							last[s] = max(last[s], p.IntValue())
						}
					}
				}
			}
		}
	})
	sums := map[string]int64{}
	for s, n := range last {
		for _, instance := range instances {
			if s.instance == instance {
				sums[s.outcome] += n
			}
		}
	}
	return sums
}

// tells says whether an instance told a metric to a backend.
func (b *backend) tells(instance, metric string) bool {
	told := false
	b.look(func(_ ptrace.Traces, metrics pmetric.Metrics, _ plog.Logs) {
		for _, rm := range metrics.ResourceMetrics().All() {
			for _, sm := range rm.ScopeMetrics().All() {
				for _, m := range sm.Metrics().All() {
					told = told || m.Name() == metric && text(rm.Resource().Attributes(), "service.instance.id") == instance
				}
			}
		}
	})
	return told
}

// TestFleet runs the shipped router, two gateways and the evaluator, and beside them one gateway alone, as processes of their own.
// All get the same requests. A gateway is restarted, and another killed, while the burns agree.
func TestFleet(t *testing.T) {
	if testing.Short() {
		t.Skip("takes more than a minute")
	}
	const objective = "front-availability"
	ofFleet, ofOne := newBackend(t), newBackend(t)
	state := t.TempDir()
	quick := node{"connectors": node{"service_health": node{
		"trace_window": fleetWindow.String(), "flush_interval": fleetFlush.String(),
	}}}
	env := func(backend *backend, instance string) []string {
		return []string{
			"THROUGHLINE_BACKEND=" + backend.URL, "THROUGHLINE_INSTANCE=" + instance, "THROUGHLINE_STATE=" + state + "/" + instance,
			"THROUGHLINE_SLOS=config/slos/shop.yaml", "THROUGHLINE_INSECURE=true", "THROUGHLINE_EVALUATOR_COUNTS=true",
		}
	}
	anywhere := node{"prometheus": node{"endpoint": "127.0.0.1:0"}}
	evaluator := start(t, "evaluator.yaml", env(ofFleet, "evaluator"), quick, node{"exporters": anywhere})

	shipped := node{"extensions": node{"zpages": node{"endpoint": "127.0.0.1:0"}}, "exporters": anywhere}
	one := start(t, "gateway.yaml", env(ofOne, "one"), quick, shipped)
	addresses := programs.FreeAddresses(t, 2)
	gateways := make([]*collector, len(addresses))
	startGateway := func(i int) {
		instance := fmt.Sprintf("gateway-%d", i)
		gateways[i] = start(t, "gateway.yaml", append(env(ofFleet, instance), "THROUGHLINE_EVALUATOR="+evaluator.grpc),
			must(onTop("fleet/gateway.yaml")), quick, shipped,
			node{"receivers": node{"otlp": node{"protocols": node{"grpc": node{"endpoint": addresses[i]}}}}})
	}
	for i := range gateways {
		startGateway(i)
	}
	router := start(t, "router.yaml", []string{"THROUGHLINE_INSECURE=true"}, node{"exporters": node{
		"load_balancing/traces":  node{"resolver": node{"dns": nil, "static": node{"hostnames": addresses}}},
		"load_balancing/metrics": node{"resolver": node{"dns": nil, "static": node{"hostnames": addresses}}},
	}})
	told := func(want int) {
		t.Helper()
		evaluator.Await(fmt.Sprintf("%d verdicts", want), chainTimeout, func() bool {
			return len(ofFleet.verdicts()) >= want && len(ofOne.verdicts()) >= want
		})
	}

	customer := customer{t: t, to: []string{router.http, one.http}}
	customer.shop(8*time.Second, false)
	customer.shop(6*time.Second, true)
	customer.shop(18*time.Second, false)
	told(2)
	// One is asked to end, and one is killed when it has told all it had.
	gateways[0].Stop()
	startGateway(0)
	time.Sleep(2*fleetWindow + 2*fleetFlush)
	gateways[1].Kill()
	startGateway(1)
	customer.shop(6*time.Second, false)
	customer.shop(6*time.Second, true)
	customer.shop(18*time.Second, false)
	told(4)
	sent := map[string]int64{"good": int64(customer.sent - customer.failed), "bad": int64(customer.failed)}
	evaluator.Await("all counts", chainTimeout, func() bool {
		return ofOne.counted(objective, "one")["good"] == sent["good"] &&
			ofFleet.counted(objective, "gateway-0", "gateway-1")["good"] >= sent["good"] &&
			ofFleet.counted(objective, "evaluator")["good"] >= sent["good"]
	})

	assert.Equal(t, sent, ofOne.counted(objective, "one"))
	assert.Equal(t, sent, ofFleet.counted(objective, "gateway-0", "gateway-1"))
	assert.Equal(t, sent, ofFleet.counted(objective, "evaluator"))
	for _, instance := range []string{"gateway-0", "gateway-1"} {
		assert.Positive(t, ofFleet.counted(objective, instance)["bad"], "the share of %s", instance)
	}
	want, got := ofOne.verdicts(), ofFleet.verdicts()
	require.Len(t, got, len(want))
	for i := range want {
		assert.WithinDuration(t, want[i].onset, got[i].onset, time.Second, "%v", got[i])
		want[i].onset = got[i].onset
		assert.Equal(t, want[i], got[i])
	}
	assert.Equal(t, `["payments"]`, got[0].suspects)
	assert.True(t, ofFleet.tells("evaluator", "slo.alert.firing"))
	assert.True(t, ofFleet.tells("gateway-0", "slo.objective"))
	assert.False(t, ofFleet.tells("gateway-0", "slo.alert.firing"), "a gateway gives no verdicts")
}
