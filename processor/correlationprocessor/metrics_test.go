package correlationprocessor

import (
	"context"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/metadata"
)

// TestAKindOfAnyNumber sends what the protocol does not have, and then what it has.
func TestAKindOfAnyNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(benchmarkTime.AsTime()))
		out := &collector{}
		settings := processortest.NewNopSettings(metadata.Type)
		p := startPipelinesTo(t, NewFactory(), settings, createDefaultConfig().(*Config), out)
		for _, kind := range []ptrace.SpanKind{-1, math.MinInt32, math.MaxInt32, 6, ptrace.SpanKindServer} {
			spans, _, points := steady(1)
			spans.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).SetKind(kind)
			require.NoError(t, p.traces.ConsumeTraces(t.Context(), spans))
			require.NoError(t, p.metrics.ConsumeMetrics(t.Context(), points))
			exemplars := points.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Histogram().DataPoints().At(0).Exemplars()
			assert.Equal(t, kind == ptrace.SpanKindServer, exemplars.Len() > 0, int32(kind))
		}
	})
}

// TestTheShapesOfAMetricAreBounded has a span for each of many points that have not two sets of attributes in common.
func TestTheShapesOfAMetricAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const shapes = maxShapes + 4
		time.Sleep(time.Until(benchmarkTime.AsTime()))
		telemetry := componenttest.NewTelemetry()
		defer func() { require.NoError(t, telemetry.Shutdown(context.Background())) }()
		settings := processortest.NewNopSettings(metadata.Type)
		settings.TelemetrySettings = telemetry.NewTelemetrySettings()
		p := startPipelinesTo(t, NewFactory(), settings, createDefaultConfig().(*Config), consumertest.NewNop())
		spans, _, _ := steady(1)
		points, number := hostileMetric("requests")
		span := spans.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
		for shape := range shapes {
			another := spans.ResourceSpans().At(0).ScopeSpans().At(0).Spans().AppendEmpty()
			span.CopyTo(another)
			another.Attributes().Clear()
			shapeOf(another.Attributes(), shape+1)
			// The second of a shape is no further shape, and what counts nothing is not missed.
			for range 2 {
				point := number.AppendEmpty()
				point.SetIntValue(1)
				point.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
				shapeOf(point.Attributes(), shape+1)
			}
			empty := number.AppendEmpty()
			empty.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
			shapeOf(empty.Attributes(), shape+1)
		}
		points.ResourceMetrics().At(0).Resource().Attributes().PutStr("service.name", "steady")
		require.NoError(t, p.traces.ConsumeTraces(t.Context(), spans))
		require.NoError(t, p.metrics.ConsumeMetrics(t.Context(), points))
		got := counts(t, telemetry)
		assert.Equal(t, int64(2*maxShapes), got["correlation_points match=matched"])
		assert.Equal(t, int64(2*(shapes-maxShapes)), got["correlation_points match=none reason=no_span_fits"])
	})
}

// hostileMetric is a batch of a sum without points.
func hostileMetric(name string) (pmetric.Metrics, pmetric.NumberDataPointSlice) {
	batch := pmetric.NewMetrics()
	resource := batch.ResourceMetrics().AppendEmpty()
	resource.Resource().Attributes().PutStr("service.name", "hostile")
	return batch, hostileSum(resource.ScopeMetrics().AppendEmpty(), name)
}

func hostileSum(scope pmetric.ScopeMetrics, name string) pmetric.NumberDataPointSlice {
	metric := scope.Metrics().AppendEmpty()
	metric.SetName(name)
	metric.SetUnit("1")
	sum := metric.SetEmptySum()
	sum.SetIsMonotonic(true)
	return sum.DataPoints()
}

// shapeOf gives the attributes whose bits are set.
func shapeOf(attributes pcommon.Map, bits int) {
	for i, key := range [...]string{
		"http.method", "http.route", "http.status_code", "rpc.system", "rpc.service", "rpc.method", "rpc.grpc.status_code", "db.system",
		"db.name", "db.sql.table", "db.operation", "messaging.system", "messaging.destination", "rpc.response.status_code",
	} {
		if bits>>i&1 == 1 {
			attributes.PutStr(key, "x")
		}
	}
}

