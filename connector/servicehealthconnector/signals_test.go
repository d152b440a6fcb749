package servicehealthconnector

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// batch is a request of one signal.
type batch struct {
	Spans   []span
	Points  []point
	Records []record
}

// point is a data point in a metric of its own. Its type and what it has tell which.
type point struct {
	Service, Namespace string
	Metric             string
	// Type is counter (the default), updown, gauge, histogram, exponential or summary.
	Type string
	// Delta is a temporality.
	Delta bool
	// Start and At are seconds; a Start of -1 is not known.
	Start, At  float64
	Attributes map[string]any
	// Value is a whole number or not, or nothing.
	Value any
	// Count is that of all buckets, unless set.
	Count *uint64
	// Bounds and Buckets are those of a histogram; of an exponential one, Buckets begin at Offset.
	Bounds  []float64
	Buckets []uint64
	Scale   int32
	Offset  int32
	Zeroes  uint64
	// Missing is the flag that nothing was recorded.
	Missing bool
	// Trace is that of an exemplar with that value.
	Trace    string
	Exemplar float64
	// Repeat makes so many series of it, by the attribute n.
	Repeat int
}

type record struct {
	Service, Namespace string
	// At and Observed are seconds; -1 is not known.
	At, Observed float64
	Severity     int32
	Body, Event  string
	Attributes   map[string]any
	Trace        string
	// Repeat makes so many of it, a tenth of a second apart.
	Repeat int
}

func resource(attributes pcommon.Map, service, namespace string) {
	if service != "" {
		attributes.PutStr("service.name", service)
	}
	if namespace != "" {
		attributes.PutStr("service.namespace", namespace)
	}
}

func metricsOf(points []point) pmetric.Metrics {
	md := pmetric.NewMetrics()
	for _, p := range points {
		for n := range max(1, p.Repeat) {
			p.put(md, n)
		}
	}
	return md
}

func (p *point) put(md pmetric.Metrics, n int) {
	rm := md.ResourceMetrics().AppendEmpty()
	resource(rm.Resource().Attributes(), p.Service, p.Namespace)
	m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName(p.Metric)
	temporality := pmetric.AggregationTemporalityCumulative
	if p.Delta {
		temporality = pmetric.AggregationTemporalityDelta
	}
	var attributes pcommon.Map
	switch p.Type {
	case "", "counter", "updown":
		sum := m.SetEmptySum()
		sum.SetAggregationTemporality(temporality)
		sum.SetIsMonotonic(p.Type != "updown")
		attributes = p.number(sum.DataPoints().AppendEmpty())
	case "gauge":
		attributes = p.number(m.SetEmptyGauge().DataPoints().AppendEmpty())
	case "histogram":
		h := m.SetEmptyHistogram()
		h.SetAggregationTemporality(temporality)
		out := h.DataPoints().AppendEmpty()
		p.stamp(out)
		out.SetFlags(out.Flags().WithNoRecordedValue(p.Missing))
		out.ExplicitBounds().FromRaw(p.Bounds)
		out.BucketCounts().FromRaw(p.Buckets)
		out.SetCount(p.count())
		p.exemplar(out.Exemplars())
		attributes = out.Attributes()
	case "exponential":
		h := m.SetEmptyExponentialHistogram()
		h.SetAggregationTemporality(temporality)
		out := h.DataPoints().AppendEmpty()
		p.stamp(out)
		out.SetScale(p.Scale)
		out.Positive().SetOffset(p.Offset)
		out.Positive().BucketCounts().FromRaw(p.Buckets)
		out.SetZeroCount(p.Zeroes)
		out.SetCount(p.count() + p.Zeroes)
		p.exemplar(out.Exemplars())
		attributes = out.Attributes()
	case "summary":
		out := m.SetEmptySummary().DataPoints().AppendEmpty()
		p.stamp(out)
		out.SetCount(p.count())
		attributes = out.Attributes()
	}
	if err := attributes.FromRaw(p.Attributes); err != nil {
		panic(err)
	}
	if p.Repeat > 0 {
		attributes.PutInt("n", int64(n))
	}
}

func (p *point) stamp(out interface {
	SetStartTimestamp(pcommon.Timestamp)
	SetTimestamp(pcommon.Timestamp)
},
) {
	out.SetStartTimestamp(at(p.Start))
	out.SetTimestamp(at(p.At))
}

func (p *point) number(out pmetric.NumberDataPoint) pcommon.Map {
	p.stamp(out)
	out.SetFlags(out.Flags().WithNoRecordedValue(p.Missing))
	switch value := p.Value.(type) {
	case int:
		out.SetIntValue(int64(value))
	case float64:
		out.SetDoubleValue(value)
	}
	p.exemplar(out.Exemplars())
	return out.Attributes()
}

func (p *point) count() uint64 {
	if p.Count != nil {
		return *p.Count
	}
	var all uint64
	for _, n := range p.Buckets {
		all += n
	}
	return all
}

func (p *point) exemplar(all pmetric.ExemplarSlice) {
	if p.Trace != "" {
		e := all.AppendEmpty()
		e.SetTraceID(traceID(p.Trace))
		e.SetDoubleValue(p.Exemplar)
	}
}

