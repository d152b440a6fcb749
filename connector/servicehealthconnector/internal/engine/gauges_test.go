package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/gauge"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/sli"
	"github.com/throughline-otel/throughline/internal/service"
)

const dawn = int64(1_700_000_000e9)

func newMeasuring(t testing.TB) *Engine {
	binder, err := sli.Compile(nil, componenttest.NewNopTelemetrySettings())
	require.NoError(t, err)
	return New(Settings{TraceWindow: time.Second, MaxSpans: 1000, MaxEdges: 10, MaxEdgesPerCaller: 10, MaxSeries: 10, Binder: binder}, nil)
}

// resourceOf returns the metrics of a resource of a service, or of none.
func resourceOf(md pmetric.Metrics, service string) pmetric.MetricSlice {
	rm := md.ResourceMetrics().AppendEmpty()
	if service != "" {
		rm.Resource().Attributes().PutStr("service.name", service)
	}
	return rm.ScopeMetrics().AppendEmpty().Metrics()
}

// strains feeds so many metrics, one each 15 s, and returns what stands out of a service then.
func strains(t *testing.T, of string, points int, at func(i int, now int64) pmetric.Metrics) (gauge.Strain, bool) {
	e := newMeasuring(t)
	number := e.names.Entity(names.Entity{Identity: service.Identity{Name: of}})
	now := dawn
	for i := range points {
		now += 15e9
		e.Metrics(t.Context(), at(i, now), now)
	}
	e.diagnoser.gauges.Compare(now)
	return e.diagnoser.gauges.Of(number)
}

func level(i int) float64 {
	if i < 10 {
		return 0.3 + 0.01*float64(i%4)
	}
	return 0.97
}

func TestGaugesOfServices(t *testing.T) {
	start := pcommon.Timestamp(dawn)
	stamp := func(p pmetric.NumberDataPoint, now int64) pmetric.NumberDataPoint {
		p.SetStartTimestamp(start)
		p.SetTimestamp(pcommon.Timestamp(now))
		return p
	}
	total, whole := 0.0, int64(0)
	tests := map[string]struct {
		name         string
		shared, rate bool
		put          func(m pmetric.Metric, i int, now int64)
	}{
		"gauge": {"container.cpu.usage", false, false, func(m pmetric.Metric, i int, now int64) {
			stamp(m.SetEmptyGauge().DataPoints().AppendEmpty(), now).SetDoubleValue(level(i))
		}},
		"gauge of whole numbers, of a host": {"system.memory.usage", true, false, func(m pmetric.Metric, i int, now int64) {
			stamp(m.SetEmptyGauge().DataPoints().AppendEmpty(), now).SetIntValue(int64(1e6 * level(i)))
		}},
		"what goes up and down": {"container.memory.usage", false, false, func(m pmetric.Metric, i int, now int64) {
			m.SetEmptySum().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
			stamp(m.Sum().DataPoints().AppendEmpty(), now).SetDoubleValue(level(i))
		}},
		"rate of a sum": {"process.cpu.time", false, true, func(m pmetric.Metric, i int, now int64) {
			total += level(i)
			m.SetEmptySum().SetIsMonotonic(true)
			m.Sum().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
			stamp(m.Sum().DataPoints().AppendEmpty(), now).SetDoubleValue(total)
		}},
		"rate of a delta": {"k8s.pod.network.io", false, true, func(m pmetric.Metric, i int, now int64) {
			whole = int64(1e6 * level(i))
			m.SetEmptySum().SetIsMonotonic(true)
			m.Sum().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
			p := stamp(m.Sum().DataPoints().AppendEmpty(), now)
			p.SetStartTimestamp(pcommon.Timestamp(now - 15e9))
			p.SetIntValue(whole)
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			strain, ok := strains(t, "bank", 11, func(i int, now int64) pmetric.Metrics {
				md := pmetric.NewMetrics()
				m := resourceOf(md, "bank").AppendEmpty()
				m.SetName(test.name)
				test.put(m, i, now)
				return md
			})
			require.True(t, ok)
			assert.Equal(t, test.name, strain.Name)
			assert.Equal(t, test.shared, strain.Shared)
			assert.Equal(t, test.rate, strain.Rate)
			assert.Equal(t, dawn+11*15e9, strain.Since)
			assert.Greater(t, strain.Value, 2*strain.Before)
		})
	}
}

func TestGaugesOfOthers(t *testing.T) {
	tests := map[string]struct {
		metric, service string
		services        []any
		stands          bool
	}{
		"the services are named":                               {"k8s.node.cpu.usage", "", []any{"shop", "bank"}, true},
		"they go before the resource's, which is who measured": {"container.cpu.usage", "collector", []any{"bank"}, true},
		"others are named":                                     {"container.cpu.usage", "bank", []any{"shop"}, false},
		"nobody is known":                                      {"container.cpu.usage", "", nil, false},
		"a service's":                                          {"container.cpu.usage", "bank", nil, true},
		"no name of resources":                                 {"orders.open", "bank", nil, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, ok := strains(t, "bank", 11, func(i int, now int64) pmetric.Metrics {
				md := pmetric.NewMetrics()
				m := resourceOf(md, test.service).AppendEmpty()
				m.SetName(test.metric)
				p := m.SetEmptyGauge().DataPoints().AppendEmpty()
				p.SetTimestamp(pcommon.Timestamp(now))
				p.SetDoubleValue(level(i))
				if test.services != nil {
					require.NoError(t, p.Attributes().PutEmptySlice(attributeServices).FromRaw(test.services))
				}
				return md
			})
			assert.Equal(t, test.stands, ok)
		})
	}
}

func TestPointsThatSayNothing(t *testing.T) {
	e := newMeasuring(t)
	e.names.Entity(names.Entity{Identity: service.Identity{Name: "bank"}})
	md := pmetric.NewMetrics()
	metrics := resourceOf(md, "bank")
	add := func(at int64) pmetric.NumberDataPoint {
		m := metrics.AppendEmpty()
		m.SetName(fmt.Sprintf("container.%d", metrics.Len()))
		p := m.SetEmptyGauge().DataPoints().AppendEmpty()
		p.SetTimestamp(pcommon.Timestamp(at))
		return p
	}
	add(0)
	add(dawn + 2*ahead)
	add(dawn).SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
	h := metrics.AppendEmpty()
	h.SetName("process.histogram")
	h.SetEmptyHistogram().DataPoints().AppendEmpty().SetTimestamp(pcommon.Timestamp(dawn))
	e.Metrics(t.Context(), md, dawn)
	assert.Zero(t, e.diagnoser.gauges.Len())
	add(dawn)
	e.Metrics(t.Context(), md, dawn)
	assert.Equal(t, 1, e.diagnoser.gauges.Len())
	assert.Zero(t, e.Stats().GaugePointsRefused)
}

func BenchmarkGauges(b *testing.B) {
	e := newMeasuring(b)
	e.names.Entity(names.Entity{Identity: service.Identity{Name: "bank"}})
	md := pmetric.NewMetrics()
	const series = 100
	metrics := resourceOf(md, "bank")
	for i := range series {
		m := metrics.AppendEmpty()
		m.SetName("container.cpu.usage")
		m.SetEmptyGauge().DataPoints().AppendEmpty().Attributes().PutInt("cpu", int64(i))
	}
	now := dawn
	b.ReportAllocs()
	for b.Loop() {
		now += 1e9
		for _, m := range metrics.All() {
			m.Gauge().DataPoints().At(0).SetTimestamp(pcommon.Timestamp(now))
		}
		e.Metrics(b.Context(), md, now)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/series, "ns/point")
}
