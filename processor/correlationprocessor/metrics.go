package correlationprocessor

import (
	"context"
	"math"
	"sync"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/throughline-otel/throughline/internal/service"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/bucket"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/place"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/series"
)

// fate is what became of a point that can have exemplars.
type fate int

const (
	pointGiven fate = iota
	pointMatched
	pointNoSource
	pointNoSpan
	fateCount
)

// maxShapes bounds the sets of attributes that the points of one metric may have between them. The points of further ones
// get no exemplars.
const maxShapes = 16

type metrics struct {
	*correlation
	next consumer.Metrics
	// contextNumbers are those of the metrics whose values spans get.
	contextNumbers map[string]uint8
	fates          [fateCount][]metric.AddOption
	// scratches are for one batch at a time each.
	scratches sync.Pool
}

type pointScratch struct {
	picker series.Picker
	// named is whether the resource is a service, and pickable is whether spans of the resource's service have been seen.
	named, pickable bool
	// keys are those of all points of a metric, and shapes the places of the points that want exemplars, by the sets of
	// attributes that they have, whatever the values.
	keys   []series.Key
	shapes [maxShapes][]int
	fates  [fateCount]int64
	added  int64
	// here is where the resource is, and there what a point is about.
	here, there place.Places
	located     bool
	services    int64
}

func newMetrics(base *correlation, next consumer.Metrics) *metrics {
	m := &metrics{
		correlation:    base,
		next:           next,
		contextNumbers: map[string]uint8{},
		scratches:      sync.Pool{New: func() any { return new(pointScratch) }},
	}
	for number, name := range base.config.Traces.ContextMetrics {
		m.contextNumbers[name] = uint8(number)
	}
	for f, set := range [fateCount][]attribute.KeyValue{
		pointGiven:    {attribute.String("match", "given")},
		pointMatched:  {attribute.String("match", "matched")},
		pointNoSource: {attribute.String("match", "none"), attribute.String("reason", "service_not_seen")},
		pointNoSpan:   {attribute.String("match", "none"), attribute.String("reason", "no_span_fits")},
	} {
		m.fates[f] = []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(set...))}
	}
	return m
}

func (m *metrics) ConsumeMetrics(ctx context.Context, batch pmetric.Metrics) error {
	m.correlate(ctx, m.clock.Now(), batch)
	return m.next.ConsumeMetrics(ctx, batch)
}

func (m *metrics) correlate(ctx context.Context, now int64, batch pmetric.Metrics) {
	scratch := m.scratches.Get().(*pointScratch)
	defer m.scratches.Put(scratch)
	scratch.picker.Begin(m.series, now, batch.DataPointCount())
	for i := range batch.ResourceMetrics().Len() {
		resource := batch.ResourceMetrics().At(i)
		attributes := resource.Resource().Attributes()
		of := service.Of(attributes)
		scratch.named = of.Name != ""
		scratch.pickable = scratch.named && scratch.picker.Reset(of, text(attributes, attributeInstance))
		scratch.located = false
		scopes := resource.ScopeMetrics()
		for j := range scopes.Len() {
			all := scopes.At(j).Metrics()
			for k := range all.Len() {
				if m.config.Metrics.Exemplars.Enabled {
					m.exemplify(all.At(k), scratch)
				}
				m.locate(now, attributes, all.At(k), scratch)
			}
		}
	}
	if scratch.added > 0 {
		m.telemetry.CorrelationExemplars.Add(ctx, scratch.added)
	}
	for f, count := range scratch.fates {
		if count > 0 {
			m.telemetry.CorrelationPoints.Add(ctx, count, m.fates[f]...)
		}
	}
	if scratch.services > 0 {
		m.telemetry.CorrelationServices.Add(ctx, scratch.services)
	}
	scratch.added, scratch.services, scratch.fates = 0, 0, [fateCount]int64{}
}

// locate tells the points of hosts, containers, databases and the like which services run on them or call them, and
// remembers the values that the spans of these services are to get.
func (m *metrics) locate(now int64, resource pcommon.Map, given pmetric.Metric, scratch *pointScratch) {
	number, wanted := m.contextNumbers[given.Name()]
	about := place.SubjectOf(given.Name())
	// What a service says of itself, it need not be told.
	if !wanted && (!m.config.Metrics.Services || scratch.named && !about.Known()) {
		return
	}
	if !scratch.located {
		m.places.Resource(&scratch.here, resource)
		scratch.located = true
	}
	eachPoint(given, func(attributes pcommon.Map, value float64, at pcommon.Timestamp) {
		if !m.places.Described(&scratch.there, about, resource, &scratch.here, attributes) {
			return
		}
		if wanted {
			m.places.Record(now, &scratch.there, number, m.clock.Of(int64(at)), value)
		}
		if !m.config.Metrics.Services {
			return
		}
		services := m.places.Services(now, &scratch.there)
		if len(services) == 0 {
			return
		}
		if into, exists := attributes.GetOrPutEmpty(attributeServices); !exists {
			list := into.SetEmptySlice()
			list.EnsureCapacity(len(services))
			for _, name := range services {
				list.AppendEmpty().SetStr(name)
			}
			scratch.services++
		}
	})
}

