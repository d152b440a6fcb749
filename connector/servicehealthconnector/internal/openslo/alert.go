package openslo

import (
	"math/big"
	"time"

	"go.yaml.in/yaml/v3"
)

// policy is an AlertPolicy.
type policy struct {
	meta
	conditions []reference[*condition]
	targets    []reference[*target]
	silent     bool
	noData     bool
}

// condition is an AlertCondition.
type condition struct {
	meta
	severity    string
	threshold   *big.Rat
	thresholdAt Source
	above       bool
	window      time.Duration
	windowAt    Source
	after       time.Duration
}

// reference is what a document refers to by name, or holds inlined.
type reference[T any] struct {
	name    string
	at      Source
	inlined T
}

// references reads a list of which each element either has the key of a reference, or is its name, or an inlined document.
func references[T any](m *mapping, list, key, kind string, read func(*mapping) T) []reference[T] {
	var found []reference[T]
	for _, each := range m.list(list) {
		if each.node.Kind == yaml.ScalarNode && each.node.Tag == "!!str" {
			switch name := each.node.Value; {
			case name == "":
				m.refuse(each.at, "is empty")
			case checkName(name) != nil:
				m.refuse(each.at, "%q %s", shorten(name), checkName(name))
			default:
				found = append(found, reference[T]{name: name, at: each.at})
			}
			continue
		}
		element := m.open(each.node, each.at, m.lined)
		if element == nil {
			continue
		}
		ref := reference[T]{at: each.at}
		if element.has(key) {
			ref.name, ref.at = element.name(key)
		} else {
			element.inlined(kind)
			ref.inlined = read(element)
			// The reference is named last among what could be here.
			element.take(key)
		}
		element.done()
		found = append(found, ref)
	}
	return found
}

func (r *reader) policy(m *mapping) *policy {
	p := &policy{meta: m.head(kindPolicy, true)}
	spec := m.specification(&p.meta)
	if spec == nil {
		return p
	}
	if breaching, at := spec.boolean("alertWhenBreaching", true); !breaching {
		r.refuse(at, "must be true: that a burn is over, or that there is no data, is told besides, not instead")
	}
	resolved, _ := spec.boolean("alertWhenResolved", true)
	p.silent = !resolved
	p.noData, _ = spec.boolean("alertWhenNoData", false)
	p.conditions = references(spec, "conditions", "conditionRef", kindCondition, r.condition)
	if len(p.conditions) == 0 {
		r.refuseOnce(spec.where("conditions"), "is missing: a policy has at least one condition")
	}
	p.targets = references(spec, "notificationTargets", "targetRef", kindTarget, r.target)
	spec.done()
	return p
}

func (r *reader) condition(m *mapping) *condition {
	c := &condition{meta: m.head(kindCondition, true)}
	spec := m.specification(&c.meta)
	if spec == nil {
		return c
	}
	c.severity, _ = spec.name("severity")
	if c.severity == "" {
		r.refuseOnce(spec.where("severity"), "is missing: such as page or ticket")
	}
	if burn := spec.child("condition"); burn != nil {
		r.burn(burn, c)
	} else if !spec.has("condition") {
		spec.require("condition", "it says when the budget burns too fast")
	}
	spec.done()
	return c
}

func (r *reader) burn(m *mapping, c *condition) {
	if kind, at := m.text("kind", maxName); kind != "" && kind != "burnrate" {
		r.refuse(at, "must be burnrate, not %q", shorten(kind))
	}
	switch op, at := m.text("op", maxName); Operator(op) {
	case "", GreaterOrEqual:
	case GreaterThan:
		c.above = true
	case LessThan, LessOrEqual:
		r.refuse(at, "must be gt or gte: a budget that burns slowly is no trouble")
	default:
		r.refuse(at, "%q is no operator; it must be gt or gte", shorten(op))
	}
	c.threshold, c.thresholdAt = m.number("threshold")
	switch {
	case c.threshold == nil:
		r.refuseOnce(c.thresholdAt, "is missing: it is the burn rate that is too fast")
	case c.threshold.Sign() <= 0:
		r.refuse(c.thresholdAt, "must be above 0")
		c.threshold = nil
	case !hasDecimals(c.threshold, 6):
		r.refuse(c.thresholdAt, "has more than six decimals")
	}
	c.window, c.windowAt, _ = m.duration("lookbackWindow")
	if c.window == 0 {
		r.refuseOnce(c.windowAt, "is missing or zero: it is the time over which the burn rate is measured")
	}
	c.after, _, _ = m.duration("alertAfter")
	m.done()
	if c.short > c.window && c.window > 0 {
		r.refuse(c.shortAt, "is longer than lookbackWindow; it is the shorter of the two")
	}
}

// pair is one of the SRE Workbook's, for a window of 30 days.
type pair struct {
	severity    string
	long, short time.Duration
	burnRate    *big.Rat
}

const (
	workbookWindow = 30 * 24 * time.Hour
	// shortestDefault is how short a default window may become for a shorter objective. Below, single events decide.
	shortestDefault = 5 * time.Second
)

var workbook = []pair{
	{"page", time.Hour, 5 * time.Minute, big.NewRat(144, 10)},
	{"page", 6 * time.Hour, 30 * time.Minute, big.NewRat(6, 1)},
	{"ticket", 24 * time.Hour, 2 * time.Hour, big.NewRat(3, 1)},
	{"ticket", 3 * 24 * time.Hour, 6 * time.Hour, big.NewRat(1, 1)},
}

// scale stretches a window of the SRE Workbook, to whole seconds, by as much as the objective's own differs from 30 days.
func scale(d, window time.Duration) time.Duration {
	scaled := new(big.Int).Mul(big.NewInt(int64(d/time.Second)), big.NewInt(int64(window)))
	scaled.Add(scaled, big.NewInt(int64(workbookWindow/2)))
	scaled.Quo(scaled, big.NewInt(int64(workbookWindow)))
	return time.Duration(scaled.Int64()) * time.Second
}
