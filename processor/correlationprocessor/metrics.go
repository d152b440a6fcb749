package correlationprocessor

import (
	"context"
	"sync"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/throughline-otel/throughline/internal/service"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/bucket"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/series"
)

type metrics struct {
	*correlation
	next consumer.Metrics
	// scratches are for one batch at a time each.
	scratches sync.Pool
}

type pointScratch struct {
	picker series.Picker
	keys   []series.Key
	added  int64
}

func newMetrics(base *correlation, next consumer.Metrics) *metrics {
	return &metrics{
		correlation: base,
		next:        next,
		scratches:   sync.Pool{New: func() any { return new(pointScratch) }},
	}
}

func (m *metrics) ConsumeMetrics(ctx context.Context, batch pmetric.Metrics) error {
	if m.config.Metrics.Exemplars.Enabled {
		m.correlate(ctx, now(), batch)
	}
	return m.next.ConsumeMetrics(ctx, batch)
}

func (m *metrics) correlate(ctx context.Context, now int64, batch pmetric.Metrics) {
	scratch := m.scratches.Get().(*pointScratch)
	defer m.scratches.Put(scratch)
	for i := range batch.ResourceMetrics().Len() {
		resource := batch.ResourceMetrics().At(i)
		attributes := resource.Resource().Attributes()
		of := service.Of(attributes)
		if of.Name == "" || !scratch.picker.Reset(m.series, now, of, text(attributes, attributeInstance)) {
			continue
		}
		scopes := resource.ScopeMetrics()
		for j := range scopes.Len() {
			all := scopes.At(j).Metrics()
			for k := range all.Len() {
				m.metric(all.At(k), scratch)
			}
		}
	}
	if scratch.added > 0 {
		m.telemetry.CorrelationExemplars.Add(ctx, scratch.added)
		scratch.added = 0
	}
}

func (m *metrics) metric(metric pmetric.Metric, scratch *pointScratch) {
	switch metric.Type() {
	case pmetric.MetricTypeHistogram:
		if unit, ok := series.DurationUnit(metric.Name(), metric.Unit()); ok {
			points := metric.Histogram().DataPoints()
			exemplify(m, metric.Name(), scratch, points, func(point pmetric.HistogramDataPoint) exemplar {
				return exemplar{
					skip:  point.Count() == 0,
					into:  point.Exemplars(),
					unit:  unit,
					place: bucket.Explicit(point, unit),
				}
			})
		}
	case pmetric.MetricTypeExponentialHistogram:
		if unit, ok := series.DurationUnit(metric.Name(), metric.Unit()); ok {
			points := metric.ExponentialHistogram().DataPoints()
			exemplify(m, metric.Name(), scratch, points, func(point pmetric.ExponentialHistogramDataPoint) exemplar {
				return exemplar{
					skip:  point.Count() == 0,
					into:  point.Exemplars(),
					unit:  unit,
					place: bucket.Exponential(point, unit),
				}
			})
		}
	case pmetric.MetricTypeSum:
		// What goes up and down is about what goes on, and a span that is known is over.
		if metric.Sum().IsMonotonic() && series.CountsItems(metric.Unit()) {
			points := metric.Sum().DataPoints()
			exemplify(m, metric.Name(), scratch, points, func(point pmetric.NumberDataPoint) exemplar {
				return exemplar{
					skip:  point.IntValue() == 0 && point.DoubleValue() == 0,
					into:  point.Exemplars(),
					whole: point.ValueType() == pmetric.NumberDataPointValueTypeInt,
				}
			})
		}
	}
}

type point interface {
	Attributes() pcommon.Map
	Exemplars() pmetric.ExemplarSlice
	Flags() pmetric.DataPointFlags
	StartTimestamp() pcommon.Timestamp
	Timestamp() pcommon.Timestamp
}

type points[P point] interface {
	Len() int
	At(int) P
}

// exemplar says how to make exemplars for a point.
type exemplar struct {
	// skip is for points that have counted nothing.
	skip bool
	into pmetric.ExemplarSlice
	// unit is of how many nanoseconds the values are. Zero is for counts, whose exemplars have the value one.
	unit  float64
	whole bool
	place func(duration int64) int
}

func exemplify[P point, S points[P]](m *metrics, name string, scratch *pointScratch, all S, describe func(P) exemplar) {
	var dimensions series.Dimensions
	scratch.keys = scratch.keys[:0]
	wanting := false
	for i := range all.Len() {
		scratch.keys = append(scratch.keys, series.Key{})
		key := &scratch.keys[i]
		for attribute, value := range all.At(i).Attributes().All() {
			key.Add(m.series.Seed, attribute, value)
		}
		dimensions.Add(key)
		wanting = wanting || all.At(i).Exemplars().Len() == 0
	}
	if !wanting {
		return
	}
	asked := series.Point{Role: series.RoleOf(name)}
	for i := range all.Len() {
		point := all.At(i)
		if point.Exemplars().Len() > 0 || point.Flags().NoRecordedValue() || point.Timestamp() == 0 {
			continue
		}
		how := describe(point)
		if how.skip {
			continue
		}
		asked.Key = scratch.keys[i]
		asked.Since, asked.Until = int64(point.StartTimestamp()), int64(point.Timestamp())
		scratch.added += how.add(scratch.picker.Pick(&asked, dimensions, m.config.Metrics.Exemplars.MaxPerPoint, how.place))
	}
}

func (e *exemplar) add(picked []series.Candidate) int64 {
	if len(picked) == 0 {
		return 0
	}
	e.into.EnsureCapacity(len(picked))
	for i := range picked {
		added := e.into.AppendEmpty()
		added.SetTimestamp(pcommon.Timestamp(picked[i].End))
		added.SetTraceID(picked[i].Trace)
		added.SetSpanID(picked[i].Span)
		switch {
		case e.unit > 0:
			added.SetDoubleValue(float64(picked[i].Duration()) / e.unit)
		case e.whole:
			added.SetIntValue(1)
		default:
			added.SetDoubleValue(1)
		}
	}
	return int64(len(picked))
}