// exemplify adds exemplars to the points of a metric that counts spans.
func (m *metrics) exemplify(given pmetric.Metric, scratch *pointScratch) {
	switch given.Type() {
	case pmetric.MetricTypeHistogram:
		if unit, ok := series.DurationUnit(given.Name(), given.Unit()); ok {
			points := given.Histogram().DataPoints()
			pickEach(m, given.Name(), scratch, points, func(point pmetric.HistogramDataPoint) exemplar {
				return exemplar{
					skip:  point.Count() == 0,
					into:  point.Exemplars(),
					unit:  unit,
					place: bucket.Explicit(point, unit),
				}
			})
		}
	case pmetric.MetricTypeExponentialHistogram:
		if unit, ok := series.DurationUnit(given.Name(), given.Unit()); ok {
			points := given.ExponentialHistogram().DataPoints()
			pickEach(m, given.Name(), scratch, points, func(point pmetric.ExponentialHistogramDataPoint) exemplar {
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
		if given.Sum().IsMonotonic() && series.CountsItems(given.Unit()) {
			points := given.Sum().DataPoints()
			pickEach(m, given.Name(), scratch, points, func(point pmetric.NumberDataPoint) exemplar {
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

// pickEach finds exemplars for those points of a metric that have none.
func pickEach[P point, S points[P]](m *metrics, name string, scratch *pointScratch, all S, describe func(P) exemplar) {
	if !scratch.pickable {
		for i := range all.Len() {
			if all.At(i).Exemplars().Len() > 0 {
				scratch.fates[pointGiven]++
			} else {
				scratch.fates[pointNoSource]++
			}
		}
		return
	}
	var dimensions series.Dimensions
	scratch.clear()
	for i := range all.Len() {
		point := all.At(i)
		scratch.keys = append(scratch.keys, series.Key{})
		key := &scratch.keys[i]
		for attribute, value := range point.Attributes().All() {
			key.Add(m.series.Seed, attribute, value)
		}
		dimensions.Add(key)
		switch {
		case point.Exemplars().Len() > 0:
			scratch.fates[pointGiven]++
		case point.Flags().NoRecordedValue() || point.Timestamp() == 0:
		case !scratch.sort(i) && !describe(point).skip:
			scratch.fates[pointNoSpan]++
		}
	}
	// One preparation serves all points that have the same attributes, and those of a metric mostly do.
	role := series.RoleOf(name)
	for _, alike := range scratch.shapes {
		if len(alike) == 0 {
			return
		}
		scratch.picker.Prepare(role, dimensions, &scratch.keys[alike[0]])
		for _, i := range alike {
			m.pick(scratch, describe(all.At(i)), &series.Point{
				Key: scratch.keys[i], Since: int64(all.At(i).StartTimestamp()), Until: int64(all.At(i).Timestamp()),
			})
		}
	}
}

// clear makes the scratch ready for another metric.
func (s *pointScratch) clear() {
	s.keys = s.keys[:0]
	for i := range s.shapes {
		s.shapes[i] = s.shapes[i][:0]
	}
}

// sort puts a point to those of its shape, and tells whether there was room for it.
func (s *pointScratch) sort(point int) bool {
	for i := range s.shapes {
		if alike := s.shapes[i]; len(alike) == 0 || s.keys[alike[0]].Like(&s.keys[point]) {
			s.shapes[i] = append(alike, point)
			return true
		}
	}
	return false
}

func (m *metrics) pick(scratch *pointScratch, how exemplar, asked *series.Point) {
	if how.skip {
		return
	}
	added := how.add(scratch.picker.Pick(asked, m.config.Metrics.Exemplars.MaxPerPoint, how.place))
	if added == 0 {
		scratch.fates[pointNoSpan]++
		return
	}
	scratch.fates[pointMatched]++
	scratch.added += added
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

// eachPoint visits the points of a metric. What is no single number is NaN.
func eachPoint(metric pmetric.Metric, visit func(attributes pcommon.Map, value float64, at pcommon.Timestamp)) {
	switch metric.Type() {
	case pmetric.MetricTypeGauge:
		eachNumber(metric.Gauge().DataPoints(), visit)
	case pmetric.MetricTypeSum:
		eachNumber(metric.Sum().DataPoints(), visit)
	case pmetric.MetricTypeHistogram:
		for _, point := range metric.Histogram().DataPoints().All() {
			visit(point.Attributes(), math.NaN(), point.Timestamp())
		}
	case pmetric.MetricTypeExponentialHistogram:
		for _, point := range metric.ExponentialHistogram().DataPoints().All() {
			visit(point.Attributes(), math.NaN(), point.Timestamp())
		}
	case pmetric.MetricTypeSummary:
		for _, point := range metric.Summary().DataPoints().All() {
			visit(point.Attributes(), math.NaN(), point.Timestamp())
		}
	}
}

func eachNumber(points pmetric.NumberDataPointSlice, visit func(attributes pcommon.Map, value float64, at pcommon.Timestamp)) {
	for _, point := range points.All() {
		value := math.NaN()
		if !point.Flags().NoRecordedValue() {
			switch point.ValueType() {
			case pmetric.NumberDataPointValueTypeInt:
				value = float64(point.IntValue())
			case pmetric.NumberDataPointValueTypeDouble:
				value = point.DoubleValue()
			}
		}
		visit(point.Attributes(), value, point.Timestamp())
	}
}
