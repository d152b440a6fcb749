package engine

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/openslo"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/sli"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/snapshot"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/storagetest"
)

const fleetDocument = `
apiVersion: openslo/v1
kind: SLO
metadata: {name: answers}
spec:
  service: shop/front
  indicator:
    metadata: {name: answers}
    spec:
      ratioMetric:
        counter: true
        total: {metricSource: {type: OpenTelemetry, spec: {signal: traces, condition: kind == SPAN_KIND_SERVER, groupBy: [http.route]}}}
        good: {metricSource: {type: OpenTelemetry, spec: {condition: status.code != STATUS_CODE_ERROR}}}
  timeWindow: [{duration: 1h, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{target: 0.95}]
  alertPolicies:
    - kind: AlertPolicy
      metadata: {name: people}
      spec:
        alertWhenBreaching: true
        alertWhenResolved: true
        conditions:
          - kind: AlertCondition
            metadata: {name: fast, annotations: {throughline/short-window: 10s}}
            spec: {severity: page, condition: {kind: burnrate, op: gte, threshold: 4, lookbackWindow: 60s, alertAfter: 2s}}
          - kind: AlertCondition
            metadata: {name: slow, annotations: {throughline/short-window: 30s}}
            spec: {severity: ticket, condition: {kind: burnrate, op: gte, threshold: 2, lookbackWindow: 6m, alertAfter: 0s}}
`

const (
	fleetWindow = 5 * time.Second
	fleetFlush  = 15 * time.Second
)

// member is an engine with all that it told.
type member struct {
	*Engine
	t *testing.T
	// name is the instance's, empty if it has none to tell.
	name    string
	metrics []pmetric.Metrics
	events  []happened
}

// happened is what an event says.
type happened struct {
	name, route, severity, onset, culprit string
	traces                                bool
}

func (m *member) Metrics(_ context.Context, md pmetric.Metrics) {
	attributes := md.ResourceMetrics().At(0).Resource().Attributes()
	attributes.PutStr("service.name", "throughline")
	attributes.PutStr("service.instance.id", m.name)
	own := pmetric.NewMetrics()
	md.CopyTo(own)
	m.metrics = append(m.metrics, own)
}

func (m *member) Logs(_ context.Context, ld plog.Logs) {
	for _, r := range ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().All() {
		of := func(key string) string {
			if v, ok := r.Attributes().Get(key); ok {
				return v.AsString()
			}
			return ""
		}
		if _, isBurn := r.Attributes().Get("slo.burn.onset"); !isBurn {
			continue
		}
		h := happened{
			name: r.EventName(), route: of("http.route"), severity: of("severity"), onset: of("slo.burn.onset"),
			culprit: of("suspects.service.name") + of("suspects.layer") + of("suspects.reason"),
		}
		if traces, ok := r.Attributes().Get("slo.bad_events.trace_ids"); ok {
			h.traces = traces.Slice().Len() > 0
		}
		m.events = append(m.events, h)
	}
}

func newMember(t *testing.T, name string, countOnly bool) *member {
	t.Helper()
	path := filepath.Join(t.TempDir(), "slo.yaml")
	require.NoError(t, os.WriteFile(path, []byte(fleetDocument), 0o600))
	objectives, err := openslo.Load([]string{path}, nil)
	require.NoError(t, err)
	binder, err := sli.Compile(objectives, componenttest.NewNopTelemetrySettings())
	require.NoError(t, err)
	m := &member{t: t, name: name}
	m.Engine = New(Settings{
		TraceWindow: fleetWindow, MaxSpans: 100_000, MaxEdges: 10, MaxEdgesPerCaller: 10, Silence: time.Hour,
		FlushInterval: fleetFlush, Late: 5 * time.Minute, Objectives: objectives, Binder: binder, CountOnly: countOnly,
		Scope: "throughline/test", SnapshotInterval: 10 * time.Second, Logger: zap.NewNop(),
	}, m)
	return m
}

