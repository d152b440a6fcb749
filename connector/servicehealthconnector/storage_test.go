package servicehealthconnector

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/connector/connectortest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"go.yaml.in/yaml/v3"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/metadata"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/storagetest"
)

// memory is a storage extension that outlives a connector.
type memory struct {
	component.StartFunc
	component.ShutdownFunc

	mu     sync.Mutex
	values storagetest.Client
	full   bool
	closed int
}

var errFull = errors.New("no space left on device")

func (m *memory) GetClient(context.Context, component.Kind, component.ID, string) (storage.Client, error) {
	return m, nil
}

func (m *memory) Close(context.Context) error {
	m.closed++
	return nil
}

func (m *memory) Get(ctx context.Context, key string) ([]byte, error) {
	op := storage.GetOperation(key)
	err := m.Batch(ctx, op)
	return op.Value, err
}

func (m *memory) Set(ctx context.Context, key string, value []byte) error {
	return m.Batch(ctx, storage.SetOperation(key, value))
}

func (m *memory) Delete(ctx context.Context, key string) error {
	return m.Batch(ctx, storage.DeleteOperation(key))
}

func (m *memory) Batch(ctx context.Context, ops ...*storage.Operation) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, op := range ops {
		if m.full && op.Type != storage.Get {
			return errFull
		}
	}
	return m.values.Batch(ctx, ops...)
}

// crashed is what a process finds that starts after this one was killed.
func (m *memory) crashed() *memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &memory{values: maps.Clone(m.values)}
}

func (m *memory) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{component.MustNewID("memory"): m}
}

const available = `
apiVersion: openslo/v1
kind: SLO
metadata: {name: %s}
spec:
  service: front
  budgetingMethod: Occurrences
  timeWindow: [{duration: 1h, isRolling: true}]
  objectives: [{target: 0.9}]
  indicator:
    metadata: {name: %[1]s-errors}
    spec:
      ratioMetric:
        counter: true
        total: {metricSource: {type: OpenTelemetry, spec: {signal: traces, condition: "kind == SPAN_KIND_SERVER", groupBy: [http.route]}}}
        good: {metricSource: {type: OpenTelemetry, spec: {signal: traces, condition: "status.code != STATUS_CODE_ERROR"}}}
  alertPolicies:
    - kind: AlertPolicy
      metadata: {name: %[1]s-page}
      spec:
        conditions:
          - kind: AlertCondition
            metadata: {name: %[1]s-fast, annotations: {throughline/short-window: 5s}}
            spec: {severity: page, condition: {kind: burnrate, op: gte, threshold: 2, lookbackWindow: 1m}}
        notificationTargets:
          - kind: AlertNotificationTarget
            metadata: {name: %[1]s-nobody}
            spec: {target: email}
`

// process is a connector with what it told.
type process struct {
	connector.Traces
	metrics consumertest.MetricsSink
	logs    consumertest.LogsSink
	said    *observer.ObservedLogs
	both    []connector.Traces
	self    *componenttest.Telemetry
}

// launch makes a connector with objectives of these names, and starts it.
func launch(t *testing.T, m *memory, objectives ...string) (*process, error) {
	t.Helper()
	cfg := createDefaultConfig().(*Config)
	id := component.MustNewID("memory")
	cfg.Storage = &id
	cfg.FlushInterval = 5 * time.Second
	for _, name := range objectives {
		var document map[string]any
		require.NoError(t, yaml.Unmarshal([]byte(fmt.Sprintf(available, name)), &document))
		cfg.SLO.Documents = append(cfg.SLO.Documents, document)
	}
	require.NoError(t, cfg.Validate())
	p := &process{self: componenttest.NewTelemetry()}
	t.Cleanup(func() { assert.NoError(t, p.self.Shutdown(context.Background())) })
	core, said := observer.New(zap.InfoLevel)
	p.said = said
	set := connectortest.NewNopSettings(metadata.Type)
	set.ID = component.NewID(metadata.Type)
	set.TelemetrySettings = p.self.NewTelemetrySettings()
	set.Logger = zap.New(core)
	factory := NewFactory()
	toMetrics, err := factory.CreateTracesToMetrics(t.Context(), set, cfg, &p.metrics)
	require.NoError(t, err)
	toLogs, err := factory.CreateTracesToLogs(t.Context(), set, cfg, &p.logs)
	require.NoError(t, err)
	p.Traces, p.both = toMetrics, []connector.Traces{toMetrics, toLogs}
	for i, each := range p.both {
		if err := each.Start(t.Context(), m); err != nil {
			assert.Zero(t, i)
			for _, each := range p.both {
				require.NoError(t, each.Shutdown(t.Context()))
			}
			return nil, err
		}
	}
	return p, nil
}

func (p *process) shutdown(t *testing.T) {
	t.Helper()
	for _, each := range p.both {
		require.NoError(t, each.Shutdown(t.Context()))
	}
}

// kill ends a process without it having a say: what it tells from now on nobody hears.
func (p *process) kill(t *testing.T, m *memory) *memory {
	t.Helper()
	left := m.crashed()
	p.shutdown(t)
	return left
}

