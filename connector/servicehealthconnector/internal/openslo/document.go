package openslo

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

const (
	version = "openslo/v1"

	kindDataSource = "DataSource"
	kindService    = "Service"
	kindSLI        = "SLI"
	kindSLO        = "SLO"
	kindPolicy     = "AlertPolicy"
	kindCondition  = "AlertCondition"
	kindTarget     = "AlertNotificationTarget"

	ours                  = "throughline/"
	annotationShort       = ours + "short-window"
	annotationRunbook     = ours + "runbook"
	annotationExclude     = ours + "exclude"
	annotationMaintenance = ours + "maintenance"
	annotationLeast       = ours + "minimum-events"
)

// annotated are the kinds that an annotation means something for.
var annotated = map[string][]string{
	annotationShort:       {kindCondition},
	annotationRunbook:     {kindService, kindSLO, kindPolicy, kindCondition},
	annotationExclude:     {kindSLO, kindSLI},
	annotationMaintenance: {kindService, kindSLO},
	annotationLeast:       {kindSLO, kindCondition},
}

// meta is what every kind of document has.
type meta struct {
	kind        string
	name        string
	displayName string
	description string
	runbook     string
	short       time.Duration
	at, nameAt  Source
	shortAt     Source
	exclude     Expression
	maintenance []Interval
	least       uint64
	used        bool
}

// target is an AlertNotificationTarget.
type target struct {
	meta
	how string
}

// document reads one document of a file or of the configuration, whatever its kind.
func (r *reader) document(node *yaml.Node, at Source, lined bool, docs *library) {
	m := r.open(node, at, lined)
	if m == nil {
		return
	}
	written, place := m.text("apiVersion", maxName)
	if written != version {
		r.refuse(place, "must be %s, not %q", version, shorten(written))
		return
	}
	kind, place := m.text("kind", maxName)
	known := []string{kindDataSource, kindService, kindSLI, kindSLO, kindPolicy, kindCondition, kindTarget}
	switch kind {
	case kindDataSource:
		d := r.dataSource(m)
		shelve(r, docs.sources, &d.meta, d, func(d *dataSource) Source { return d.at })
	case kindService:
		s := r.service(m)
		shelve(r, docs.services, s, s, func(s *meta) Source { return s.at })
	case kindSLI:
		i := r.indicator(m, true)
		shelve(r, docs.indicators, &i.meta, i, func(i *indicator) Source { return i.at })
	case kindSLO:
		s := r.slo(m)
		if shelve(r, docs.slos, &s.meta, s, func(s *slo) Source { return s.at }) {
			docs.inTheirOrder = append(docs.inTheirOrder, s)
		}
	case kindPolicy:
		p := r.policy(m)
		shelve(r, docs.policies, &p.meta, p, func(p *policy) Source { return p.at })
	case kindCondition:
		c := r.condition(m)
		shelve(r, docs.conditions, &c.meta, c, func(c *condition) Source { return c.at })
	case kindTarget:
		t := r.target(m)
		shelve(r, docs.targets, &t.meta, t, func(t *target) Source { return t.at })
	default:
		r.refuse(place, "%q is none of %s", shorten(kind), strings.Join(known, ", "))
		return
	}
	m.done()
}

// inlined reads a document inside of another one, which need not repeat what its place already says.
func (m *mapping) inlined(kind string) {
	if written, at := m.text("apiVersion", maxName); written != "" && written != version {
		m.refuse(at, "must be %s, not %q", version, shorten(written))
	}
	if written, at := m.text("kind", maxName); written != "" && written != kind {
		m.refuse(at, "must be %s here, not %q", kind, shorten(written))
	}
}

// head reads the metadata of a document, which must have a name unless it is inlined where nobody refers to it.
func (m *mapping) head(kind string, named bool) meta {
	of := meta{kind: kind}
	if m == nil {
		return of
	}
	of.at = m.at
	data := m.child("metadata")
	if data == nil {
		if named && !m.has("metadata") {
			m.require("metadata", "every "+kind+" has a name")
		}
		return of
	}
	of.name, of.nameAt = data.name("name")
	if of.name == "" && named && !data.has("name") {
		data.require("name", "every "+kind+" has a name")
	}
	of.displayName, _ = data.text("displayName", maxName)
	data.labels()
	data.annotations(&of)
	data.done()
	return of
}

