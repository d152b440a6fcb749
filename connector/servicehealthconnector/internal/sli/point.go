package sli

import (
	"context"
	"math"
	"sync/atomic"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottldatapoint"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.uber.org/zap"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/openslo"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/series"
)

// Why a data point is not judged.
var (
	// ErrNoRecordedValue says that the sender had none.
	ErrNoRecordedValue error = NotJudged("no_recorded_value")
	// ErrNotMonotonic says that a sum goes up and down, so that its changes count nothing.
	ErrNotMonotonic error = NotJudged("not_monotonic")
	// ErrNoLevel says that a count of events has no value that a threshold could be for.
	ErrNoLevel error = NotJudged("no_level")
	// ErrNoBuckets says that a histogram does not say how large its values are.
	ErrNoBuckets error = NotJudged("no_buckets")
	// ErrMalformed says that a point contradicts itself.
	ErrMalformed error = NotJudged("malformed")
	// ErrSummary says that a summary counts nothing that can be told apart.
	ErrSummary error = NotJudged("summary")
)

// Measure is what an indicator finds at one data point.
type Measure struct {
	// Start and At are the point's times in nanoseconds since the epoch, as the sender has them.
	Start, At pcommon.Timestamp
	// Total is a number of events: all since the start of the series if Cumulative, else those of this point.
	Total      series.Amount
	Cumulative bool
	// Good is how many of them are good if IsSplit; if not, Share is the good part of them, from 0 to 1.
	Good    series.Amount
	IsSplit bool
	Share   float64
	// Cut is the value by which a histogram tells good from bad.
	Cut float64
	// Void says that nothing of it may count, but that its series goes on.
	Void bool
}

// Increase is what the point counts by itself, if it is not cumulative.
func (m *Measure) Increase() series.Increase {
	return series.Increase{Total: m.Total.Float(), Good: m.Good.Float()}
}

// Split says how many events of an increase are good and bad.
func (m *Measure) Split(i series.Increase) (good, bad float64) {
	if !m.IsSplit {
		i.Good = m.Share * i.Total
	}
	return i.Good, i.Total - i.Good
}

// Point is an objective's indicator that looks at data points. It is safe for concurrent use.
//
// What an event is depends on what the objective asks. With good or bad, it is what a counter or a histogram has counted, or a
// point of a gauge. With a threshold, it is an observation of a histogram, or else a point that has a level: of a gauge, or of a
// sum that goes up and down. With an expression for the value, or a ratio that was computed elsewhere, each point is one event.
type Point struct {
	indicator[*ottldatapoint.TransformContext]
	name   string
	logger *zap.Logger
	// isTold says that the threshold was found between two buckets, which is logged once.
	isTold atomic.Bool
}

// MayAsk says whether any point of a metric may be an event of the objective. tctx has the metric and no point.
func (p *Point) MayAsk(tctx *ottldatapoint.TransformContext) bool {
	return p.total == nil || p.total.plain == nil || possible(p.total.plain, pointItem{tctx}, metricName, resourceAttribute)
}

// Judge says whether the point of tctx is an event of the objective, and what it counts. After an error, that is void.
func (p *Point) Judge(ctx context.Context, tctx *ottldatapoint.TransformContext) (m Measure, relevant bool, err error) {
	it := pointItem{tctx}
	class, err := p.classify(ctx, tctx, it)
	if class == foreign {
		return Measure{}, false, err
	}
	m.Void = class == excluded || err != nil
	measureErr := p.measure(tctx, &m)
	if measureErr != nil {
		m = Measure{Void: true}
	}
	switch {
	case err != nil:
		return m, true, err
	case measureErr != nil && class == event:
		return m, true, measureErr
	case m.Void || m.IsSplit:
		return m, true, nil
	}
	m.Share, err = p.share(ctx, tctx, it)
	m.Void = err != nil
	return m, true, err
}

// Group is as that of a [Span].
func (p *Point) Group(tctx *ottldatapoint.TransformContext) uint32 { return p.group(pointItem{tctx}) }

// Example is a trace of one of the bad events that m has found, if the point names any.
func (p *Point) Example(tctx *ottldatapoint.TransformContext, m *Measure) pcommon.TraceID {
	stamped, ok := tctx.GetDataPoint().(interface{ Exemplars() pmetric.ExemplarSlice })
	if !ok || !m.IsSplit && m.Share > 0 {
		return pcommon.TraceID{}
	}
	for _, e := range stamped.Exemplars().All() {
		value := e.DoubleValue()
		if e.ValueType() == pmetric.ExemplarValueTypeInt {
			value = float64(e.IntValue())
		}
		if !e.TraceID().IsEmpty() && !(m.IsSplit && p.compare(value)) {
			return e.TraceID()
		}
	}
	return pcommon.TraceID{}
}

