package servicehealthconnector

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/metadatatest"
)

// promise is a document: of what back serves in at most so many seconds, a share is to be good, in each of its groups.
func promise(name, seconds, target string) string {
	return `apiVersion: openslo/v1
kind: SLO
metadata: {name: ` + name + `}
spec:
  service: back
  indicator:
    spec:
      thresholdMetric:
        metricSource:
          type: OpenTelemetry
          spec: {signal: traces, condition: kind == SPAN_KIND_SERVER, value: end_time - start_time, groupBy: [tenant]}
  budgetingMethod: Occurrences
  objectives: [{op: lte, value: ` + seconds + `, target: ` + target + `}]
  alertPolicies:
    - kind: AlertPolicy
      metadata: {name: page}
      spec:
        conditions:
          - kind: AlertCondition
            metadata: {name: fast, annotations: {throughline/short-window: 5s}}
            spec: {severity: page, condition: {threshold: 2, lookbackWindow: 1m, alertAfter: 0m}}
`
}

// reloading is a connector whose documents are in one file.
type reloading struct {
	t         *testing.T
	path      string
	metrics   consumertest.MetricsSink
	logs      consumertest.LogsSink
	said      *observer.ObservedLogs
	telemetry *componenttest.Telemetry
	consume   func(context.Context, ptrace.Traces) error
	stop      func()
	traces    byte
}

func newReloading(t *testing.T, documents ...string) *reloading {
	return newStoring(t, nil, documents...)
}

// newStoring keeps its state in m, unless that is nil.
func newStoring(t *testing.T, m *memory, documents ...string) *reloading {
	r := &reloading{t: t, path: filepath.Join(t.TempDir(), "slo.yaml"), telemetry: componenttest.NewTelemetry()}
	r.write(documents...)
	cfg := createDefaultConfig().(*Config)
	cfg.SLO.Files = []string{r.path}
	host := componenttest.NewNopHost()
	if m != nil {
		id := component.MustNewID("memory")
		cfg.Storage, host = &id, m
	}
	set := settings("")
	set.TelemetrySettings = r.telemetry.NewTelemetrySettings()
	var core zapcore.Core
	core, r.said = observer.New(zap.InfoLevel)
	set.Logger = zap.New(core)
	factory := NewFactory()
	toMetrics, err := factory.CreateTracesToMetrics(t.Context(), set, cfg, &r.metrics)
	require.NoError(t, err)
	toLogs, err := factory.CreateTracesToLogs(t.Context(), set, cfg, &r.logs)
	require.NoError(t, err)
	require.NoError(t, toMetrics.Start(t.Context(), host))
	require.NoError(t, toLogs.Start(t.Context(), host))
	r.consume = toMetrics.ConsumeTraces
	r.stop = func() {
		require.NoError(t, toMetrics.Shutdown(context.Background()))
		require.NoError(t, toLogs.Shutdown(context.Background()))
		require.NoError(t, r.telemetry.Shutdown(context.Background()))
	}
	return r
}

func (r *reloading) write(documents ...string) {
	require.NoError(r.t, os.WriteFile(r.path, []byte(strings.Join(documents, "---\n")), 0o600))
}

// serve is a request of a tenant that takes so long and ends now.
func (r *reloading) serve(tenant string, took time.Duration) {
	r.traces++
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "back")
	s := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	s.SetTraceID(pcommon.TraceID{1, 15: r.traces})
	s.SetSpanID(pcommon.SpanID{1})
	s.SetKind(ptrace.SpanKindServer)
	s.Attributes().PutStr("tenant", tenant)
	s.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Now().Add(-took)))
	s.SetEndTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	require.NoError(r.t, r.consume(r.t.Context(), td))
}

// wait lets time pass until documents are looked at, and what is held is decided and told.
func (r *reloading) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// counted are the latest counts, by objective, tenant and outcome, of those above 0.
func (r *reloading) counted() map[string]int64 {
	all := r.metrics.AllMetrics()
	counts := map[string]int64{}
	for _, m := range all[len(all)-1].ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
		if m.Name() != "slo.events" {
			continue
		}
		for _, p := range m.Sum().DataPoints().All() {
			text := func(key string) string { v, _ := p.Attributes().Get(key); return v.AsString() }
			if p.IntValue() > 0 {
				counts[text("slo.name")+" "+text("tenant")+" "+text("outcome")] = p.IntValue()
			}
		}
	}
	return counts
}