// serve lets ten requests a second come in for some seconds.
func (p *process) serve(t *testing.T, seconds int, status string) {
	t.Helper()
	for range seconds * 10 {
		name := fmt.Sprint(time.Now().UnixNano())
		route := map[string]any{"http.route": "/" + name[len(name)-9:len(name)-8]} // the tenth of the second
		td := traces([]span{{Service: "front", Trace: name, ID: "server", Kind: "server", Status: status, Attributes: route}})
		require.NoError(t, p.ConsumeTraces(t.Context(), present(td)))
		time.Sleep(100 * time.Millisecond)
	}
}

// told are the names of the events about objectives.
func (p *process) told() []string {
	var names []string
	for _, ld := range p.logs.AllLogs() {
		for _, r := range ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().All() {
			if strings.HasPrefix(r.EventName(), "slo.") {
				names = append(names, r.EventName()+" "+value(r.Attributes(), "slo.name")+value(r.Attributes(), "http.route"))
			}
		}
	}
	return names
}

// total adds up the points of a sum in the last or, if first, the first metrics, and says when they began.
func (p *process) total(t *testing.T, metric string, first bool) (total int64, starts []pcommon.Timestamp) {
	t.Helper()
	all := slices.DeleteFunc(p.metrics.AllMetrics(), func(md pmetric.Metrics) bool {
		for _, m := range md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
			if m.Name() == metric {
				return false
			}
		}
		return true
	})
	if len(all) == 0 {
		return 0, nil
	}
	md := all[len(all)-1]
	if first {
		md = all[0]
	}
	for _, m := range md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
		if m.Name() != metric {
			continue
		}
		points := m.Gauge().DataPoints
		if m.Type() == pmetric.MetricTypeSum {
			points = m.Sum().DataPoints
		}
		for _, point := range points().All() {
			total += point.IntValue()
			starts = append(starts, point.StartTimestamp())
		}
	}
	slices.Sort(starts)
	return total, slices.Compact(starts)
}

func TestBudgetsSurviveARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{values: map[string][]byte{}}
		p, err := launch(t, m, "one", "two")
		require.NoError(t, err)
		began := time.Now()
		p.serve(t, 60, "")
		p.serve(t, 30, "error")
		assert.Contains(t, p.told(), "slo.burn.started one/3")
		p.shutdown(t)
		assert.Equal(t, 1, m.closed)
		events, starts := p.total(t, "slo.events", false)
		require.Len(t, starts, 1)
		blamed, _ := p.total(t, "slo.bad_events.blamed", false)
		assert.Equal(t, int64(2*900), events)
		assert.Equal(t, int64(2*300), blamed)

		time.Sleep(20 * time.Second)
		again, err := launch(t, m, "three", "two", "one")
		require.NoError(t, err)
		again.serve(t, 12, "error")
		firing, _ := again.total(t, "slo.alert.firing", true)
		assert.Equal(t, int64(20), firing, "they still fire")
		first, sameStarts := again.total(t, "slo.events", true)
		assert.Equal(t, events, first, "counts go on")
		assert.Equal(t, starts, sameStarts)
		assert.InDelta(t, float64(began.UnixNano()), float64(starts[0]), 2e8)
		again.serve(t, 30, "error")
		for _, event := range again.told() {
			assert.Contains(t, event, " three/", "nothing is announced twice")
		}
		again.serve(t, 100, "")
		assert.Contains(t, again.told(), "slo.burn.resolved one/3")
		again.shutdown(t)
		after, _ := again.total(t, "slo.events", false)
		assert.Equal(t, events+2*1420+1420, after)
		more, _ := again.total(t, "slo.bad_events.blamed", false)
		assert.Equal(t, blamed+3*420, more)

		// What nobody counts for is kept for a while.
		time.Sleep(time.Hour)
		other, err := launch(t, m, "four")
		require.NoError(t, err)
		other.shutdown(t)
		p, err = launch(t, m, "one")
		require.NoError(t, err)
		p.serve(t, 12, "")
		kept, _ := p.total(t, "slo.events", true)
		assert.Equal(t, int64(900+1420), kept)
		p.shutdown(t)
		time.Sleep(8 * 24 * time.Hour)
		p, err = launch(t, m, "one")
		require.NoError(t, err)
		p.serve(t, 12, "")
		afresh, _ := p.total(t, "slo.events", true)
		assert.Less(t, afresh, int64(120))
		p.shutdown(t)
		assert.Len(t, m.values, 1+10, "what was kept too long has gone")
	})
}

// A process that is killed told no more than it had saved.
func TestBudgetsSurviveACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{values: map[string][]byte{}}
		announced, last := 0, int64(0)
		for i := range 12 {
			p, err := launch(t, m, "one")
			require.NoError(t, err)
			p.serve(t, 17+i, "error")
			events, _ := p.total(t, "slo.events", false)
			assert.Greater(t, events, last, "no counter goes back")
			last = events
			announced += len(p.told())
			m = p.kill(t, m)
		}
		assert.Equal(t, 10, announced, "once for each of ten groups")
	})
}