// isEach says that each point is one event, whatever it counts.
func (p *Point) isEach() bool { return p.raw != nil || p.value != nil }

// isThreshold says that the values themselves are compared.
func (p *Point) isThreshold() bool { return p.good == nil && p.bad == nil && !p.isEach() }

var one = series.Amount{Whole: 1}

// measure reads the point. It leaves Share to be asked for, unless the point's own value says it.
func (p *Point) measure(tctx *ottldatapoint.TransformContext, m *Measure) error {
	stamped, ok := tctx.GetDataPoint().(interface {
		StartTimestamp() pcommon.Timestamp
		Timestamp() pcommon.Timestamp
		Flags() pmetric.DataPointFlags
	})
	if !ok {
		return ErrMalformed
	}
	m.Start, m.At = stamped.StartTimestamp(), stamped.Timestamp()
	if stamped.Flags().NoRecordedValue() {
		return ErrNoRecordedValue
	}
	metric := tctx.GetMetric()
	switch point := tctx.GetDataPoint().(type) {
	case pmetric.NumberDataPoint:
		return p.number(metric, point, m)
	case pmetric.HistogramDataPoint:
		if isEach, err := p.count(metric.Histogram().AggregationTemporality(), point.Count(), m); isEach || err != nil {
			return err
		}
		h, err := halveExplicit(point, p.threshold, p.isUpper())
		return p.observe(h, err, m)
	case pmetric.ExponentialHistogramDataPoint:
		if isEach, err := p.count(metric.ExponentialHistogram().AggregationTemporality(), point.Count(), m); isEach || err != nil {
			return err
		}
		h, err := halveExponential(point, p.threshold, p.isUpper())
		return p.observe(h, err, m)
	default:
		m.Total = one
		if !p.isEach() {
			return ErrSummary
		}
		return nil
	}
}

func (p *Point) number(metric pmetric.Metric, point pmetric.NumberDataPoint, m *Measure) error {
	var value series.Amount
	switch point.ValueType() {
	case pmetric.NumberDataPointValueTypeInt:
		value.Whole = point.IntValue()
	case pmetric.NumberDataPointValueTypeDouble:
		var err error
		if value.Broken, err = checked(point.DoubleValue()); err != nil {
			return err
		}
	default:
		return ErrNoNumber
	}
	m.Total = one
	isSum := metric.Type() == pmetric.MetricTypeSum
	temporality := pmetric.AggregationTemporalityCumulative
	if isSum {
		temporality = metric.Sum().AggregationTemporality()
	}
	switch {
	case p.isEach():
		return nil
	case p.isThreshold() && isSum && (metric.Sum().IsMonotonic() || temporality != pmetric.AggregationTemporalityCumulative):
		return ErrNoLevel
	case p.isThreshold():
		m.IsSplit = true
		if p.compare(value.Float()) {
			m.Good = one
		}
		return nil
	case !isSum:
		return nil
	case !metric.Sum().IsMonotonic():
		return ErrNotMonotonic
	case value.Whole < 0 || value.Broken < 0:
		return ErrMalformed
	}
	m.Total = value
	return m.accumulate(temporality)
}

// count takes a histogram's count. It is true if that is all there is to it, and its buckets do not matter.
func (p *Point) count(temporality pmetric.AggregationTemporality, count uint64, m *Measure) (bool, error) {
	if p.isEach() {
		m.Total = one
		return true, nil
	}
	if count > math.MaxInt64 {
		return false, ErrMalformed
	}
	m.Total.Whole = int64(count)
	return !p.isThreshold(), m.accumulate(temporality)
}

func (p *Point) observe(h halves, err error, m *Measure) error {
	if err != nil {
		return err
	}
	if !h.isEdge() {
		p.tell(h)
	}
	m.IsSplit, m.Good.Whole, m.Cut = true, int64(h.good), h.cut // good is no more than the count
	return nil
}

func (m *Measure) accumulate(temporality pmetric.AggregationTemporality) error {
	m.Cumulative = temporality == pmetric.AggregationTemporalityCumulative
	if !m.Cumulative && temporality != pmetric.AggregationTemporalityDelta {
		return ErrMalformed
	}
	return nil
}

// isUpper says that values up to the threshold are good, not those from it on.
func (p *Point) isUpper() bool { return p.op == openslo.LessThan || p.op == openslo.LessOrEqual }

// tell says once what becomes of a bucket that has both good and bad values.
func (p *Point) tell(h halves) {
	if p.isTold.CompareAndSwap(false, true) {
		p.logger.Warn("the threshold lies within a bucket of the histogram, all of whose values count as bad",
			zap.String("objective", p.name), zap.Float64("threshold", p.threshold),
			zap.Float64("lower_edge", h.lower), zap.Float64("upper_edge", h.upper))
	}
}
