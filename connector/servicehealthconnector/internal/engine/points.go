package engine

import (
	"context"
	"math"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottldatapoint"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottllog"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/blame"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/marks"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/series"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/sli"
	"github.com/throughline-otel/throughline/internal/service"
)

const (
	// ahead is by how much, in nanoseconds, a point or record may be later than the present: clocks of hosts differ.
	ahead = int64(time.Minute)
	// mostEvents bounds what one point counts: what is more is no count of events.
	mostEvents = 1 << 32
	// maxHeld bounds the events of one batch that are held until they are counted, all of them at once.
	maxHeld = 1 << 12
)

// Why an event is not judged, over and above what indicators say.
const (
	tooManySets sli.NotJudged = "too_many_sets"
	noTime      sli.NotJudged = "no_time"
	fromFuture  sli.NotJudged = "from_future"
	outOfRange  sli.NotJudged = "out_of_range"
)

// Metrics takes in data points. now is as in Traces.
func (e *Engine) Metrics(ctx context.Context, md pmetric.Metrics, now int64) {
	if now = e.at(ctx, func(into []int64) []int64 { return pointTimes(md, into) }, now); now == 0 {
		return
	}
	e.intake.RLock()
	defer e.intake.RUnlock()
	e.series.Begin(now)
	e.gather(md, now)
	b := e.batch()
	defer e.giveBack(b)
	for _, rm := range md.ResourceMetrics().All() {
		identity := service.Of(rm.Resource().Attributes())
		e.gauges(identity, rm, now)
		asking := e.binder.Points(identity)
		if len(asking) == 0 {
			continue
		}
		resource := e.hasher.Resource(rm.Resource())
		for _, sm := range rm.ScopeMetrics().All() {
			scope := e.hasher.Scope(resource, sm.Scope())
			for _, m := range sm.Metrics().All() {
				if b.ask(asking, rm, sm, m); len(b.points) > 0 {
					r := metricReader{engine: e, batch: b, now: now, rm: rm, sm: sm, metric: m, id: e.hasher.Metric(scope, m)}
					r.read(ctx)
				}
			}
		}
	}
	e.countHeld(b)
}

// ask leaves in b.points the indicators that have to be asked about a metric.
func (b *batch) ask(all []*sli.Point, rm pmetric.ResourceMetrics, sm pmetric.ScopeMetrics, m pmetric.Metric) {
	b.points = b.points[:0]
	tctx := ottldatapoint.NewTransformContextPtr(rm, sm, m, nil)
	defer tctx.Close()
	for _, p := range all {
		if p.MayAsk(tctx) {
			b.points = append(b.points, p)
		}
	}
}

// metricReader reads the points of one metric.
type metricReader struct {
	engine *Engine
	batch  *batch
	now    int64
	rm     pmetric.ResourceMetrics
	sm     pmetric.ScopeMetrics
	metric pmetric.Metric
	id     series.Identity
}

func (r *metricReader) read(ctx context.Context) {
	switch m := r.metric; m.Type() {
	case pmetric.MetricTypeGauge:
		readAll(ctx, r, m.Gauge().DataPoints())
	case pmetric.MetricTypeSum:
		readAll(ctx, r, m.Sum().DataPoints())
	case pmetric.MetricTypeHistogram:
		readAll(ctx, r, m.Histogram().DataPoints())
	case pmetric.MetricTypeExponentialHistogram:
		readAll(ctx, r, m.ExponentialHistogram().DataPoints())
	case pmetric.MetricTypeSummary:
		readAll(ctx, r, m.Summary().DataPoints())
	default:
		// It has no points.
	}
}

func readAll[P interface{ Attributes() pcommon.Map }](ctx context.Context, r *metricReader, points dataPoints[P]) {
	for i := range points.Len() {
		point := points.At(i)
		r.point(ctx, point, point.Attributes())
	}
}

