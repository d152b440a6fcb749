package report

import (
	"math"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/blame"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/dependency"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/dimension"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/health"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/internal/layer"
)

// Declaration is a metric as metadata.yaml declares it.
type Declaration struct{ Name, Unit, Description string }

// The names of the sums from which the burn of an objective and its suspects can be told.
const (
	EventsName = "slo.events"
	BlamedName = "slo.bad_events.blamed"
)

var (
	dependencyCalls     = Declaration{"dependency.calls", "{call}", "Calls from one service to another, or to a peer that sends no telemetry. A sampled span counts as often as it says."}
	dependencyDuration  = Declaration{"dependency.duration", "s", "How long the calls took, as an exponential histogram with exemplars, or an explicit one if so configured."}
	dependencyHealth    = Declaration{"dependency.health", "", "1 for the state that a dependency, or without a caller a service, is in, and 0 for the others."}
	dependencyConfident = Declaration{"dependency.confidence", "", "How sure it is that calls went where they are counted: 1 for those that both sides told of, less for those to a peer that is known by its address, 0 for those to a service whose span is missing."}
	sloEvents           = Declaration{EventsName, "{event}", "The good and bad events of an objective."}
	sloBlamed           = Declaration{BlamedName, "{event}", "The bad events of an objective by the culprit in which they began."}
	sloObjective        = Declaration{"slo.objective", "", "The share of events that should be good."}
	sloBurnRate         = Declaration{"slo.burn_rate", "", "The share of bad events over a window, divided by the share that the objective allows. Absent while the window has no data."}
	sloRemaining        = Declaration{"slo.error_budget.remaining", "", "The share of the error budget that is left in the objective's window. Negative when overspent."}
	sloExhaustion       = Declaration{"slo.error_budget.exhaustion", "s", "The time until the error budget is gone at the present burn rate. Absent where it will not be."}
	sloCoverage         = Declaration{"slo.coverage", "", "The share of the objective's window that was measured at all."}
	sloFiring           = Declaration{"slo.alert.firing", "", "1 while a burn of this severity goes on, 0 otherwise."}
)

var declarations = slices.Concat([]Declaration{
	dependencyCalls, dependencyDuration, dependencyHealth, dependencyConfident, sloEvents, sloBlamed, sloObjective, sloBurnRate, sloRemaining, sloExhaustion,
	sloCoverage, sloFiring, graphTotal, graphFailed, graphServer, graphClient,
}, slothDeclarations())

// Declarations are all metrics that are emitted.
func Declarations() []Declaration { return slices.Clone(declarations) }

// Emits says whether there is a metric of that name.
func Emits(name string) bool {
	return slices.ContainsFunc(declarations, func(k Declaration) bool { return k.Name == name })
}

// Remove takes the named metrics out.
func Remove(md pmetric.Metrics, disabled []string) {
	if len(disabled) == 0 {
		return
	}
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			sm.Metrics().RemoveIf(func(m pmetric.Metric) bool { return slices.Contains(disabled, m.Name()) })
		}
	}
}

// Relation is how the culprit stands to the objective's service.
type Relation string

// The relations.
const (
	Own        Relation = "own"
	Dependency Relation = "dependency"
	Platform   Relation = "platform"
	Unknown    Relation = "unknown"
)

// ParseRelation returns the relation of a name.
func ParseRelation(name string) (Relation, bool) {
	for _, r := range [...]Relation{Own, Dependency, Platform, Unknown} {
		if string(r) == name {
			return r, true
		}
	}
	return "", false
}

// Blamed is how many bad events of an objective began with a culprit.
type Blamed struct {
	Culprit  string
	Layer    layer.Layer
	Relation Relation
	Reason   blame.Reason
	Events   float64
}

// Reading is where an objective stands.
type Reading struct {
	Objective
	// Good, Bad and what was blamed count since Since, in nanoseconds since the epoch; 0 if that is since the start.
	Since      int64
	Good, Bad  uint64
	Target     float64
	Windows    []Rate
	Remaining  float64
	Exhaustion float64 // seconds; +Inf where the budget will not be gone
	Coverage   float64
	// Known says that there is any data in the objective's window.
	Known  bool
	Alerts []Alert
	Blamed []Blamed
}

