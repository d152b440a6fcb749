package openslo

import (
	"math/big"
	"time"
)

// slo is an SLO before its references are followed.
type slo struct {
	meta
	service    Service
	serviceRef string
	indicator  reference[*indicator]
	window     time.Duration
	goals      []goal
	policies   []reference[*policy]
}

// goal is one element of objectives.
type goal struct {
	at          Source
	displayName string
	target      *big.Rat
	op          Operator
	opAt        Source
	value       *big.Rat
	valueAt     Source
}

func (r *reader) slo(m *mapping) *slo {
	s := &slo{meta: m.head(kindSLO, true), window: workbookWindow}
	spec := m.specification(&s.meta)
	if spec == nil {
		return s
	}
	text, at := spec.text("service", maxName)
	if text == "" {
		r.refuseOnce(at, "is missing: it is service.name, or service.namespace/service.name")
	} else if service, err := parseService(text); err != nil {
		r.refuse(at, "%s", err)
	} else {
		s.service, s.serviceRef = service, text
	}
	r.sloIndicator(spec, s)
	r.timeWindow(spec, s)
	switch method, at := spec.text("budgetingMethod", maxName); method {
	case "Occurrences":
	case "":
		r.refuseOnce(at, "is missing: it must be Occurrences")
	case "Timeslices", "RatioTimeslices":
		r.refuse(at, "not supported yet: %s; it must be Occurrences", method)
	default:
		r.refuse(at, "must be Occurrences, not %q", shorten(method))
	}
	for _, each := range spec.list("objectives") {
		if goal := r.open(each.node, each.at, spec.lined); goal != nil {
			s.goals = append(s.goals, r.goal(goal))
		}
	}
	if len(s.goals) == 0 {
		r.refuseOnce(spec.where("objectives"), "is missing: an SLO has at least one")
	}
	s.policies = references(spec, "alertPolicies", "alertPolicyRef", kindPolicy, r.policy)
	spec.done()
	return s
}

func (r *reader) sloIndicator(spec *mapping, s *slo) {
	inlined := spec.child("indicator")
	s.indicator.name, s.indicator.at = spec.name("indicatorRef")
	switch {
	case spec.has("indicator") && spec.has("indicatorRef"):
		r.refuse(s.indicator.at, "either indicator or indicatorRef, not both")
	case inlined != nil:
		inlined.inlined(kindSLI)
		s.indicator.inlined = r.indicator(inlined, false)
		inlined.done()
	case !spec.has("indicator") && !spec.has("indicatorRef"):
		r.refuse(spec.at, "must hold an indicator or an indicatorRef")
	}
}

func (r *reader) timeWindow(spec *mapping, s *slo) {
	if !spec.has("timeWindow") {
		spec.take("timeWindow")
		return
	}
	windows := spec.list("timeWindow")
	if len(windows) != 1 {
		r.refuseOnce(spec.where("timeWindow"), "must be a list of exactly one window")
		return
	}
	m := r.open(windows[0].node, windows[0].at, spec.lined)
	if m == nil {
		return
	}
	duration, at, _ := m.duration("duration")
	if duration == 0 {
		r.refuseOnce(at, "is missing or zero")
	} else {
		s.window = duration
	}
	m.cannot("calendar", "not supported yet: calendar-aligned windows; use a rolling one")
	if rolling, at := m.boolean("isRolling", true); !rolling && !m.has("calendar") {
		r.refuse(at, "not supported yet: windows that do not roll")
	}
	m.done()
}

func (r *reader) goal(m *mapping) goal {
	g := goal{at: m.at}
	g.displayName, _ = m.text("displayName", maxName)
	op, at := m.text("op", maxName)
	g.opAt = at
	switch Operator(op) {
	case "":
	case LessThan, LessOrEqual, GreaterThan, GreaterOrEqual:
		g.op = Operator(op)
	default:
		r.refuse(at, "%q is no operator; it must be lt, lte, gt or gte", shorten(op))
	}
	g.value, g.valueAt = m.number("value")
	target, targetAt := m.number("target")
	percent, percentAt := m.number("targetPercent")
	switch {
	case m.has("target") && m.has("targetPercent"):
		r.refuse(percentAt, "either target or targetPercent, not both")
	case target != nil:
		g.target = r.share(target, big.NewRat(1, 1), targetAt)
	case percent != nil:
		g.target = r.share(percent, big.NewRat(100, 1), percentAt)
	case !m.has("target") && !m.has("targetPercent"):
		m.require("target", "the share of events that must be good, such as 0.999")
	}
	m.cannot("timeSliceTarget", "not supported yet: it belongs to the budgetingMethod Timeslices")
	m.cannot("timeSliceWindow", "not supported yet: it belongs to the budgetingMethod Timeslices")
	m.done()
	return g
}

// share is number/whole if that is a target, else nil.
func (r *reader) share(number, whole *big.Rat, at Source) *big.Rat {
	if number.Sign() < 0 || number.Cmp(whole) >= 0 {
		r.refuse(at, "must be from 0 up to but not including %s: a budget of nothing can't be kept", whole.RatString())
		return nil
	}
	share := new(big.Rat).Quo(number, whole)
	if !hasDecimals(share, 9) {
		r.refuse(at, "is finer than nine decimals of 1")
		return nil
	}
	return share
}