// point asks the objectives about one point.
func (r *metricReader) point(ctx context.Context, point any, attributes pcommon.Map) {
	tctx := ottldatapoint.NewTransformContextPtr(r.rm, r.sm, r.metric, point)
	defer tctx.Close()
	id := r.engine.hasher.Series(r.id, attributes)
	for _, p := range r.batch.points {
		m, relevant, err := p.Judge(ctx, tctx)
		if err != nil {
			r.engine.notJudged.add(sli.ReasonOf(err), 1)
		}
		if !relevant {
			continue
		}
		increase, reason := r.increase(series.Key{Identity: id, Objective: p.Objective()}, &m)
		switch {
		case m.Void:
		case reason != "":
			r.engine.notJudged.add(reason, 1)
		default:
			good, bad := m.Split(increase)
			e := event{mark: marks.Mark{Objective: p.Objective(), Group: p.Group(tctx)}, at: int64(m.At)}
			if bad > 0 {
				e.id = p.Example(tctx, &m)
			}
			r.engine.split(r.batch, e, good, bad)
		}
	}
}

// increase is what a point counts that was not counted before.
func (r *metricReader) increase(key series.Key, m *sli.Measure) (series.Increase, sli.NotJudged) {
	if reason := r.engine.wrongTime(m.At, r.now); reason != "" {
		return series.Increase{}, reason
	}
	increase := m.Increase()
	if m.Cumulative {
		start := int64(min(m.Start, math.MaxInt64))
		point := series.Point{Start: start, At: int64(m.At), Total: m.Total, Good: m.Good, Cut: m.Cut}
		var outcome series.Outcome
		if increase, outcome = r.engine.series.Add(key, point, r.now); outcome != series.Counted {
			m.Void = m.Void || outcome == series.Past
			return series.Increase{}, sli.NotJudged(outcome)
		}
	}
	if increase.Total > mostEvents {
		return series.Increase{}, outOfRange
	}
	return increase, ""
}

func (*Engine) wrongTime(at pcommon.Timestamp, now int64) sli.NotJudged {
	switch {
	case at == 0:
		return noTime
	case at > math.MaxInt64 || int64(at) > now+ahead:
		return fromFuture
	default:
		return ""
	}
}

// split adds the events that an item stands for to those of its batch. Nobody knows in whom the bad ones began.
func (e *Engine) split(b *batch, ev event, good, bad float64) {
	if good > 0 {
		ev.mark.Good, ev.count = true, good
		b.events = append(b.events, ev)
	}
	if bad > 0 {
		ev.mark.Good, ev.count = false, bad
		if e.objectives.isLatency(ev.mark.Objective) {
			ev.verdict.Reason = blame.Latency
		}
		b.events = append(b.events, ev)
	}
	if len(b.events) >= maxHeld {
		e.countHeld(b)
	}
}

// countHeld counts what the objectives found in a batch up to now.
func (e *Engine) countHeld(b *batch) {
	e.count(b.events, nil)
	b.events = b.events[:0]
}

// records asks the objectives about the log records of a service.
func (e *Engine) records(ctx context.Context, b *batch, asking []*sli.Record, rl plog.ResourceLogs, now int64) {
	for _, sl := range rl.ScopeLogs().All() {
		for _, record := range sl.LogRecords().All() {
			e.record(ctx, b, asking, ottllog.NewTransformContextPtr(rl, sl, record), now)
		}
	}
}

func (e *Engine) record(ctx context.Context, b *batch, asking []*sli.Record, tctx *ottllog.TransformContext, now int64) {
	defer tctx.Close()
	record := tctx.GetLogRecord()
	at := timeOf(record)
	for _, r := range asking {
		relevant, good, err := r.Judge(ctx, tctx)
		if err != nil {
			e.notJudged.add(sli.ReasonOf(err), 1)
			continue
		}
		if !relevant {
			continue
		}
		if reason := e.wrongTime(at, now); reason != "" {
			e.notJudged.add(reason, 1)
			continue
		}
		mark := marks.Mark{Objective: r.Objective(), Group: r.Group(tctx)}
		e.split(b, event{mark: mark, at: int64(at), id: record.TraceID()}, good, 1-good)
	}
}
