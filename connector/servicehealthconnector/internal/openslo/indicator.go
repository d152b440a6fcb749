package openslo

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// sourceType is the metricSource.type that this implementation can measure.
const sourceType = "OpenTelemetry"

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

// indicator is an SLI: total with good or bad, or value alone.
type indicator struct {
	meta
	total, good, bad, value *metric
}

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
		i.value = r.metric(threshold)
		threshold.done()
		i.checkValue(r)
	case !spec.has("ratioMetric") && !spec.has("thresholdMetric"):
		r.refuse(spec.at, "must hold a ratioMetric or a thresholdMetric")
	}
	spec.done()
	return i
}

func (r *reader) ratio(m *mapping, i *indicator) {
	if counter, at := m.boolean("counter", true); !counter {
		r.refuse(at, "must be true: events are counted, and a count only rises")
	}
	m.cannot("raw", "not supported yet: a ratio that was already computed can't be summed; use total with good or bad")
	m.cannot("rawType", "not supported yet: it belongs to raw; use total with good or bad")
	i.total, i.good, i.bad = r.metric(m.child("total")), r.metric(m.child("good")), r.metric(m.child("bad"))
	m.done()
	if i.total == nil && !m.has("total") && !m.has("raw") {
		m.require("total", "it says which items are events")
	}
	switch {
	case m.has("good") && m.has("bad"):
		r.refuse(m.where("bad"), "either good or bad, not both")
	case !m.has("good") && !m.has("bad") && !m.has("raw"):
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

func (i *indicator) checkValue(r *reader) {
	if i.value != nil && i.value.value.Text == "" {
		r.refuseOnce(i.value.at, "needs a `value`, such as end_time - start_time")
	}
}

func (c *metric) refuseValue(r *reader) {
	if c.value.Text != "" {
		r.refuse(c.value.Source, "belongs to a thresholdMetric")
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

// metric reads what holds a metricSource. It is nil if there is none.
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
	c := &metric{at: source.at}
	c.kindOf, c.kindAt = source.text("type", maxName)
	c.ref, c.refAt = source.name("metricSourceRef")
	switch {
	case c.kindOf != "" && c.kindOf != sourceType:
		r.refuse(c.kindAt, "must be %s, not %q", sourceType, shorten(c.kindOf))
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
	case Traces:
		c.signal = Traces
	case Metrics, Logs:
		r.refuse(at, "not supported yet: %s; the signal must be %s", signal, Traces)
	default:
		r.refuse(at, "%q is no signal; it must be %s", shorten(signal), Traces)
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