// labels are for others; only their form is checked.
func (m *mapping) labels() {
	labels := m.child("labels")
	if labels == nil {
		return
	}
	for _, key := range labels.keys {
		node, at, ok := labels.take(key.Value)
		if !ok {
			continue
		}
		switch node.Kind {
		case yaml.ScalarNode:
		case yaml.SequenceNode:
			for _, each := range labels.list(key.Value) {
				if each.node.Kind != yaml.ScalarNode {
					m.refuse(each.at, "must be a text, not %s", describe(each.node))
				}
			}
		default:
			m.refuse(at, "must be a text or a list of texts, not %s", describe(node))
		}
	}
}

// annotations takes those that are meant for this implementation; those of others are only checked for form.
func (m *mapping) annotations(of *meta) {
	notes := m.child("annotations")
	if notes == nil {
		return
	}
	for _, key := range notes.keys {
		node, at, ok := notes.take(key.Value)
		switch {
		case ok && node.Kind != yaml.ScalarNode:
			m.refuse(at, "must be a text, not %s", describe(node))
		case !strings.HasPrefix(key.Value, ours):
		case !slices.Contains(annotated[key.Value], of.kind):
			m.refuse(at, "is no annotation that the kind %s has", of.kind)
		default:
			notes.annotation(key.Value, of)
		}
	}
}

// annotation takes one that the kind has.
func (m *mapping) annotation(key string, of *meta) {
	switch key {
	case annotationShort:
		of.short, of.shortAt, _ = m.duration(key)
		if of.short == 0 {
			m.refuseOnce(of.shortAt, "must be longer than nothing")
		}
	case annotationRunbook:
		of.runbook = m.link(key)
	case annotationExclude:
		if of.exclude = m.expression(key); of.exclude.Text == "" {
			m.refuseOnce(m.where(key), "is empty")
		}
	case annotationMaintenance:
		of.maintenance = m.maintenance(key)
	case annotationLeast:
		of.least = m.count(key)
	}
}

// count reads a whole number that is written as a text, as annotations are, or as a number.
func (m *mapping) count(key string) uint64 {
	text, at := m.text(key, maxName)
	number, err := strconv.ParseUint(text, 10, 32)
	if err != nil || number == 0 {
		m.refuseOnce(at, "must be a whole number from 1 to %d, not %q", uint32(math.MaxUint32), shorten(text))
	}
	return number
}

func (m *mapping) link(key string) string {
	text, at := m.text(key, maxDescription)
	if text == "" {
		m.nonEmpty(key, at)
		return ""
	}
	if err := checkLink(text); err != nil {
		m.refuse(at, "%s", err)
		return ""
	}
	return text
}

// specification opens spec, which every kind but Service needs, and reads its description.
func (m *mapping) specification(of *meta) *mapping {
	spec := m.child("spec")
	if spec == nil && !m.has("spec") {
		m.require("spec", "it is what makes the "+of.kind)
	}
	if spec != nil {
		of.description, _ = spec.text("description", maxDescription)
	}
	return spec
}

func (r *reader) service(m *mapping) *meta {
	of := m.head(kindService, true)
	if of.name != "" {
		if _, err := parseService(of.name); err != nil {
			r.refuse(of.nameAt, "%s", err)
		}
	}
	// A Service has nothing but a description in its spec, so that one without a spec lacks nothing.
	if spec := m.child("spec"); spec != nil {
		of.description, _ = spec.text("description", maxDescription)
		spec.done()
	}
	return &of
}

func (r *reader) target(m *mapping) *target {
	t := &target{meta: m.head(kindTarget, true)}
	spec := m.specification(&t.meta)
	if spec == nil {
		return t
	}
	t.how, _ = spec.name("target")
	if t.how == "" && !spec.has("target") {
		spec.require("target", "such as email or slack")
	}
	spec.done()
	return t
}
