package openslo

import (
	"cmp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// sourceType is the metricSource.type that this implementation can measure.
const sourceType = "OpenTelemetry"

// signals are those that there are, as they are told.
const signals = "traces, metrics or logs"

// taken are the attributes that the metrics of an objective have of themselves.
var taken = []string{"slo.name", "slo.service", "outcome", "severity", "window"}

// dataSource is a DataSource. It carries nothing but its type: the telemetry comes to the collector by itself.
type dataSource struct {
	meta
	kindOf string
}

func (r *reader) dataSource(m *mapping) *dataSource {
	d := &dataSource{meta: m.head(kindDataSource, true)}
	spec := m.specification(&d.meta)
	if spec == nil {
		return d
	}
	var at Source
	d.kindOf, at = spec.text("type", maxName)
	if d.kindOf != sourceType {
		r.refuse(at, "must be %s, not %q: other sources would have to be queried", sourceType, shorten(d.kindOf))
	}
	if node, at, ok := spec.take("connectionDetails"); ok && len(node.Content) > 0 {
		r.refuse(at, "must be empty: the telemetry is received, so there is nothing to connect to")
	}
	spec.done()
	return d
}

// indicator is an SLI: total with good or bad, or raw or threshold alone.
type indicator struct {
	meta
	total, good, bad, raw, threshold *metric
	rawIsBad                         bool
}

// parts are those that there are.
func (i *indicator) parts() []*metric {
	return slices.DeleteFunc([]*metric{i.total, i.good, i.bad, i.raw, i.threshold}, func(part *metric) bool { return part == nil })
}

// base is the part that says which items count.
func (i *indicator) base() *metric { return cmp.Or(i.total, i.raw, i.threshold) }

// metric is one metricSource.
type metric struct {
	at        Source
	kindOf    string
	kindAt    Source
	ref       string
	refAt     Source
	signal    Signal
	signalAt  Source
	condition Expression
	value     Expression
	groupBy   []string
	groupAt   Source
	service   Service
	serviceAt Source
}

func (r *reader) indicator(m *mapping, named bool) *indicator {
	i := &indicator{meta: m.head(kindSLI, named)}
	spec := m.specification(&i.meta)
	if spec == nil {
		return i
	}
	ratio, threshold := spec.child("ratioMetric"), spec.child("thresholdMetric")
	switch {
	case ratio != nil && threshold != nil:
		r.refuse(threshold.at, "either thresholdMetric or ratioMetric, not both")
	case ratio != nil:
		r.ratio(ratio, i)
	case threshold != nil:
		i.threshold = r.metric(threshold)
		threshold.done()
		if i.threshold != nil && i.threshold.signal != Metrics {
			i.threshold.requireValue(r, "such as end_time - start_time; only the points of metrics have one of their own")
		}
	case !spec.has("ratioMetric") && !spec.has("thresholdMetric"):
		r.refuse(spec.at, "must hold a ratioMetric or a thresholdMetric")
	}
	spec.done()
	return i
}

func (r *reader) ratio(m *mapping, i *indicator) {
	// By specification it says nothing of raw.
	if counter, at := m.boolean("counter", true); !counter && !m.has("raw") {
		r.refuse(at, "must be true: spans, records and what a metric has counted are added up; a gauge says of itself that it is one")
	}
	i.total, i.good, i.bad = r.metric(m.child("total")), r.metric(m.child("good")), r.metric(m.child("bad"))
	r.raw(m, i)
	m.done()
	if m.has("raw") {
		return
	}
	if i.total == nil && !m.has("total") {
		m.require("total", "it says which items are events")
	}
	switch {
	case m.has("good") && m.has("bad"):
		r.refuse(m.where("bad"), "either good or bad, not both")
	case !m.has("good") && !m.has("bad"):
		r.refuse(m.at, "must hold good or bad beside total")
	}
	if i.total != nil {
		i.total.refuseValue(r)
	}
	for _, part := range []*metric{i.good, i.bad} {
		if part == nil {
			continue
		}
		part.refuseValue(r)
		if part.condition.Text == "" {
			r.refuseOnce(part.at, "needs a `condition`: without one every event would count")
		}
		part.checkAgainst(r, i.total)
	}
}

// raw reads a share that was computed elsewhere.
func (r *reader) raw(m *mapping, i *indicator) {
	kind, at := m.text("rawType", maxName)
	i.raw = r.metric(m.child("raw"))
	if !m.has("raw") {
		m.cannot("rawType", "belongs to raw")
		return
	}
	for _, key := range []string{"total", "good", "bad"} {
		m.cannot(key, "either raw or total with good or bad, not both")
	}
	switch kind {
	case "success":
	case "failure":
		i.rawIsBad = true
	case "":
		r.refuseOnce(at, "is missing: success if raw is the share of what is good, failure if of what is bad")
	default:
		r.refuse(at, "must be success or failure, not %q", shorten(kind))
	}
	if i.raw != nil {
		i.raw.requireValue(r, "which is the share, from 0 to 1")
	}
}

func (c *metric) requireValue(r *reader, what string) {
	if c.value.Text == "" {
		r.refuseOnce(c.at, "needs a `value`, %s", what)
	}
}

func (c *metric) refuseValue(r *reader) {
	if c.value.Text != "" {
		r.refuse(c.value.Source, "belongs to a thresholdMetric or to raw")
	}
}

// checkAgainst refuses what good and bad say otherwise than total, because they are asked only of the items in total.
func (c *metric) checkAgainst(r *reader, total *metric) {
	if total == nil {
		return
	}
	if c.signal != "" && total.signal != "" && c.signal != total.signal {
		r.refuse(c.signalAt, "must be the one of total, %s: an item is in total, and then good or bad", total.signal)
	}
	if c.groupBy != nil && !slices.Equal(c.groupBy, total.groupBy) {
		r.refuse(c.groupAt, "must be the one of total, or be left out")
	}
	if c.service != (Service{}) && c.service != total.service {
		r.refuse(c.serviceAt, "must be the one of total, or be left out")
	}
}

// metric reads what holds a metricSource. It is nil if there is none, or one for another system, of whose spec nothing can be
// said.
func (r *reader) metric(m *mapping) *metric {
	if m == nil {
		return nil
	}
	source := m.child("metricSource")
	if source == nil {
		if !m.has("metricSource") {
			m.require("metricSource", "it says what is measured")
		}
		m.done()
		return nil
	}
	c := &metric{at: source.at, signalAt: source.where("spec")}
	c.kindOf, c.kindAt = source.text("type", maxName)
	c.ref, c.refAt = source.name("metricSourceRef")
	switch {
	case c.kindOf != "" && c.kindOf != sourceType:
		r.refuse(c.kindAt, "must be %s, not %q: other sources would have to be queried", sourceType, shorten(c.kindOf))
		source.take("spec")
		source.done()
		m.done()
		return nil
	case c.kindOf == "" && !source.has("metricSourceRef"):
		source.require("type", "it must be "+sourceType+", unless a metricSourceRef says so")
	}
	if spec := source.child("spec"); spec != nil {
		r.binding(spec, c)
	} else if !source.has("spec") {
		source.require("spec", "it says which telemetry is meant")
	}
	source.done()
	m.done()
	return c
}

// binding reads what ties an SLI to telemetry.
func (r *reader) binding(m *mapping, c *metric) {
	signal, at := m.text("signal", maxName)
	c.signalAt = at
	switch Signal(signal) {
	case "":
	case Traces, Metrics, Logs:
		c.signal = Signal(signal)
	default:
		r.refuse(at, "%q is no signal; it must be %s", shorten(signal), signals)
	}
	c.condition = m.expression("condition")
	c.value = m.expression("value")
	c.groupBy, c.groupAt = r.groupBy(m)
	text, at := m.text("service", maxName)
	c.serviceAt = at
	if text != "" {
		service, err := parseService(text)
		if err != nil {
			r.refuse(at, "%s", err)
		}
		c.service = service
	}
	m.done()
}

func (m *mapping) expression(key string) Expression {
	const longest = 10_000
	text, at := m.text(key, longest)
	if text == "" {
		return Expression{}
	}
	if strings.TrimSpace(text) == "" {
		m.refuse(at, "is blank")
		return Expression{}
	}
	return Expression{Text: text, Source: at}
}

func (r *reader) groupBy(m *mapping) ([]string, Source) {
	at := m.where("groupBy")
	var names []string
	for _, each := range m.list("groupBy") {
		switch name := each.node.Value; {
		case each.node.Kind != yaml.ScalarNode || name == "":
			r.refuse(each.at, "must be the name of an attribute, not %s", describe(each.node))
		case checkName(name) != nil:
			r.refuse(each.at, "%q %s", shorten(name), checkName(name))
		case slices.Contains(taken, name) || strings.HasPrefix(name, "culprit."):
			r.refuse(each.at, "%q is an attribute of the objective's own metrics", name)
		case slices.Contains(names, name):
			r.refuse(each.at, "%q is there twice", name)
		default:
			names = append(names, name)
		}
	}
	if len(names) > MaxGroupBy {
		r.refuse(at, "has %d attributes, and %d at most are possible: every combination of values is kept apart", len(names), MaxGroupBy)
	}
	return names, at
}