func logsOf(records []record) plog.Logs {
	ld := plog.NewLogs()
	for _, r := range records {
		for n := range max(1, r.Repeat) {
			rl := ld.ResourceLogs().AppendEmpty()
			resource(rl.Resource().Attributes(), r.Service, r.Namespace)
			out := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
			later := float64(n) / 10
			out.SetTimestamp(at(r.At + later))
			out.SetObservedTimestamp(at(r.Observed + later))
			out.SetSeverityNumber(plog.SeverityNumber(r.Severity))
			out.Body().SetStr(r.Body)
			out.SetEventName(r.Event)
			if r.Trace != "" {
				out.SetTraceID(traceID(r.Trace))
			}
			if err := out.Attributes().FromRaw(r.Attributes); err != nil {
				panic(err)
			}
		}
	}
	return ld
}

// The traces of bad events are named as far as records, or the exemplars of points, name them: only those of bad values.
func TestBadEventsNameTheirTraces(t *testing.T) {
	for name, want := range map[string]string{"log_records": "bad", "histogram_at_edge": "slow"} {
		t.Run(name, func(t *testing.T) {
			var in input
			read(t, "testdata/"+name+"/input.yaml", &in)
			cfg := createDefaultConfig().(*Config)
			cfg.Clock = clockEvent
			cfg.SLO.Documents = in.Documents
			var all allSignals
			all.start(t, settings(""), cfg)
			for _, b := range in.Batches {
				all.metrics(t, metricsOf(b.Points))
				all.logs(t, logsOf(b.Records))
			}
			all.stop(t)
			events := all.events.AllLogs()
			require.NotEmpty(t, events)
			for _, ld := range events {
				for _, r := range ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().All() {
					ids, ok := r.Attributes().Get("slo.bad_events.trace_ids")
					require.True(t, ok)
					assert.Equal(t, []any{traceID(want).String()}, ids.Slice().AsRaw())
				}
			}
		})
	}
}

// The points of a batch are counted once, however many pipelines the connector is in, and wherever its time comes from.
func TestMetricsByTheWallClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := createDefaultConfig().(*Config)
		cfg.SLO.MaxSeries = 2
		var in input
		read(t, "testdata/sum_cumulative/input.yaml", &in)
		cfg.SLO.Documents = in.Documents
		telemetry := componenttest.NewTelemetry()
		defer func() { assert.NoError(t, telemetry.Shutdown(context.Background())) }()
		set := settings("")
		set.TelemetrySettings = telemetry.NewTelemetrySettings()
		var all allSignals
		all.start(t, set, cfg)
		time.Sleep(time.Second)
		began := time.Now()
		send := func(outcome string, value int64) {
			time.Sleep(time.Second)
			md := metricsOf([]point{{Service: "worker", Metric: "jobs.done", Value: int(value), Attributes: map[string]any{"outcome": outcome}}})
			p := md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Sum().DataPoints().At(0)
			p.SetStartTimestamp(pcommon.NewTimestampFromTime(began))
			p.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
			all.metrics(t, md)
		}
		told := func() map[string]int64 {
			var e expected
			e.put(telemetry, "otelcol_service_health_series_held")
			e.put(telemetry, "otelcol_service_health_events_not_judged")
			return e.Telemetry
		}
		send("ok", 5)
		send("ok", 7)
		send("failed", 1)
		send("skipped", 10)
		assert.Equal(t, map[string]int64{"series_held": 2, "events_not_judged too_many_series": 1}, told())
		time.Sleep(50 * time.Minute)
		send("ok", 8)
		time.Sleep(15 * time.Minute)
		synctest.Wait()
		assert.Equal(t, map[string]int64{"series_held": 1, "events_not_judged too_many_series": 1}, told(), "the silent ones are forgotten")
		send("failed", 100) // Of which nobody knows when.
		send("failed", 101)
		all.stop(t)
		var got expected
		describe(all.told.AllMetrics()[len(all.told.AllMetrics())-1], &got)
		assert.Contains(t, got.SLO, "slo.events slo.name=jobs slo.service=worker outcome=good = 8")
		assert.Contains(t, got.SLO, "slo.events slo.name=jobs slo.service=worker outcome=bad = 2")
	})
}

// Points and records of other services cost a look-up for each resource, and no memory.
func TestOtherServicesPointsNeedNoMemory(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	cfg.SLO.Documents = append(everyWay("metrics"), documents(1)...)
	c, err := NewFactory().CreateMetricsToMetrics(t.Context(), settings(""), cfg, consumertest.NewNop())
	require.NoError(t, err)
	md := metricsOf([]point{{Service: "another", Metric: "m", Value: 1, Repeat: 1000}, {Metric: "m", Type: "gauge", Value: 1.5, Repeat: 1000}})
	assert.LessOrEqual(t, testing.AllocsPerRun(100, func() {
		if err := c.ConsumeMetrics(t.Context(), md); err != nil {
			t.Error(err)
		}
	}), 2.0)
	require.NoError(t, c.Shutdown(t.Context()))
}

