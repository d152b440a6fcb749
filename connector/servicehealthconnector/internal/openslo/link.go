package openslo

import (
	"cmp"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// link follows the references and makes objectives of the SLOs.
func (r *reader) link(docs *library) []Objective {
	var objectives []Objective
	names := map[string]Source{}
	for _, s := range docs.inTheirOrder {
		for _, o := range r.objectives(s, docs) {
			if first, twice := names[o.Name]; twice && first != o.Source {
				r.refuseOnce(o.Source, "an objective of the name %q is already at %s", o.Name, first)
				continue
			}
			names[o.Name] = o.Source
			objectives = append(objectives, o)
		}
	}
	// As long as something else is wrong, what refers to a document may just not have been understood.
	if len(r.problems) == 0 {
		r.unused(docs)
	}
	return objectives
}

// unused refuses the documents that say what to measure or when to alert, and would do neither. Those that only describe what
// there is (Service, DataSource, AlertNotificationTarget) ask for nothing, but nobody may write them for that.
func (r *reader) unused(docs *library) {
	complain := func(of *meta, user string) {
		if !of.used {
			r.refuse(of.at, "no %s refers to the %s %q, so that it has no effect", user, of.kind, of.name)
		}
	}
	for _, name := range sortedKeys(docs.indicators) {
		complain(&docs.indicators[name].meta, kindSLO)
	}
	for _, name := range sortedKeys(docs.policies) {
		p := docs.policies[name]
		complain(&p.meta, kindSLO)
		// What an unused policy refers to is in use as soon as the policy is.
		for _, ref := range p.conditions {
			if c, ok := docs.conditions[ref.name]; ok {
				c.used = true
			}
		}
	}
	for _, name := range sortedKeys(docs.conditions) {
		complain(&docs.conditions[name].meta, kindPolicy)
	}
	note := func(of *meta, user string) {
		if !of.used {
			r.idle = append(r.idle, &Error{Source: of.at, Reason: fmt.Sprintf("no %s refers to the %s %q", user, of.kind, of.name)})
		}
	}
	for _, s := range docs.services {
		note(s, kindSLO)
	}
	for _, d := range docs.sources {
		note(&d.meta, kindSLI)
	}
	for _, t := range docs.targets {
		note(&t.meta, kindPolicy)
	}
}

func (r *reader) objectives(s *slo, docs *library) []Objective {
	found, ok := r.indicatorOf(s, docs)
	if !ok {
		return nil
	}
	template := Objective{
		Service: s.service, DisplayName: s.displayName, Description: s.description,
		Window: s.window, Calendar: s.calendar, Exclude: found.exclude, Maintenance: s.maintenance, LeastEvents: s.least,
		Indicator: found.indicator, GroupBy: found.groupBy, Runbook: s.runbook, Source: s.at,
	}
	if of, ok := docs.services[s.serviceRef]; ok {
		of.used = true
		template.Runbook = cmp.Or(template.Runbook, of.runbook)
		template.Maintenance = merged(slices.Concat(s.maintenance, of.maintenance))
	}
	alerts := r.alerts(s, template.Runbook, docs)
	if len(s.policies) == 0 {
		alerts = r.defaults(s, template.Runbook)
	}
	var objectives []Objective
	for _, g := range s.goals {
		o := template
		o.Name = s.name
		if len(s.goals) > 1 {
			o.Name += "/" + g.name()
		}
		if g.displayName != "" {
			o.DisplayName = g.displayName
		}
		if len(s.goals) > 1 {
			o.Source = g.at
		}
		if !r.compare(g, found.threshold, &o) || g.target == nil {
			continue
		}
		o.Target, _ = g.target.Float64()
		o.Slices = g.slices
		o.Conditions = r.reachable(g, alerts)
		objectives = append(objectives, o)
	}
	return objectives
}

// name is what tells an objective from the others of its SLO.
func (g goal) name() string {
	if name := slug(g.displayName); name != "" {
		return name
	}
	if g.target == nil {
		return ""
	}
	return percent(g.target)
}

// percent is exact, since a target has at most nine decimals.
func percent(target *big.Rat) string {
	text := new(big.Rat).Mul(target, big.NewRat(100, 1)).FloatString(7)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

// compare gives the indicator of an objective its operator and threshold, if it is one that has them.
func (r *reader) compare(g goal, threshold bool, o *Objective) bool {
	if !threshold {
		// That a share is at least the target may be said, too.
		fits := g.op == "" || g.op == GreaterOrEqual
		if !fits {
			r.refuse(g.opAt, "belongs to a thresholdMetric; a share of good events must be its target or more, gte")
		}
		if g.value != nil {
			r.refuse(g.valueAt, "belongs to a thresholdMetric")
		}
		return fits && g.value == nil
	}
	if g.op == "" {
		r.refuseOnce(g.opAt, "is missing: lt, lte, gt or gte; the measured value stands on the left")
	}
	if g.value == nil {
		r.refuseOnce(g.valueAt, "is missing: what the measured value is compared with")
	}
	if g.op == "" || g.value == nil {
		return false
	}
	o.Indicator.Op = g.op
	o.Indicator.Threshold, _ = g.value.Float64()
	return true
}

// bound is an indicator with its references followed.
type bound struct {
	indicator Indicator
	threshold bool
	groupBy   []string
	exclude   Expression
}

func (r *reader) indicatorOf(s *slo, docs *library) (bound, bool) {
	from := s.indicator.inlined
	if s.indicator.name != "" {
		found, ok := docs.indicators[s.indicator.name]
		if !ok {
			r.refuse(s.indicator.at, "there is no SLI %q", s.indicator.name)
			return bound{}, false
		}
		found.used = true
		from = found
	}
	if from == nil {
		return bound{}, false
	}
	for _, part := range from.parts() {
		r.checkSource(part, docs)
	}
	base := from.base()
	if base == nil {
		return bound{}, false
	}
	if base.signal == "" {
		r.refuseOnce(base.signalAt, "is missing: it must be %s", signals)
		return bound{}, false
	}
	if s.exclude.Text != "" && from.exclude.Text != "" {
		r.refuse(s.exclude.Source, "is also at %s; write both conditions into one, with `or`", from.exclude.Source)
	}
	i := Indicator{
		Name: cmp.Or(from.name, s.name), Signal: base.signal, Service: cmp.Or(base.service, s.service), Total: base.condition,
		RawIsBad: from.rawIsBad,
	}
	switch {
	case from.raw != nil:
		i.Raw = base.value
	case from.threshold != nil:
		i.Value = base.value
	case from.good != nil:
		i.Good = from.good.condition
	case from.bad != nil:
		i.Bad = from.bad.condition
	}
	exclude := s.exclude
	if exclude.Text == "" {
		exclude = from.exclude
	}
	return bound{i, from.threshold != nil, base.groupBy, exclude}, true
}

func (r *reader) checkSource(c *metric, docs *library) {
	if c.ref == "" {
		return
	}
	found, ok := docs.sources[c.ref]
	if !ok {
		r.refuseOnce(c.refAt, "there is no DataSource %q", c.ref)
		return
	}
	found.used = true
}

// alerts are those of an SLO's policies, or none if it has no policies.
func (r *reader) alerts(s *slo, runbook string, docs *library) []alert {
	var alerts []alert
	names := map[string]bool{}
	for _, ref := range s.policies {
		p, ok := follow(r, ref, docs.policies, kindPolicy)
		if !ok {
			continue
		}
		p.used = true
		targets := r.targets(p, docs)
		for _, each := range p.conditions {
			c, ok := follow(r, each, docs.conditions, kindCondition)
			if !ok || c.threshold == nil || c.window == 0 {
				continue
			}
			c.used = true
			if names[c.name] {
				r.refuse(ref.at, "brings the condition %q a second time", c.name)
				continue
			}
			names[c.name] = true
			if c.window > s.window {
				r.refuseOnce(c.windowAt, "is longer than the window of the SLO %q, %s", s.name, s.window)
			}
			alerts = append(alerts, c.alert(p, targets, runbook))
		}
	}
	return alerts
}

// follow gives what is referred to or inlined.
func follow[T any](r *reader, ref reference[*T], shelf map[string]*T, kind string) (*T, bool) {
	if ref.inlined != nil {
		return ref.inlined, true
	}
	found, ok := shelf[ref.name]
	if !ok && ref.name != "" {
		r.refuseOnce(ref.at, "there is no %s %q", kind, ref.name)
	}
	return found, ok
}

func (r *reader) targets(p *policy, docs *library) []Target {
	var targets []Target
	for _, each := range p.targets {
		if t, ok := follow(r, each, docs.targets, kindTarget); ok {
			t.used = true
			targets = append(targets, Target{Name: t.name, Kind: t.how, Description: t.description})
		}
	}
	return targets
}

// alert is an Alert whose burn rate is not rounded yet, and where the burn rate is written.
type alert struct {
	Alert
	burnRate *big.Rat
	at       Source
}

func (c *condition) alert(p *policy, targets []Target, runbook string) alert {
	a := Alert{
		Name: c.name, Severity: c.severity, Long: c.window, Short: c.window, Above: c.above, After: c.after,
		LeastEvents: c.least, AnnounceResolved: !p.silent, AnnounceNoData: p.noData,
		Runbook: cmp.Or(c.runbook, p.runbook, runbook), Targets: targets, Source: c.at,
	}
	if c.short > 0 {
		a.Short = c.short
	}
	return alert{Alert: a, burnRate: c.threshold, at: c.thresholdAt}
}

// defaults are the four pairs of the SRE Workbook.
func (r *reader) defaults(s *slo, runbook string) []alert {
	if shortest := scale(workbook[0].short, s.window); shortest < shortestDefault {
		r.refuseOnce(s.at, "a window of %s is too short for the default alerts, whose shortest window would be %s; write `alertPolicies`",
			s.window, shortest)
		return nil
	}
	alerts := make([]alert, len(workbook))
	for i, p := range workbook {
		alerts[i] = alert{Alert: Alert{
			Severity: p.severity, Long: scale(p.long, s.window), Short: scale(p.short, s.window),
			AnnounceResolved: true, Runbook: runbook, Source: s.at,
		}, burnRate: p.burnRate, at: s.at}
	}
	return alerts
}

// reachable gives the alerts for one objective and refuses those that would stay silent in an outage of everything.
func (r *reader) reachable(g goal, alerts []alert) []Alert {
	budget := new(big.Rat).Sub(big.NewRat(1, 1), g.target)
	highest := new(big.Rat).Inv(budget)
	out := make([]Alert, 0, len(alerts))
	for _, a := range alerts {
		hint := ""
		if a.Name == "" {
			hint = "; write `alertPolicies` in place of the default alerts"
		}
		if a.Short < g.slices.Length {
			r.refuseOnce(g.slicesAt, "is longer than a window of the alerts, %s, which then holds no whole slice%s", a.Short, hint)
			continue
		}
		if order := a.burnRate.Cmp(highest); order > 0 || order == 0 && a.Above {
			word := "reaches"
			if a.Above {
				word = "exceeds"
			}
			r.refuse(a.at, "no outage %s a burn rate of %s: with a target of %s %% the highest is %s%s",
				word, short(a.burnRate), percent(g.target), short(highest), hint)
			continue
		}
		a.BurnRate, _ = a.burnRate.Float64()
		out = append(out, a.Alert)
	}
	return out
}

// short writes a number for people. It rounds down, so that a burn rate which is refused never equals the highest one.
func short(number *big.Rat) string {
	const million = 1_000_000
	whole := new(big.Int).Mul(number.Num(), big.NewInt(million))
	whole.Quo(whole, number.Denom())
	text := new(big.Rat).SetFrac(whole, big.NewInt(million)).FloatString(6)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}