// Whoever delivers events has to know to whom.
func TestEventsNameTheirTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := launch(t, &memory{values: map[string][]byte{}}, "one")
		require.NoError(t, err)
		p.serve(t, 30, "error")
		p.serve(t, 120, "")
		told := map[string]int{}
		for _, ld := range p.logs.AllLogs() {
			for _, r := range ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().All() {
				if strings.HasPrefix(r.EventName(), "slo.") {
					told[r.EventName()]++
					assert.Equal(t, `["one-nobody"]`, value(r.Attributes(), "slo.notification_targets.name"))
					assert.Equal(t, `["email"]`, value(r.Attributes(), "slo.notification_targets.kind"))
				}
			}
		}
		assert.Equal(t, map[string]int{"slo.burn.started": 10, "slo.burn.resolved": 10}, told)
		p.shutdown(t)
	})
}

func TestAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{values: map[string][]byte{}}
		p, err := launch(t, m, "one")
		require.NoError(t, err)
		p.serve(t, 30, "")
		m.full = true
		p.serve(t, 60, "error")
		errs := p.said.FilterMessageSnippet("could not be saved").All()
		require.Len(t, errs, 1, "it is said once")
		assert.ErrorIs(t, errs[0].Context[0].Interface.(error), errFull)
		assert.NotEmpty(t, p.told(), "verdicts go on")
		failed, err := p.self.GetMetric("otelcol_service_health_snapshots")
		require.NoError(t, err)
		assert.Positive(t, points(failed.Data)["failure"])
		m.full = false
		p.serve(t, 12, "error")
		assert.Equal(t, 1, p.said.FilterMessageSnippet("saved again").Len())
		told, _ := p.total(t, "slo.events", false)
		m = p.kill(t, m)
		p, err = launch(t, m, "one")
		require.NoError(t, err)
		p.serve(t, 12, "error")
		after, _ := p.total(t, "slo.events", true)
		assert.GreaterOrEqual(t, after, told, "what was counted meanwhile is saved then")
		assert.Empty(t, p.told())
		p.shutdown(t)
	})
}

func TestAStateThatCannotBeRead(t *testing.T) {
	good := &memory{values: map[string][]byte{}}
	var total int64
	synctest.Test(t, func(t *testing.T) {
		p, err := launch(t, good, "one")
		require.NoError(t, err)
		p.serve(t, 30, "")
		p.shutdown(t)
		total, _ = p.total(t, "slo.events", false)
	})
	require.Len(t, good.values, 11, "a head and ten groups")
	for _, key := range slices.Sorted(maps.Keys(good.values))[:3] {
		value := good.values[key]
		turned := slices.Clone(value)
		turned[len(turned)/2] ^= 1
		for name, wrong := range map[string][]byte{"cut off": value[:len(value)/2], "a bit has turned": turned, "foreign": []byte("hello")} {
			t.Run(key+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					time.Sleep(time.Minute)
					m := good.crashed()
					m.values[key] = wrong
					p, err := launch(t, m, "one")
					require.NoError(t, err)
					warned := p.said.FilterMessageSnippet("set aside").All()
					require.Len(t, warned, 1)
					assert.Equal(t, key, warned[0].ContextMap()["key"])
					assert.Equal(t, wrong, m.values[warned[0].ContextMap()["set aside as"].(string)])
					p.serve(t, 12, "")
					after, _ := p.total(t, "slo.events", true)
					if key == "slo" {
						assert.Less(t, after, int64(20), "all begins afresh")
					} else {
						assert.Equal(t, total-30, after, "the other groups go on")
					}
					p.shutdown(t)
					p, err = launch(t, m, "one")
					require.NoError(t, err)
					assert.Zero(t, p.said.FilterMessageSnippet("set aside").Len(), "it is read once")
					p.shutdown(t)
				})
			})
		}
	}
}

func TestAStateOfANewerVersionIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{values: map[string][]byte{"slo": []byte("throughline slo\n\x02who knows")}}
		before := m.crashed()
		_, err := launch(t, m, "one")
		require.ErrorContains(t, err, "format 2, written by a newer version")
		assert.Equal(t, before.values, m.values)
		assert.Equal(t, 1, m.closed)
	})
}

func TestAStorageThatIsNone(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	id := component.MustNewID("memory")
	cfg.Storage = &id
	set := settings("")
	for name, host := range map[string]component.Host{
		"there is no extension": componenttest.NewNopHost(),
		"stores nothing":        nothing{},
	} {
		c, err := NewFactory().CreateTracesToMetrics(t.Context(), set, cfg, consumertest.NewNop())
		require.NoError(t, err)
		require.ErrorContains(t, c.Start(t.Context(), host), name)
		require.NoError(t, c.Shutdown(t.Context()))
	}
	cfg.Clock = clockEvent
	require.ErrorContains(t, cfg.Validate(), "`storage` needs `clock: wall`")
}

type nothing struct{ component.Host }

func (nothing) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{component.MustNewID("memory"): struct {
		component.StartFunc
		component.ShutdownFunc
	}{}}
}