// Rate is the burn rate over a window.
type Rate struct {
	Window time.Duration
	Burn   float64
	Known  bool
}

// Alert says whether a severity is firing.
type Alert struct {
	Severity string
	Firing   bool
}

// Metrics collects data points, all of the same start and time.
type Metrics struct {
	metrics    pmetric.Metrics
	slice      pmetric.MetricSlice
	start, now pcommon.Timestamp
	sums       map[string]pmetric.NumberDataPointSlice
	gauges     map[string]pmetric.NumberDataPointSlice
	histograms map[string]pmetric.HistogramDataPointSlice
	durations  pmetric.ExponentialHistogramDataPointSlice
	hasAny     bool
	delta      bool
}

// NewMetrics returns an empty collection. delta is the temporality of dependencies.
func NewMetrics(scope, version string, start, now time.Time, delta bool) *Metrics {
	m := pmetric.NewMetrics()
	sm := m.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty()
	sm.Scope().SetName(scope)
	sm.Scope().SetVersion(version)
	return &Metrics{
		metrics: m, slice: sm.Metrics(),
		start: pcommon.NewTimestampFromTime(start), now: pcommon.NewTimestampFromTime(now),
		delta: delta,
		sums:  map[string]pmetric.NumberDataPointSlice{}, gauges: map[string]pmetric.NumberDataPointSlice{},
		histograms: map[string]pmetric.HistogramDataPointSlice{},
	}
}

// Metrics returns what was collected.
func (m *Metrics) Metrics() pmetric.Metrics { return m.metrics }

// Len is the number of data points collected.
func (m *Metrics) Len() int { return m.metrics.DataPointCount() }

// Dependency adds one series of calls. dimensions has the attributes by which its edge is divided.
func (m *Metrics) Dependency(key dependency.Key, s *dependency.Series, table *names.Table, dimensions *dimension.Table) {
	put := func(a pcommon.Map) {
		putEdge(a, key.Edge, table)
		dimensions.Each(key.Sets.Caller, func(name, value string) { a.PutStr(callerPrefix+name, value) })
		dimensions.Each(key.Sets.Callee, func(name, value string) { a.PutStr(calleePrefix+name, value) })
		if key.Failed {
			a.PutStr("outcome", "failure")
			putUnlessEmpty(a, "error.type", table.TextOf(key.ErrorType))
		} else {
			a.PutStr("outcome", "success")
		}
	}
	calls := m.sum(dependencyCalls)
	calls.SetStartTimestamp(pcommon.Timestamp(s.Start))
	calls.SetIntValue(s.Whole())
	put(calls.Attributes())
	for _, side := range []struct {
		name string
		*dependency.Side
	}{{"caller", &s.Caller}, {"callee", &s.Callee}} {
		if !side.Observed() {
			continue
		}
		var a pcommon.Map
		if side.Explicit != nil {
			a = m.explicit(side.Side, s.Start)
		} else {
			a = m.duration(side.Side, s.Start)
		}
		put(a)
		a.PutStr("side", side.name)
	}
}

// Origin says whether a callee is in trouble by itself.
type Origin string

// The origins. A dependency that is well has none.
const (
	Self       Origin = "self"
	Propagated Origin = "propagated"
)

// Health adds whether a dependency is under a condition.
func (m *Metrics) Health(edge dependency.Edge, state health.State, reason health.Reason, origin Origin, is bool, table *names.Table) {
	p := m.point(dependencyHealth)
	p.SetIntValue(0)
	if is {
		p.SetIntValue(1)
	}
	a := p.Attributes()
	putEdge(a, edge, table)
	a.PutStr("state", state.String())
	putUnlessEmpty(a, "reason", reason.String())
	putUnlessEmpty(a, "origin", string(origin))
}

