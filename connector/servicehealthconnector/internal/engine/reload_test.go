package engine

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/openslo"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/sli"
)

// latest keeps what it was told of an objective's events last.
type latest struct{ counts map[string]int64 }

func (*latest) Logs(context.Context, plog.Logs) {}

func (l *latest) Metrics(_ context.Context, md pmetric.Metrics) {
	l.counts = map[string]int64{}
	for _, m := range md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
		if m.Name() != "slo.events" {
			continue
		}
		for _, p := range m.Sum().DataPoints().All() {
			name, _ := p.Attributes().Get("slo.name")
			tenant, _ := p.Attributes().Get("tenant")
			outcome, _ := p.Attributes().Get("outcome")
			l.counts[name.Str()+" "+tenant.AsString()+" "+outcome.Str()] += p.IntValue()
		}
	}
}

func objective(name, condition string, target float64) openslo.Objective {
	back := openslo.Service{Name: "back"}
	return openslo.Objective{
		Name: name, Service: back, Target: target, Window: time.Hour, GroupBy: []string{"tenant"},
		Indicator: openslo.Indicator{
			Signal: openslo.Traces, Service: back, Good: openslo.Expression{Text: condition},
		},
		Conditions: []openslo.Alert{{Severity: "page", Long: time.Minute, Short: time.Minute, BurnRate: 1}},
	}
}

// Spans come from several sides while objectives come, change and go. None of those that stay loses or gains an event.
func TestReloadsWhileSpansFlow(t *testing.T) {
	const rounds, senders, spans = 60, 3, 20
	tenants := []string{"a", "b", "c"}
	compile := func(objectives []openslo.Objective) *sli.Binder {
		binder, err := sli.Compile(objectives, componenttest.NewNopTelemetrySettings())
		require.NoError(t, err)
		return binder
	}
	stays := objective("stays", `name == "good"`, 0.9)
	initial := []openslo.Objective{objective("goes", `name == "good"`, 0.9), stays}
	var sink latest
	e := New(Settings{
		TraceWindow: 2 * time.Second, MaxSpans: 100_000, MaxEdges: 10, MaxEdgesPerCaller: 10, Silence: time.Hour,
		FlushInterval: 15 * time.Second, Late: 5 * time.Minute, Objectives: initial, Binder: compile(initial),
	}, &sink)
	now := 1_700_000_000 * second
	want := map[string]int64{}
	var mu sync.Mutex
	send := func(random *rand.Rand, at int64) {
		for range spans {
			tenant, name := tenants[random.IntN(len(tenants))], []string{"good", "bad"}[random.IntN(2)]
			td := ptrace.NewTraces()
			rs := td.ResourceSpans().AppendEmpty()
			rs.Resource().Attributes().PutStr("service.name", "back")
			span := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
			span.SetName(name)
			id := pcommon.TraceID{1}
			binary.LittleEndian.PutUint64(id[8:], random.Uint64())
			span.SetTraceID(id)
			span.SetSpanID(pcommon.SpanID{1})
			span.SetStartTimestamp(pcommon.Timestamp(at - 1000))
			span.SetEndTimestamp(pcommon.Timestamp(at))
			span.Attributes().PutStr("tenant", tenant)
			e.Traces(t.Context(), td, at)
			mu.Lock()
			want["stays "+tenant+" "+name]++
			mu.Unlock()
		}
	}
	most := 0
	for round := range rounds {
		var all sync.WaitGroup
		for sender := range senders {
			all.Go(func() { send(rand.New(rand.NewPCG(uint64(round), uint64(sender))), now) })
		}
		all.Go(func() {
			stays.Target = 0.9 + float64(round%5)/100
			others := []openslo.Objective{
				objective("changes", []string{`name == "good"`, `name != "bad"`}[round%2], 0.9), stays,
				objective("new"+string(rune('a'+round%7)), "true", 0.9),
			}
			rand.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
			numbered := e.Number(others, now)
			most = max(most, len(numbered))
			e.Adopt(t.Context(), numbered, compile(numbered), now)
		})
		e.TickWall(t.Context(), now)
		all.Wait()
		now += second
	}
	e.Drain(t.Context(), now)
	got := map[string]int64{}
	for key, n := range sink.counts {
		if key[:5] == "stays" {
			got[key] = n
		}
	}
	assert.Equal(t, want, got)
	assert.LessOrEqual(t, most, 20, "numbers are used again")
}
