package servicehealthconnector

import (
	"context"
	"fmt"
	"math/rand/v2"
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
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/metadata"
)

func settings(name string) connector.Settings {
	set := connectortest.NewNopSettings(metadata.Type)
	set.ID = component.NewIDWithName(metadata.Type, name)
	return set
}

// call is a request of one trace: front calls back, at the present time.
func call(trace string) ptrace.Traces {
	td := traces([]span{
		{Service: "front", Trace: trace, ID: "client", Kind: "client", Start: 0, End: 0.1},
		{Service: "back", Trace: trace, ID: "server", Parent: "client", Kind: "server", Start: 0.02, End: 0.08},
	})
	return present(td)
}

// present gives all spans the last tenth of a second.
func present(td ptrace.Traces) ptrace.Traces {
	now := time.Now()
	for _, rs := range td.ResourceSpans().All() {
		for _, s := range rs.ScopeSpans().At(0).Spans().All() {
			s.SetStartTimestamp(pcommon.NewTimestampFromTime(now.Add(-100 * time.Millisecond)))
			s.SetEndTimestamp(pcommon.NewTimestampFromTime(now))
		}
	}
	return td
}

func TestATraceIsToldAfterItsWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := createDefaultConfig().(*Config)
		var metrics consumertest.MetricsSink
		c, err := NewFactory().CreateTracesToMetrics(t.Context(), settings(""), cfg, &metrics)
		require.NoError(t, err)
		require.NoError(t, c.Start(t.Context(), componenttest.NewNopHost()))
		time.Sleep(2 * time.Second)
		require.NoError(t, c.ConsumeTraces(t.Context(), call("t")))
		time.Sleep(cfg.TraceWindow - time.Second)
		synctest.Wait()
		assert.Empty(t, metrics.AllMetrics())
		time.Sleep(cfg.FlushInterval)
		synctest.Wait()
		assert.Equal(t, []string{"front (application) → back (application): rpc success = 1"}, last(&metrics).Calls)
		require.NoError(t, c.Shutdown(t.Context()))
	})
}

func TestShutdownTellsWhatIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var metrics consumertest.MetricsSink
		c, err := NewFactory().CreateTracesToMetrics(t.Context(), settings(""), createDefaultConfig(), &metrics)
		require.NoError(t, err)
		require.NoError(t, c.Start(t.Context(), componenttest.NewNopHost()))
		require.NoError(t, c.ConsumeTraces(t.Context(), call("t")))
		require.NoError(t, c.Shutdown(t.Context()))
		assert.Equal(t, []string{"front (application) → back (application): rpc success = 1"}, last(&metrics).Calls)
	})
}

// An exporter may try again until it is shut down itself, which comes after the connector.
func TestShutdownWaitsForNoExporter(t *testing.T) {
	for name, isDeaf := range map[string]bool{"that tries again": false, "that does not hear when its context ends": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				released := make(chan struct{})
				defer close(released)
				var given int
				metrics, err := consumer.NewMetrics(func(ctx context.Context, _ pmetric.Metrics) error {
					given++
					done := ctx.Done()
					if isDeaf {
						done = nil
					}
					select {
					case <-done:
					case <-released:
					}
					return ctx.Err()
				})
				require.NoError(t, err)
				cfg := createDefaultConfig().(*Config)
				factory := NewFactory()
				c, err := factory.CreateTracesToMetrics(t.Context(), settings(""), cfg, metrics)
				require.NoError(t, err)
				toLogs, err := factory.CreateTracesToLogs(t.Context(), settings(""), cfg, consumertest.NewNop())
				require.NoError(t, err)
				require.NoError(t, c.Start(t.Context(), componenttest.NewNopHost()))
				require.NoError(t, toLogs.Start(t.Context(), componenttest.NewNopHost()))
				require.NoError(t, c.ConsumeTraces(t.Context(), call("t")))
				time.Sleep(2 * cfg.FlushInterval)
				synctest.Wait()
				assert.Equal(t, 1, given, "it is at it")
				from := time.Now()
				for _, instance := range []component.Component{toLogs, c} {
					assert.Equal(t, isDeaf, instance.Shutdown(context.Background()) != nil)
				}
				assert.LessOrEqual(t, time.Since(from), 2*shutdownTimeout)
			})
		})
	}
}

func TestWhatIsBeingSentAtShutdownIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := createDefaultConfig().(*Config)
		var sent int
		metrics, err := consumer.NewMetrics(func(ctx context.Context, _ pmetric.Metrics) error {
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
				sent++
			}
			return ctx.Err()
		})
		require.NoError(t, err)
		c, err := NewFactory().CreateTracesToMetrics(t.Context(), settings(""), cfg, metrics)
		require.NoError(t, err)
		require.NoError(t, c.Start(t.Context(), componenttest.NewNopHost()))
		require.NoError(t, c.ConsumeTraces(t.Context(), call("t")))
		time.Sleep(cfg.FlushInterval + 500*time.Millisecond)
		require.NoError(t, c.Shutdown(t.Context()))
		assert.Equal(t, 2, sent, "the flush, and what was left")
	})
}

// A service may break and be replaced by one of another name: that it was failing is not told for ever.
func TestAServiceThatIsGoneIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := createDefaultConfig().(*Config)
		cfg.Dependencies.Silence = 10 * time.Minute
		var metrics consumertest.MetricsSink
		c, err := NewFactory().CreateTracesToMetrics(t.Context(), settings(""), cfg, &metrics)
		require.NoError(t, err)
		require.NoError(t, c.Start(t.Context(), componenttest.NewNopHost()))
		serve := func(service, status string, seconds int) {
			for i := range seconds {
				td := traces([]span{{Service: service, Trace: fmt.Sprint(service, status, i), ID: "s", Kind: "server", Status: status}})
				require.NoError(t, c.ConsumeTraces(t.Context(), present(td)))
				time.Sleep(time.Second)
			}
		}
		serve("cart-v1", "", 600)
		serve("cart-v1", "error", 60)
		serve("cart-v2", "", 60)
		assert.Equal(t, []string{"cart-v1 (application): failing errors self"}, last(&metrics).Health)
		assert.Equal(t, map[string]bool{"cart-v1": true, "cart-v2": true}, watched(&metrics))
		serve("cart-v2", "", 660)
		assert.Equal(t, []string{"cart-v2 (application): healthy"}, last(&metrics).Health)
		assert.Equal(t, map[string]bool{"cart-v2": true}, watched(&metrics))
		require.NoError(t, c.Shutdown(t.Context()))
	})
}

func TestWorkWithoutItsParentIsNoRequest(t *testing.T) {
	for kind, is := range map[string]bool{"internal": false, "server": true, "consumer": true} {
		synctest.Test(t, func(t *testing.T) {
			var metrics consumertest.MetricsSink
			c, err := NewFactory().CreateTracesToMetrics(t.Context(), settings(""), createDefaultConfig().(*Config), &metrics)
			require.NoError(t, err)
			require.NoError(t, c.Start(t.Context(), componenttest.NewNopHost()))
			td := traces([]span{{Service: "back", Trace: "t", ID: "part", Parent: "has yet to end", Kind: kind}})
			require.NoError(t, c.ConsumeTraces(t.Context(), present(td)))
			require.NoError(t, c.Shutdown(t.Context()))
			assert.Equal(t, is, len(metrics.AllMetrics()) > 0, kind)
		})
	}
}

// All of max_spans is there for whoever needs it, be it one trace.
func TestSpansAreBoundedInAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := createDefaultConfig().(*Config)
		cfg.MaxSpans = 100
		telemetry := componenttest.NewTelemetry()
		defer func() { assert.NoError(t, telemetry.Shutdown(context.Background())) }()
		set := settings("")
		set.TelemetrySettings = telemetry.NewTelemetrySettings()
		c, err := NewFactory().CreateTracesToMetrics(t.Context(), set, cfg, consumertest.NewNop())
		require.NoError(t, err)
		require.NoError(t, c.Start(t.Context(), componenttest.NewNopHost()))
		told := func() map[string]int64 {
			var e expected
			e.put(telemetry, "otelcol_service_health_spans_held")
			e.put(telemetry, "otelcol_service_health_traces_cut_short")
			return e.Telemetry
		}
		var spans []span
		for i := range cfg.MaxSpans {
			spans = append(spans, span{Service: "a", Trace: "1", ID: fmt.Sprint("s", i), Kind: "internal"})
		}
		require.NoError(t, c.ConsumeTraces(t.Context(), present(traces(spans))))
		assert.Equal(t, map[string]int64{"spans_held": 100}, told())
		require.NoError(t, c.ConsumeTraces(t.Context(), present(traces([]span{{Service: "a", Trace: "1", ID: "one more"}}))))
		assert.Equal(t, map[string]int64{"traces_cut_short": 1}, told())
		require.NoError(t, c.Shutdown(t.Context()))
	})
}

func TestDifferentIDsAndReloadsShareNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		factory := NewFactory()
		for _, name := range []string{"one", "two", "one"} {
			var metrics consumertest.MetricsSink
			c, err := factory.CreateTracesToMetrics(t.Context(), settings(name), createDefaultConfig(), &metrics)
			require.NoError(t, err)
			require.NoError(t, c.Start(t.Context(), componenttest.NewNopHost()))
			require.NoError(t, c.ConsumeTraces(t.Context(), call("t")))
			require.NoError(t, c.Shutdown(t.Context()))
			assert.Equal(t, []string{"front (application) → back (application): rpc success = 1"}, last(&metrics).Calls)
		}
	})
}

func TestMetricsCanBeTurnedOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := createDefaultConfig().(*Config)
		cfg.Metrics = map[string]MetricConfig{"dependency.duration": {Enabled: false}}
		require.NoError(t, cfg.Validate())
		var metrics consumertest.MetricsSink
		c, err := NewFactory().CreateTracesToMetrics(t.Context(), settings(""), cfg, &metrics)
		require.NoError(t, err)
		require.NoError(t, c.Start(t.Context(), componenttest.NewNopHost()))
		require.NoError(t, c.ConsumeTraces(t.Context(), call("t")))
		require.NoError(t, c.Shutdown(t.Context()))
		assert.NotEmpty(t, last(&metrics).Calls)
		assert.Empty(t, last(&metrics).Durations)
	})
}

func TestWrongConfigurationIsRefusedByItsKey(t *testing.T) {
	for want, set := range map[string]func(*Config){
		"`trace_window` must be a millisecond or more, not 10ns; a duration has a unit": func(c *Config) { c.TraceWindow = 10 },
		"`max_spans` must be greater than zero":                                         func(c *Config) { c.MaxSpans = -1 },
		"`dependencies.max_edges` must be greater than zero":                            func(c *Config) { c.Dependencies.MaxEdges = 0 },
		"`slo.late` must be a millisecond or more":                                      func(c *Config) { c.SLO.Late = 0 },
		"`flush_interval` must be a millisecond or more":                                func(c *Config) { c.FlushInterval = 0 },
		"`clock` must be \"wall\" or \"event\"":                                         func(c *Config) { c.Clock = "sundial" },
		"there is no metric \"slo.magic\"":                                              func(c *Config) { c.Metrics = map[string]MetricConfig{"slo.magic": {}} },
		"`dependencies.limits[0].duration` must be less than 1h2m38.": func(c *Config) {
			c.Dependencies.Limits = []LimitConfig{{Duration: 63 * time.Minute}}
		},
		"`dependencies.limits[0].failure_rate` must be from 0 to less than 1": func(c *Config) {
			c.Dependencies.Limits = []LimitConfig{{FailureRate: 1}}
		},
		"`dependencies.limits[1].condition`: condition has invalid syntax": func(c *Config) {
			c.Dependencies.Limits = []LimitConfig{{FailureRate: 0.1}, {Condition: "callee ~ x", FailureRate: 0.1}}
		},
		"attributes[callee.name] is no attribute of a dependency": func(c *Config) {
			c.Dependencies.Limits = []LimitConfig{{Condition: `attributes["callee.name"] == "x"`, FailureRate: 0.1}}
		},
		"resource.attributes[callee.service.name] is not known of a dependency": func(c *Config) {
			c.Dependencies.Limits = []LimitConfig{{Condition: `resource.attributes["callee.service.name"] == "x"`, FailureRate: 0.1}}
		},
		"`dependencies.dimensions` must be at most 4":   func(c *Config) { c.Dependencies.Dimensions = []string{"a", "b", "c", "d", "e"} },
		"`dependencies.dimensions` names \"a\" twice":   func(c *Config) { c.Dependencies.Dimensions = []string{"a", "a"} },
		"every dependency has \"service.name\" already": func(c *Config) { c.Dependencies.Dimensions = []string{"service.name"} },
		"`dependencies.histogram.explicit.buckets` must be at most 200": func(c *Config) {
			c.Dependencies.Histogram.Explicit.Buckets = make([]time.Duration, 201)
		},
		"each greater than the one before: 1s is not": func(c *Config) {
			c.Dependencies.Histogram.Explicit.Buckets = []time.Duration{time.Second, time.Second}
		},
		"slo.files[0]": func(c *Config) { c.SLO.Files = []string{"testdata/absent/*.yaml"} },
	} {
		cfg := createDefaultConfig().(*Config)
		set(cfg)
		assert.ErrorContains(t, cfg.Validate(), want)
	}
}