// Confidence adds how sure an edge is.
func (m *Metrics) Confidence(edge dependency.Edge, confidence float64, table *names.Table) {
	p := m.point(dependencyConfident)
	p.SetDoubleValue(confidence)
	putEdge(p.Attributes(), edge, table)
	p.Attributes().PutStr("callee.source", table.SourceOf(edge.Callee).String())
}

// Objective adds where an objective stands.
func (m *Metrics) Objective(r Reading) {
	m.Events(r.Objective, true, Sum{Since: r.Since, At: m.now, Events: r.Good})
	m.Events(r.Objective, false, Sum{Since: r.Since, At: m.now, Events: r.Bad})
	for _, b := range r.Blamed {
		m.BlamedEvents(r.Objective, b, Sum{Since: r.Since, At: m.now, Events: uint64(math.Round(b.Events))})
	}
	m.Target(r.Objective, r.Target)
	for _, w := range r.Windows {
		if w.Known {
			p := m.gauge(sloBurnRate, r.Objective)
			p.SetDoubleValue(w.Burn)
			p.Attributes().PutStr("window", Window(w.Window))
		}
	}
	if r.Known {
		m.gauge(sloRemaining, r.Objective).SetDoubleValue(r.Remaining)
		if !math.IsInf(r.Exhaustion, 0) {
			m.gauge(sloExhaustion, r.Objective).SetDoubleValue(r.Exhaustion)
		}
	}
	m.gauge(sloCoverage, r.Objective).SetDoubleValue(r.Coverage)
	for _, alert := range r.Alerts {
		p := m.gauge(sloFiring, r.Objective)
		if alert.Firing {
			p.SetIntValue(1)
		} else {
			p.SetIntValue(0)
		}
		p.Attributes().PutStr("severity", alert.Severity)
	}
}

// Sum is how many events there were up to a time. One of the latest has the trace, and began in the operation, if there are any.
type Sum struct {
	// Since is from when on they count, in nanoseconds since the epoch; 0 if that is since the start.
	Since     int64
	At        pcommon.Timestamp
	Events    uint64
	Trace     pcommon.TraceID
	Operation string
}

// OperationKey is the attribute of an exemplar that has the operation.
const OperationKey = "span.name"

// Events adds the number of good or bad events of an objective.
func (m *Metrics) Events(o Objective, good bool, s Sum) {
	a := m.events(sloEvents, s)
	putObjective(a, o)
	if good {
		a.PutStr("outcome", "good")
	} else {
		a.PutStr("outcome", "bad")
	}
}

// BlamedEvents adds the number of bad events of an objective that began with a culprit.
func (m *Metrics) BlamedEvents(o Objective, b Blamed, s Sum) {
	a := m.events(sloBlamed, s)
	putObjective(a, o)
	putUnlessEmpty(a, "culprit.service.name", b.Culprit)
	putUnlessEmpty(a, "culprit.layer", b.Layer.String())
	a.PutStr("culprit.relation", string(b.Relation))
	a.PutStr("culprit.reason", b.Reason.String())
}

func (m *Metrics) events(k Declaration, s Sum) pcommon.Map {
	p := m.sumOf(k, s.Since)
	p.SetTimestamp(s.At)
	p.SetIntValue(int64(s.Events))
	if !s.Trace.IsEmpty() {
		e := p.Exemplars().AppendEmpty()
		e.SetTimestamp(s.At - 1)
		e.SetIntValue(1)
		e.SetTraceID(s.Trace)
		putUnlessEmpty(e.FilteredAttributes(), OperationKey, s.Operation)
	}
	return p.Attributes()
}

// Target adds the share of events that should be good.
func (m *Metrics) Target(o Objective, target float64) {
	m.gauge(sloObjective, o).SetDoubleValue(target)
}

func (m *Metrics) sum(k Declaration) pmetric.NumberDataPoint {
	points, ok := m.sums[k.Name]
	if !ok {
		sum := m.metric(k).SetEmptySum()
		sum.SetIsMonotonic(true)
		sum.SetAggregationTemporality(m.temporality(k))
		points = sum.DataPoints()
		m.sums[k.Name] = points
	}
	p := points.AppendEmpty()
	p.SetStartTimestamp(m.start)
	p.SetTimestamp(m.now)
	return p
}

