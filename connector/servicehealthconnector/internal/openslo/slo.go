package openslo

import (
	"math/big"
	"time"

	"go.yaml.in/yaml/v3"
)

// slo is an SLO before its references are followed.
type slo struct {
	meta
	service    Service
	serviceRef string
	indicator  reference[*indicator]
	window     time.Duration
	calendar   *Calendar
	method     string
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
	slices      Slices
	slicesAt    Source
}

// The budgeting methods of the OpenSLO specification.
const (
	occurrences     = "Occurrences"
	timeslices      = "Timeslices"
	ratioTimeslices = "RatioTimeslices"
)

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
	case occurrences, timeslices, ratioTimeslices:
		s.method = method
	case "":
		r.refuseOnce(at, "is missing: it must be Occurrences, Timeslices or RatioTimeslices")
	default:
		r.refuse(at, "must be Occurrences, Timeslices or RatioTimeslices, not %q", shorten(method))
	}
	for _, each := range spec.list("objectives") {
		if goal := r.open(each.node, each.at, spec.lined); goal != nil {
			s.goals = append(s.goals, r.goal(goal, s))
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

func (r *reader) goal(m *mapping, s *slo) goal {
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
	m.timeSlices(s, &g)
	m.done()
	return g
}

// timeSlices reads what the budgeting methods need that judge stretches of time.
func (m *mapping) timeSlices(s *slo, g *goal) {
	if s.method != timeslices {
		m.cannot("timeSliceTarget", "belongs to the budgetingMethod "+timeslices)
	}
	if s.method == occurrences || s.method == "" {
		m.cannot("timeSliceWindow", "belongs to the budgetingMethods "+timeslices+" and "+ratioTimeslices)
		return
	}
	g.slices.Ratio = s.method == ratioTimeslices
	g.slices.Length, g.slicesAt = m.sliceWindow()
	switch {
	case g.slices.Length == 0:
		m.refuseOnce(g.slicesAt, "is missing or zero: how long a slice is, such as 1m")
	case g.slices.Length > s.window:
		m.refuse(g.slicesAt, "is longer than the window of the SLO, %s", s.window)
	}
	if s.method != timeslices {
		return
	}
	share, at := m.number("timeSliceTarget")
	switch {
	case share == nil:
		m.refuseOnce(at, "is missing: the share of good events that makes a slice good, such as 0.95")
	case share.Sign() <= 0 || share.Cmp(big.NewRat(1, 1)) > 0:
		m.refuse(at, "must be above 0 and at most 1: without any good event every slice would be good")
	case !hasDecimals(share, 9):
		m.refuse(at, "is finer than nine decimals of 1")
	default:
		g.slices.Target, _ = share.Float64()
	}
}

// sliceWindow reads a duration or, as OpenSLO has it, a number of minutes.
func (m *mapping) sliceWindow() (time.Duration, Source) {
	const key = "timeSliceWindow"
	node, at, ok := m.take(key)
	if !ok || node.Kind != yaml.ScalarNode || node.Tag != "!!int" && node.Tag != "!!float" {
		length, at, _ := m.duration(key)
		return length, at
	}
	minutes, _ := m.number(key)
	if minutes == nil {
		return 0, at
	}
	seconds := new(big.Rat).Mul(minutes, big.NewRat(60, 1))
	if seconds.Sign() < 0 || !seconds.IsInt() || seconds.Cmp(big.NewRat(int64(maxDuration/time.Second), 1)) > 0 {
		m.refuse(at, "must be minutes that make a whole number of seconds, for at most ten years")
		return 0, at
	}
	return time.Duration(seconds.Num().Int64()) * time.Second, at
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