// Many senders at once lose no call, and what the bounds leave out is counted under another name.
func TestManySendersAtOnce(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	cfg.MaxSpans = 500 // So that traces are decided early, too.
	var metrics consumertest.MetricsSink
	var logs consumertest.LogsSink
	factory, set := NewFactory(), settings("")
	toMetrics, err := factory.CreateTracesToMetrics(t.Context(), set, cfg, &metrics)
	require.NoError(t, err)
	toLogs, err := factory.CreateTracesToLogs(t.Context(), set, cfg, &logs)
	require.NoError(t, err)
	require.NoError(t, toMetrics.Start(t.Context(), componenttest.NewNopHost()))
	require.NoError(t, toLogs.Start(t.Context(), componenttest.NewNopHost()))
	const senders, each = 8, 200
	var wait sync.WaitGroup
	for sender := range senders {
		wait.Go(func() {
			for i := range each {
				td := call(fmt.Sprintf("%d-%d", sender, i))
				assert.NoError(t, toMetrics.ConsumeTraces(context.Background(), td))
				assert.NoError(t, toLogs.ConsumeTraces(context.Background(), td))
			}
		})
	}
	wait.Wait()
	require.NoError(t, toLogs.Shutdown(t.Context()))
	require.NoError(t, toMetrics.Shutdown(t.Context()))
	assert.Equal(t, []string{fmt.Sprintf("front (application) → back (application): rpc success = %d", senders*each)}, last(&metrics).Calls)
}

func last(metrics *consumertest.MetricsSink) expected {
	var e expected
	if all := metrics.AllMetrics(); len(all) > 0 {
		describe(all[len(all)-1], &e)
	}
	return e
}

// watched are the callees whose health, of whatever state, was told last.
func watched(metrics *consumertest.MetricsSink) map[string]bool {
	callees := map[string]bool{}
	all := metrics.AllMetrics()
	for _, m := range all[len(all)-1].ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
		if m.Name() == "dependency.health" {
			for _, p := range m.Gauge().DataPoints().All() {
				callees[value(p.Attributes(), "callee.service.name")] = true
			}
		}
	}
	return callees
}

// Whatever comes in, nothing panics and the input is not touched.
func FuzzConsume(f *testing.F) {
	marshaler, unmarshaler := ptrace.ProtoMarshaler{}, ptrace.ProtoUnmarshaler{}
	for seed := range uint64(8) {
		text, err := marshaler.MarshalTraces(random(rand.New(rand.NewPCG(seed, 1))))
		require.NoError(f, err)
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		td, err := unmarshaler.UnmarshalTraces(text)
		if err != nil {
			return
		}
		before, err := marshaler.MarshalTraces(td)
		require.NoError(t, err)
		for _, clock := range []string{clockWall, clockEvent} {
			cfg := createDefaultConfig().(*Config)
			cfg.Clock = clock
			var metrics consumertest.MetricsSink
			c, err := NewFactory().CreateTracesToMetrics(t.Context(), settings(""), cfg, &metrics)
			require.NoError(t, err)
			require.NoError(t, c.Start(t.Context(), componenttest.NewNopHost()))
			require.NoError(t, c.ConsumeTraces(t.Context(), td))
			require.NoError(t, c.Shutdown(t.Context()))
		}
		after, err := marshaler.MarshalTraces(td)
		require.NoError(t, err)
		require.Equal(t, before, after)
	})
}

func random(r *rand.Rand) ptrace.Traces {
	names := []string{"", "a", "b", "c", "\xff\xfe", "\x1b[31m"}
	pick := func() string { return names[r.IntN(len(names))] }
	var spans []span
	for range 20 {
		spans = append(spans, span{
			Service: pick(), Trace: pick(), ID: pick(), Parent: pick(), Name: pick(), Kind: []string{"client", "server", "producer", "consumer", ""}[r.IntN(5)],
			Start: r.Float64()*200 - 1, End: r.Float64()*200 - 1, State: []string{"", "ot=th:8", "ot=th:x"}[r.IntN(3)],
			Attributes: map[string]any{"db.system.name": pick(), "server.address": pick(), "error.type": pick()},
			Links:      []string{pick() + "/" + pick()},
		})
	}
	return traces(spans)
}