// told are the names and bodies of the events that were sent since it was asked last.
func (r *reloading) told() []string {
	var all []string
	for _, ld := range r.logs.AllLogs() {
		for _, record := range ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().All() {
			if strings.HasPrefix(record.EventName(), "slo.") {
				all = append(all, record.EventName()+": "+record.Body().Str())
			}
		}
	}
	r.logs.Reset()
	return all
}

// isOutdated checks what the self-telemetry says.
func (r *reloading) isOutdated(want int64) {
	r.t.Helper()
	metadatatest.AssertEqualServiceHealthDocumentsOutdated(r.t, r.telemetry, []metricdata.DataPoint[int64]{{Value: want}},
		metricdatatest.IgnoreTimestamp())
}

const millisecond = time.Millisecond

func TestCountsOutliveAReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReloading(t, promise("one", "0.3", "0.99"))
		defer r.stop()
		r.serve("a", 100*millisecond)
		r.serve("b", 900*millisecond)
		r.wait(25 * time.Second)
		assert.Equal(t, map[string]int64{"one a good": 1, "one b bad": 1}, r.counted())

		// The documents come in another order, with another target, and a span is held meanwhile.
		r.write(promise("two", "0.5", "0.99"), promise("one", "0.3", "0.98"))
		r.serve("b", 100*millisecond)
		r.wait(10 * time.Second)
		// Tenants come in another order, too.
		r.serve("c", 400*millisecond)
		r.serve("b", 400*millisecond)
		r.serve("a", 400*millisecond)
		r.wait(30 * time.Second)
		assert.Equal(t, map[string]int64{
			"one a good": 1, "one a bad": 1, "one b good": 1, "one b bad": 2, "one c bad": 1,
			"two a good": 1, "two b good": 1, "two c good": 1,
		}, r.counted())
		assert.Equal(t, map[string]any{
			"objectives": int64(2), "added": []any{"two"}, "changed": []any{"one"}, "removed": []any{},
		}, r.said.FilterMessage("changed documents were taken in").All()[0].ContextMap())
		r.isOutdated(0)

		r.write(promise("one", "0.3", "0.98"))
		r.serve("a", 400*millisecond)
		r.wait(time.Minute)
		assert.Equal(t, map[string]int64{
			"one a good": 1, "one a bad": 2, "one b good": 1, "one b bad": 2, "one c bad": 1,
		}, r.counted())
		assert.Empty(t, r.said.FilterLevelExact(zap.ErrorLevel).All())
	})
}

func TestWrongDocumentsChangeNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReloading(t, promise("one", "0.3", "0.99"))
		defer r.stop()
		r.serve("a", 100*millisecond)
		for _, wrong := range []struct{ document, reason string }{
			{promise("one", "0.3", "1"), "slo.yaml:13: `spec.objectives[0].target`: must be from 0 up to but not including 1"},
			{strings.Replace(promise("one", "0.3", "0.99"), "SPAN_KIND", "SPAN_KINK", 1), "slo.yaml:11: `spec.indicator.spec."},
			{"- what", "slo.yaml:1: must be a mapping"},
		} {
			r.write(wrong.document)
			r.wait(61 * time.Second)
			errors := r.said.TakeAll()
			require.Len(t, errors, 1, "it is said once")
			assert.Equal(t, "changed documents were refused, the former objectives go on", errors[0].Message)
			assert.Contains(t, errors[0].ContextMap()["error"], wrong.reason)
			r.isOutdated(1)
		}
		r.serve("a", 100*millisecond)
		r.wait(30 * time.Second)
		assert.Equal(t, map[string]int64{"one a good": 2}, r.counted())
		metadatatest.AssertEqualServiceHealthDocumentsLoaded(t, r.telemetry, []metricdata.DataPoint[int64]{
			{Attributes: attribute.NewSet(attribute.String("outcome", "taken"))},
			{Attributes: attribute.NewSet(attribute.String("outcome", "refused")), Value: 3},
		}, metricdatatest.IgnoreTimestamp())

		r.write(promise("one", "0.3", "0.99"))
		r.wait(time.Minute)
		r.isOutdated(0)
		assert.Equal(t, map[string]int64{"one a good": 2}, r.counted())
	})
}

func TestWhatCountsSomethingElseBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReloading(t, promise("one", "0.3", "0.75"))
		defer r.stop()
		for range 10 {
			r.serve("a", 900*millisecond)
			r.wait(time.Second)
		}
		r.wait(15 * time.Second)
		told := r.told()
		require.Len(t, told, 1)
		assert.Contains(t, told[0], "slo.burn.started: ")

		// What is held was judged by what is no more.
		r.write(promise("one", "1", "0.75"))
		r.serve("a", 900*millisecond)
		r.wait(10 * time.Second)
		assert.Equal(t, []string{
			"slo.burn.resolved: one of back is defined in another way now, or no more, and whether it still burns is not known; " +
				"it did for 30s; its error budget is overspent by 300 %.",
		}, r.told())
		r.serve("a", 900*millisecond)
		r.wait(30 * time.Second)
		assert.Equal(t, map[string]int64{"one a good": 1}, r.counted(), "the counter begins anew")
		assert.Empty(t, r.told())

		r.write(promise("other", "1", "0.75"))
		r.wait(time.Minute)
		assert.Empty(t, r.counted())
	})
}

// A change is often taken back.
func TestWhatComesBackGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReloading(t, promise("one", "0.3", "0.99"), promise("two", "0.3", "0.99"))
		defer r.stop()
		r.serve("a", 900*millisecond)
		r.serve("b", 900*millisecond)
		r.wait(25 * time.Second)
		r.write(promise("one", "1", "0.99"))
		r.wait(10 * time.Second)
		r.serve("b", 900*millisecond)
		r.wait(30 * time.Second)
		assert.Equal(t, map[string]int64{"one b good": 1}, r.counted())
		r.write(promise("two", "0.3", "0.9"), promise("one", "0.3", "0.99"))
		r.wait(30 * time.Second)
		r.serve("b", 900*millisecond)
		r.wait(30 * time.Second)
		assert.Equal(t, map[string]int64{"one a bad": 1, "one b bad": 2, "two a bad": 1, "two b bad": 2}, r.counted())
		blamed := int64(0)
		all := r.metrics.AllMetrics()
		for _, m := range all[len(all)-1].ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
			if m.Name() == "slo.bad_events.blamed" {
				for _, p := range m.Sum().DataPoints().All() {
					blamed += p.IntValue()
				}
			}
		}
		assert.Equal(t, int64(6), blamed)
	})
}

// What is saved is what objectives count after a reload.
func TestAReloadOutlivesARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{values: map[string][]byte{}}
		r := newStoring(t, m, promise("stays", "0.3", "0.99"), promise("goes", "0.3", "0.99"))
		r.serve("a", 100*millisecond)
		r.wait(25 * time.Second)
		r.write(promise("comes", "0.3", "0.99"), promise("stays", "0.3", "0.9"))
		r.wait(10 * time.Second)
		r.serve("a", 900*millisecond)
		r.wait(20 * time.Second)
		r.stop()

		again := newStoring(t, m, promise("goes", "0.3", "0.99"), promise("stays", "0.3", "0.9"), promise("comes", "0.3", "0.99"))
		defer again.stop()
		again.serve("b", 100*millisecond)
		again.wait(31 * time.Second)
		assert.Equal(t, map[string]int64{
			"stays a good": 1, "stays a bad": 1, "stays b good": 1, "comes a bad": 1, "comes b good": 1,
			"goes a good": 1, "goes b good": 1,
		}, again.counted())
	})
}

// A name in it may be wrong, so it is told wherever it is loaded.
func TestDocumentsWithoutEffectAreTold(t *testing.T) {
	const orphan = "apiVersion: openslo/v1\nkind: Service\nmetadata: {name: bakc}\nspec: {}\n"
	synctest.Test(t, func(t *testing.T) {
		r := newReloading(t, orphan, promise("one", "0.3", "0.99"))
		defer r.stop()
		told := func() []any {
			all := r.said.TakeAll()
			require.NotEmpty(t, all)
			said := all[len(all)-1]
			assert.Equal(t, zap.WarnLevel, said.Level)
			assert.Equal(t, "some documents have no effect", said.Message)
			return said.ContextMap()["documents"].([]any)
		}
		assert.Equal(t, []any{r.path + `:1: no SLO refers to the Service "bakc"`}, told())
		r.write(promise("one", "0.3", "0.99"), orphan)
		r.wait(31 * time.Second)
		assert.Equal(t, []any{r.path + `:23: no SLO refers to the Service "bakc"`}, told())
	})
}

