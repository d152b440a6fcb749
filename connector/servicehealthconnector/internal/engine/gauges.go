package engine

import (
	"math"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/gauge"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/series"
	"github.com/throughline-otel/throughline/internal/service"
)

// attributeServices is what the correlation processor puts on points: the names of the services that run where they were measured.
const attributeServices = "throughline.services"

// gaugeReader reads the points of one metric for the diagnosis.
type gaugeReader struct {
	engine *Engine
	metric pmetric.Metric
	id     series.Identity
	shared bool
	// cumulative says that it only grows, delta that each of its points counts anew.
	cumulative, delta bool
	// identity is the service of the resource.
	identity service.Identity
	now      int64
}

// gauges takes in what the points of a resource say of where services run. identity is the resource's own.
func (e *Engine) gauges(identity service.Identity, rm pmetric.ResourceMetrics, now int64) {
	var resource series.Identity
	for _, sm := range rm.ScopeMetrics().All() {
		var scope series.Identity
		for _, m := range sm.Metrics().All() {
			shared, ok := gauge.Of(m.Name())
			if !ok {
				continue
			}
			if resource == (series.Identity{}) {
				resource = e.hasher.Resource(rm.Resource())
			}
			if scope == (series.Identity{}) {
				scope = e.hasher.Scope(resource, sm.Scope())
			}
			r := gaugeReader{engine: e, metric: m, shared: shared, identity: identity, now: now, id: e.hasher.Metric(scope, m)}
			r.read()
		}
	}
}

func (r *gaugeReader) read() {
	var points pmetric.NumberDataPointSlice
	switch r.metric.Type() {
	case pmetric.MetricTypeGauge:
		points = r.metric.Gauge().DataPoints()
	case pmetric.MetricTypeSum:
		sum := r.metric.Sum()
		r.delta = sum.AggregationTemporality() == pmetric.AggregationTemporalityDelta
		r.cumulative = sum.IsMonotonic() && !r.delta
		points = sum.DataPoints()
	default:
		return
	}
	d := r.engine.diagnoser
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range points.All() {
		r.point(d, p)
	}
}

// point compares one point with those before it. d is locked.
func (r *gaugeReader) point(d *diagnoser, p pmetric.NumberDataPoint) {
	if p.Flags().NoRecordedValue() || r.engine.wrongTime(p.Timestamp(), r.now) != "" {
		return
	}
	point := gauge.Point{
		At: int64(p.Timestamp()), Value: p.DoubleValue(), Cumulative: r.cumulative, Start: int64(min(p.StartTimestamp(), math.MaxInt64)),
	}
	if p.ValueType() == pmetric.NumberDataPointValueTypeInt {
		point.Value = float64(p.IntValue())
	}
	if r.delta {
		if point.Start == 0 || point.Start >= point.At {
			return
		}
		point.Value /= float64(point.At-point.Start) / 1e9
	}
	id := r.engine.hasher.Series(r.id, p.Attributes())
	if !d.gauges.Knows(id) {
		d.runs = r.runs(p.Attributes(), d.runs[:0])
		d.gauges.Describe(id, gauge.About{
			Name: r.metric.Name(), Services: d.runs, Shared: r.shared, Falls: gauge.Falls(r.metric.Name(), p.Attributes()), Rate: r.cumulative || r.delta,
		}, r.now)
	}
	d.gauges.Observe(id, point, r.now)
}

// runs appends the services that run where a point was measured: those that it names, or else that of its resource. Only those that
// have sent spans or records count: a point makes no service known.
func (r *gaugeReader) runs(attributes pcommon.Map, services []uint32) []uint32 {
	named, ok := attributes.Get(attributeServices)
	if !ok || named.Type() != pcommon.ValueTypeSlice {
		return r.engine.names.ServicesOf(r.identity, services)
	}
	for _, name := range named.Slice().All() {
		if service, ok := r.engine.names.ServiceNamed(name.AsString(), names.None); ok && len(services) < gauge.MaxServices {
			services = append(services, service)
		}
	}
	return services
}