// new returns what was told since the last call.
func (m *member) new() []pmetric.Metrics {
	metrics := m.metrics
	m.metrics = nil
	return metrics
}

// span is one that is a trace of its own. Its number is also its trace's.
func (m *member) span(number uint64, route string, failed bool, end, now int64) {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "front")
	rs.Resource().Attributes().PutStr("service.namespace", "shop")
	span := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	id := pcommon.TraceID{15: 1}
	binary.BigEndian.PutUint64(id[4:], number)
	span.SetTraceID(id)
	span.SetSpanID(pcommon.SpanID{1})
	span.SetName("GET")
	span.SetKind(ptrace.SpanKindServer)
	span.Attributes().PutStr("http.route", route)
	span.SetStartTimestamp(pcommon.Timestamp(end - 1000))
	span.SetEndTimestamp(pcommon.Timestamp(end))
	if failed {
		span.Status().SetCode(ptrace.StatusCodeError)
	}
	m.Traces(m.t.Context(), td, now)
}

// count is what an objective counted, by route and outcome. It is that of the last point of each series.
func count(all []pmetric.Metrics) map[string]int64 {
	type series struct{ instance, start, key string }
	last := map[series]int64{}
	for _, md := range all {
		instance, _ := md.ResourceMetrics().At(0).Resource().Attributes().Get("service.instance.id")
		for _, m := range md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
			if m.Name() != "slo.events" {
				continue
			}
			for _, p := range m.Sum().DataPoints().All() {
				route, _ := p.Attributes().Get("http.route")
				outcome, _ := p.Attributes().Get("outcome")
				last[series{instance.Str(), p.StartTimestamp().String(), route.Str() + " " + outcome.Str()}] = p.IntValue()
			}
		}
	}
	sums := map[string]int64{}
	for s, n := range last {
		sums[s.key] += n
	}
	return sums
}

// traffic is a stream of spans: two routes, each with a time in which some or all requests fail.
func traffic(random *rand.Rand, second int64, f func(number uint64, route string, failed bool, end int64)) {
	for i := range random.IntN(12) {
		route, share := "/cart", 0.01
		if random.IntN(4) == 0 {
			route = "/pay"
		}
		switch {
		case route == "/cart" && second >= 120 && second < 190:
			share = 0.5
		case route == "/pay" && second >= 300 && second < 420:
			share = 0.15
		case route == "/pay" && second >= 500 && second < 530:
			share = 1
		}
		end := (firstSecond+second-1)*int64(time.Second) + 1 + random.Int64N(int64(time.Second)-1)
		f(random.Uint64()<<8|uint64(i), route, random.Float64() < share, end)
	}
}

// firstSecond is when the stream does, in seconds since the epoch.
const firstSecond = int64(1_700_000_000)