// Whatever comes in, nothing panics and the input is not touched.
func FuzzConsumeMetrics(f *testing.F) {
	marshaler, unmarshaler := pmetric.ProtoMarshaler{}, pmetric.ProtoUnmarshaler{}
	for _, p := range []point{
		{Value: 5, At: 10},
		{Value: math.NaN(), At: 10},
		{Value: -5, At: 10},
		{Value: 0.5, At: 10, Delta: true},
		{Value: 5, Type: "updown"},
		{Value: math.Inf(1), Type: "gauge", At: 20},
		{Type: "histogram", Bounds: []float64{1, 2}, Buckets: []uint64{1, 2, 3}, At: 10},
		{Type: "exponential", Scale: 3, Offset: -5, Buckets: []uint64{1, 2, 3}, Zeroes: 2, At: 10, Trace: "t"},
		{Type: "summary", At: 10},
		{Type: "exponential", Scale: -400, Offset: math.MinInt32, Buckets: []uint64{math.MaxUint64, 2}, At: 1 << 40, Trace: "zero"},
	} {
		p.Service, p.Metric, p.Attributes = "front", "m", map[string]any{"nan": math.NaN(), "list": []any{1, "a"}}
		text, err := marshaler.MarshalMetrics(metricsOf([]point{p}))
		require.NoError(f, err)
		f.Add(text)
	}
	set := func(t *testing.T, clock string) *Config {
		cfg := createDefaultConfig().(*Config)
		cfg.Clock = clock
		cfg.SLO.Documents = everyWay("metrics")
		require.NoError(t, cfg.Validate())
		return cfg
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		md, err := unmarshaler.UnmarshalMetrics(text)
		if err != nil {
			return
		}
		before, err := marshaler.MarshalMetrics(md)
		require.NoError(t, err)
		for _, clock := range []string{clockWall, clockEvent} {
			var all allSignals
			all.start(t, settings(""), set(t, clock))
			all.metrics(t, md)
			all.metrics(t, md)
			all.stop(t)
		}
		after, err := marshaler.MarshalMetrics(md)
		require.NoError(t, err)
		require.Equal(t, before, after)
	})
}

func FuzzConsumeLogs(f *testing.F) {
	marshaler, unmarshaler := plog.ProtoMarshaler{}, plog.ProtoUnmarshaler{}
	for _, r := range []record{{Body: "a", At: 10, Severity: 17, Trace: "t"}, {At: -1, Observed: 5, Severity: -1}, {At: 1 << 40}} {
		r.Service, r.Attributes = "front", map[string]any{"v": math.NaN(), "list": []any{1, "a"}}
		text, err := marshaler.MarshalLogs(logsOf([]record{r}))
		require.NoError(f, err)
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		ld, err := unmarshaler.UnmarshalLogs(text)
		if err != nil {
			return
		}
		before, err := marshaler.MarshalLogs(ld)
		require.NoError(t, err)
		for _, clock := range []string{clockWall, clockEvent} {
			cfg := createDefaultConfig().(*Config)
			cfg.Clock = clock
			cfg.SLO.Documents = everyWay("logs")
			require.NoError(t, cfg.Validate())
			var all allSignals
			all.start(t, settings(""), cfg)
			all.logs(t, ld)
			all.stop(t)
		}
		after, err := marshaler.MarshalLogs(ld)
		require.NoError(t, err)
		require.Equal(t, before, after)
	})
}

// everyWay are objectives of front that ask in every way that there is.
func everyWay(signal string) []map[string]any {
	source := func(spec map[string]any) map[string]any {
		spec["signal"] = signal
		return map[string]any{"metricSource": map[string]any{"type": "OpenTelemetry", "spec": spec}}
	}
	value := `attributes["v"]`
	if signal == "metrics" {
		value = "value_double"
	}
	indicators := map[string]map[string]any{
		"good": {"ratioMetric": map[string]any{
			"total": source(map[string]any{"groupBy": []any{"list", "nan"}}), "good": source(map[string]any{"condition": `attributes["list"] == nil`}),
		}},
		"raw":   {"ratioMetric": map[string]any{"rawType": "failure", "raw": source(map[string]any{"value": value})}},
		"value": {"thresholdMetric": source(map[string]any{"value": value})},
	}
	if signal == "metrics" {
		indicators["own"] = map[string]any{"thresholdMetric": source(map[string]any{})}
	}
	var all []map[string]any
	for name, spec := range indicators {
		for _, op := range []string{"lte", "gt"} {
			goal := map[string]any{"target": 0.99}
			if spec["thresholdMetric"] != nil {
				goal["op"], goal["value"] = op, 1.5
			}
			all = append(all, map[string]any{
				"apiVersion": "openslo/v1", "kind": "SLO",
				"metadata": map[string]any{"name": name + "-" + op, "annotations": map[string]any{"throughline/exclude": `attributes["not"] == true`}},
				"spec": map[string]any{
					"service": "front", "indicator": map[string]any{"spec": spec},
					"budgetingMethod": "Occurrences", "objectives": []any{goal},
				},
			})
		}
	}
	return all
}