// sumOf is a sum that may have begun before this process did.
func (m *Metrics) sumOf(k Declaration, since int64) pmetric.NumberDataPoint {
	p := m.sum(k)
	if since > 0 {
		p.SetStartTimestamp(pcommon.Timestamp(since))
	}
	return p
}

func (m *Metrics) gauge(k Declaration, o Objective) pmetric.NumberDataPoint {
	p := m.point(k)
	putObjective(p.Attributes(), o)
	return p
}

// point is the next one of a gauge.
func (m *Metrics) point(k Declaration) pmetric.NumberDataPoint {
	points, ok := m.gauges[k.Name]
	if !ok {
		points = m.metric(k).SetEmptyGauge().DataPoints()
		m.gauges[k.Name] = points
	}
	p := points.AppendEmpty()
	p.SetTimestamp(m.now)
	return p
}

// duration adds a point of an exponential histogram, and returns its attributes.
func (m *Metrics) duration(side *dependency.Side, start int64) pcommon.Map {
	if !m.hasAny {
		m.hasAny = true
		h := m.metric(dependencyDuration).SetEmptyExponentialHistogram()
		h.SetAggregationTemporality(m.temporality(dependencyDuration))
		m.durations = h.DataPoints()
	}
	p := m.durations.AppendEmpty()
	p.SetStartTimestamp(pcommon.Timestamp(start))
	p.SetTimestamp(m.now)
	h := &side.Seconds
	p.SetScale(h.Scale())
	p.SetCount(h.Count())
	p.SetSum(h.Sum())
	p.SetZeroCount(h.ZeroCount())
	if h.Count() > 0 {
		p.SetMin(h.Min())
		p.SetMax(h.Max())
	}
	positive := h.Positive()
	p.Positive().SetOffset(positive.Offset())
	p.Positive().BucketCounts().EnsureCapacity(int(positive.Len()))
	for i := range positive.Len() {
		p.Positive().BucketCounts().Append(positive.At(i))
	}
	putExemplar(p.Exemplars(), side.Slowest)
	return p.Attributes()
}

// explicit adds a point of a histogram with explicit bounds, and returns its attributes.
func (m *Metrics) explicit(side *dependency.Side, start int64) pcommon.Map {
	p := m.histogram(dependencyDuration, pcommon.Timestamp(start))
	h := side.Explicit
	p.SetCount(h.Count)
	p.SetSum(h.Sum)
	if h.Count > 0 {
		p.SetMin(h.Min)
		p.SetMax(h.Max)
	}
	p.ExplicitBounds().FromRaw(h.Bounds)
	p.BucketCounts().FromRaw(h.Counts)
	putExemplar(p.Exemplars(), side.Slowest)
	return p.Attributes()
}

func putExemplar(to pmetric.ExemplarSlice, x dependency.Exemplar) {
	if x.At == 0 {
		return
	}
	e := to.AppendEmpty()
	e.SetTimestamp(pcommon.Timestamp(x.At))
	e.SetDoubleValue(x.Seconds)
	e.SetTraceID(x.Trace)
	e.SetSpanID(x.SpanID())
}

// temporality is that of dependencies as configured; what is owed to an objective is always the whole sum.
func (m *Metrics) temporality(k Declaration) pmetric.AggregationTemporality {
	if m.delta && slices.Contains([]Declaration{dependencyCalls, dependencyDuration, graphTotal, graphFailed, graphServer, graphClient}, k) {
		return pmetric.AggregationTemporalityDelta
	}
	return pmetric.AggregationTemporalityCumulative
}

func (m *Metrics) metric(k Declaration) pmetric.Metric {
	metric := m.slice.AppendEmpty()
	metric.SetName(k.Name)
	metric.SetUnit(k.Unit)
	metric.SetDescription(k.Description)
	return metric
}