// TestAFleetGivesTheVerdictsOfOneProcess splits a stream by trace over gateways that are restarted, and whose points come late and
// twice.
func TestAFleetGivesTheVerdictsOfOneProcess(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 7))
			single, evaluator := newMember(t, "single", false), newMember(t, "evaluator", false)
			gateways := []*member{newMember(t, "a", true), newMember(t, "b", true), newMember(t, "c", true)}
			var counted, sent []pmetric.Metrics
			type parcel struct {
				md  pmetric.Metrics
				due int64
			}
			var way []parcel
			last := map[string]int64{} // What one gateway tells comes in its order.
			post := func(all []pmetric.Metrics, s int64) {
				counted = append(counted, all...)
				for _, md := range all {
					instance, _ := md.ResourceMetrics().At(0).Resource().Attributes().Get("service.instance.id")
					last[instance.Str()] = max(last[instance.Str()], s+random.Int64N(4))
					way = append(way, parcel{md, last[instance.Str()]})
				}
			}
			const length = 700
			for s := int64(0); s < length; s++ {
				now := (firstSecond + s) * int64(time.Second)
				if s > 0 {
					traffic(random, s, func(number uint64, route string, failed bool, end int64) {
						single.span(number, route, failed, end, now)
						gateways[number>>8%3].span(number, route, failed, end, now)
					})
				}
				for i, g := range gateways {
					g.TickWall(t.Context(), now)
					if random.IntN(150) == 0 {
						g.Drain(t.Context(), now)
						post(g.new(), s)
						gateways[i] = newMember(t, g.name, true)
						gateways[i].TickWall(t.Context(), now)
					}
					post(g.new(), s)
				}
				rest := way[:0]
				for _, p := range way {
					if p.due > s {
						rest = append(rest, p)
						continue
					}
					evaluator.Engine.Metrics(t.Context(), p.md, now)
					sent = append(sent, p.md)
				}
				way = rest
				if len(sent) > 0 && random.IntN(10) == 0 {
					evaluator.Engine.Metrics(t.Context(), sent[random.IntN(len(sent))], now)
				}
				single.TickWall(t.Context(), now)
				evaluator.TickWall(t.Context(), now)
			}
			end := (firstSecond + length) * int64(time.Second)
			for _, g := range gateways {
				g.Drain(t.Context(), end)
				post(g.new(), length)
			}
			for _, p := range way {
				evaluator.Engine.Metrics(t.Context(), p.md, end)
			}
			evaluator.TickWall(t.Context(), end+int64(time.Second))
			evaluator.TickWall(t.Context(), end+2*int64(time.Second))
			single.Drain(t.Context(), end)
			evaluator.Drain(t.Context(), end+3*int64(time.Second))

			require.GreaterOrEqual(t, len(single.events), 6)
			assert.Equal(t, single.events, evaluator.events)
			want := count(single.metrics)
			require.Len(t, want, 4)
			assert.Equal(t, want, count(evaluator.metrics), "the evaluator's own sums")
			assert.Equal(t, want, count(counted), "the gateways' sums")
			assert.Positive(t, evaluator.Stats().PointsRepeated)
			assert.Empty(t, evaluator.Stats().PointsRefused)
			assert.Zero(t, evaluator.Stats().LateEvents)
		})
	}
}

// TestAnEvaluatorThatIsKilledGoesOn kills one again and again. What it had heard and not saved is in the gateway's next points.
func TestAnEvaluatorThatIsKilledGoesOn(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 7))
	storage := storagetest.Client{}
	evaluatorAt := func(now int64) *member {
		m := newMember(t, "evaluator", false)
		store, values, asides, err := snapshot.Open(t.Context(), storage, uint64(now))
		require.NoError(t, err)
		require.Empty(t, asides)
		require.NoError(t, m.Restore(t.Context(), store, values, now))
		return m
	}
	g, evaluator := newMember(t, "a", true), evaluatorAt(firstSecond*second)
	var counted []pmetric.Metrics
	var events []happened
	for s := int64(0); s < 400; s++ {
		now := (firstSecond + s) * second
		if s > 0 {
			traffic(random, s, func(number uint64, route string, failed bool, end int64) { g.span(number, route, failed, end, now) })
		}
		g.TickWall(t.Context(), now)
		for _, md := range g.new() {
			evaluator.Engine.Metrics(t.Context(), md, now)
			counted = append(counted, md)
		}
		if s%37 == 36 {
			events = append(events, evaluator.events...)
			evaluator = evaluatorAt(now)
			evaluator.Engine.Metrics(t.Context(), counted[len(counted)-1], now)
		}
		evaluator.TickWall(t.Context(), now)
	}
	evaluator.Drain(t.Context(), (firstSecond+400)*second)
	want := count(counted)
	require.NotEmpty(t, want)
	assert.Equal(t, want, count(evaluator.new()))
	started := 0
	for _, e := range append(events, evaluator.events...) {
		if e.name == "slo.burn.started" && e.route == "/cart" && e.severity == "page" {
			started++
		}
	}
	assert.Equal(t, 1, started, "a burn is announced once")
}