// BenchmarkHostileMetrics has points that are made to fit as many series as possible, of instances that have as many as
// possible.
func BenchmarkHostileMetrics(b *testing.B) {
	const points = 1000
	shapes := map[string]func() pmetric.Metrics{
		"foreign attribute": func() pmetric.Metrics {
			return hostileHistogram(points, func(point pmetric.HistogramDataPoint, i int) {
				point.Attributes().PutStr("tenant", fmt.Sprint(i))
			})
		},
		"interval": func() pmetric.Metrics {
			return hostileHistogram(points, func(point pmetric.HistogramDataPoint, i int) {
				point.SetTimestamp(point.Timestamp() + pcommon.Timestamp(i))
			})
		},
		"one chain": func() pmetric.Metrics {
			return hostileHistogram(points, func(point pmetric.HistogramDataPoint, i int) {
				point.Attributes().PutStr("http.request.method", "GET")
				point.Attributes().PutStr("server.address", fmt.Sprint(i))
			})
		},
		"sets of attributes": func() pmetric.Metrics {
			batch, sum := hostileMetric("x")
			for i := range points {
				point := sum.AppendEmpty()
				point.SetIntValue(1)
				point.SetTimestamp(benchmarkTime)
				shapeOf(point.Attributes(), i)
			}
			return batch
		},
		"metrics": func() pmetric.Metrics {
			batch, _ := hostileMetric("http.server.requests")
			metrics := batch.ResourceMetrics().At(0).ScopeMetrics().At(0)
			for i := range points {
				point := hostileSum(metrics, fmt.Sprint("http.server.", i)).AppendEmpty()
				point.SetIntValue(1)
				point.SetTimestamp(benchmarkTime)
				point.Attributes().PutStr("http.request.method", "GET")
			}
			return batch
		},
	}
	for _, name := range []string{"foreign attribute", "interval", "one chain", "sets of attributes", "metrics"} {
		wire, err := new(pmetric.ProtoMarshaler).MarshalMetrics(shapes[name]())
		require.NoError(b, err)
		unmarshal := func() pmetric.Metrics {
			batch, err := new(pmetric.ProtoUnmarshaler).UnmarshalMetrics(wire)
			require.NoError(b, err)
			return batch
		}
		b.Run(name+"/unmarshal", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				unmarshal()
			}
		})
		b.Run(name+"/correlate", func(b *testing.B) {
			base := benchmarkBase(b)
			spans := benchmarkTracesOf(b, base)
			for instance := range 8 {
				spans.learn(b.Context(), spans.clock.Now(), hostileSpans(instance))
			}
			m := newMetrics(base, consumertest.NewNop())
			fresh := stock(b, unmarshal)
			b.ReportAllocs()
			for b.Loop() {
				m.correlate(b.Context(), m.clock.Now(), fresh())
			}
		})
	}
}

func hostileHistogram(count int, vary func(pmetric.HistogramDataPoint, int)) pmetric.Metrics {
	batch := pmetric.NewMetrics()
	resource := batch.ResourceMetrics().AppendEmpty()
	resource.Resource().Attributes().PutStr("service.name", "hostile")
	metric := resource.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	metric.SetName("http.server.request.duration")
	metric.SetUnit("s")
	points := metric.SetEmptyHistogram().DataPoints()
	for i := range count {
		point := points.AppendEmpty()
		point.SetCount(1)
		point.SetTimestamp(benchmarkTime)
		point.ExplicitBounds().FromRaw([]float64{1e-5, 1e-4, 1e-3})
		point.BucketCounts().FromRaw([]uint64{1, 1, 1, 1})
		vary(point, i)
	}
	return batch
}

// hostileSpans are of one instance, with as many series as are remembered, each with spans of many durations.
func hostileSpans(instance int) ptrace.Traces {
	batch := ptrace.NewTraces()
	resource := batch.ResourceSpans().AppendEmpty()
	resource.Resource().Attributes().PutStr("service.name", "hostile")
	resource.Resource().Attributes().PutStr("service.instance.id", fmt.Sprint(instance))
	spans := resource.ScopeSpans().AppendEmpty().Spans()
	for i := range 512 * 8 {
		span := spans.AppendEmpty()
		span.SetTraceID(benchmarkTrace(instance, i))
		span.SetSpanID(benchmarkSpan(instance, i))
		span.SetName("x")
		span.SetKind(ptrace.SpanKindServer)
		span.SetEndTimestamp(benchmarkTime)
		span.SetStartTimestamp(benchmarkTime - pcommon.Timestamp(1000<<(i/512)))
		span.Attributes().PutStr("http.request.method", "GET")
		span.Attributes().PutStr("http.route", fmt.Sprint("/", i%512))
	}
	return batch
}