func TestNothingIsReadAgainUnlessAsked(t *testing.T) {
	for name, set := range map[string]func(*Config){
		"no interval":     func(cfg *Config) { cfg.SLO.ReloadInterval = 0 },
		"a recorded time": func(cfg *Config) { cfg.Clock = clockEvent },
		"no files":        func(cfg *Config) { cfg.SLO.Files = nil },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := createDefaultConfig().(*Config)
			cfg.SLO.Files = []string{"a"}
			set(cfg)
			assert.Zero(t, newLoader(componenttest.NewNopTelemetrySettings(), cfg).interval)
		})
	}
}

// The time without its document is no silence of a service.
func TestAnObjectiveThatComesBackHasNoSilenceBehindIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asks := strings.Replace(promise("one", "0.3", "0.9"), "conditions:", "alertWhenNoData: true\n        conditions:", 1)
		r := newReloading(t, asks)
		defer r.stop()
		serve := func(seconds int) {
			for range seconds {
				r.serve("a", 100*millisecond)
				r.wait(time.Second)
			}
		}
		serve(90)
		r.write(promise("other", "0.3", "0.9"))
		serve(120)
		r.write(asks)
		serve(60)
		assert.Empty(t, r.told())
		r.wait(90 * time.Second)
		told := r.told()
		require.Len(t, told, 1)
		assert.Contains(t, told[0], "slo.no_data.started: ")

		// Nobody asks any more.
		r.write(promise("one", "0.3", "0.9"))
		r.wait(31 * time.Second)
		told = r.told()
		require.Len(t, told, 1)
		assert.Contains(t, told[0], "slo.no_data.resolved: one of back is defined in another way now, or no more; nothing was measured of it for ")
		r.write(asks)
		serve(60)
		assert.Empty(t, r.told(), "it was told that this is over")
	})
}

// After a burn was withdrawn, the one that is found when its objective is back is another one, also if a process has ended in between.
func TestAWithdrawnBurnIsAnnouncedAgainAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{values: map[string][]byte{}}
		r := newStoring(t, m, promise("one", "0.3", "0.75"))
		fail := func(r *reloading, seconds int) {
			for range seconds {
				r.serve("a", 900*millisecond)
				r.wait(time.Second)
			}
		}
		fail(r, 30)
		require.Len(t, r.told(), 1)
		r.write(promise("other", "1", "0.75"))
		fail(r, 45)
		told := r.told()
		require.Len(t, told, 1)
		assert.Contains(t, told[0], "slo.burn.resolved: ")
		r.stop()

		again := newStoring(t, m, promise("one", "0.3", "0.75"))
		defer again.stop()
		fail(again, 30)
		told = again.told()
		require.Len(t, told, 1)
		assert.Contains(t, told[0], "slo.burn.started: ")
	})
}

// What is in the storage of an objective that is not among the first documents waits for it.
func TestAnObjectiveComesBackFromTheStorage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{values: map[string][]byte{}}
		r := newStoring(t, m, promise("one", "0.3", "0.99"))
		r.serve("a", 100*millisecond)
		r.wait(25 * time.Second)
		r.stop()

		again := newStoring(t, m, promise("two", "0.3", "0.99"))
		again.wait(time.Minute)
		again.write(promise("one", "0.3", "0.99"))
		again.wait(31 * time.Second)
		again.serve("b", 100*millisecond)
		again.wait(31 * time.Second)
		assert.Equal(t, map[string]int64{"one a good": 1, "one b good": 1}, again.counted())
		again.stop()

		again = newStoring(t, m, promise("one", "0.3", "0.99"))
		defer again.stop()
		again.wait(31 * time.Second)
		assert.Equal(t, map[string]int64{"one a good": 1, "one b good": 1}, again.counted())
	})
}
