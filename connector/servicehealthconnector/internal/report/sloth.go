package report

import (
	"strconv"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

const day = 24 * time.Hour

// slothErrors are the windows that have a metric of their own, which bears their name. What is measured over others has none.
var slothErrors = []struct {
	over time.Duration
	name string
	Declaration
}{
	{5 * time.Minute, "5m", Declaration{"slo:sli_error:ratio_rate5m", "", "The share of bad events over 5m, as Sloth has it."}},
	{30 * time.Minute, "30m", Declaration{"slo:sli_error:ratio_rate30m", "", "The share of bad events over 30m, as Sloth has it."}},
	{time.Hour, "1h", Declaration{"slo:sli_error:ratio_rate1h", "", "The share of bad events over 1h, as Sloth has it."}},
	{2 * time.Hour, "2h", Declaration{"slo:sli_error:ratio_rate2h", "", "The share of bad events over 2h, as Sloth has it."}},
	{6 * time.Hour, "6h", Declaration{"slo:sli_error:ratio_rate6h", "", "The share of bad events over 6h, as Sloth has it."}},
	{day, "1d", Declaration{"slo:sli_error:ratio_rate1d", "", "The share of bad events over 1d, as Sloth has it."}},
	{3 * day, "3d", Declaration{"slo:sli_error:ratio_rate3d", "", "The share of bad events over 3d, as Sloth has it."}},
	{7 * day, "1w", Declaration{"slo:sli_error:ratio_rate1w", "", "The share of bad events over 1w, as Sloth has it."}},
	{28 * day, "4w", Declaration{"slo:sli_error:ratio_rate4w", "", "The share of bad events over 4w, as Sloth has it."}},
	{30 * day, "30d", Declaration{"slo:sli_error:ratio_rate30d", "", "The share of bad events over 30d, as Sloth has it."}},
}

var (
	slothObjective  = Declaration{"slo:objective:ratio", "", "The share of events that should be good, as Sloth has it."}
	slothBudget     = Declaration{"slo:error_budget:ratio", "", "The share of events that may be bad, as Sloth has it."}
	slothPeriod     = Declaration{"slo:time_period:days", "", "The objective's window in days, as Sloth has it."}
	slothCurrent    = Declaration{"slo:current_burn_rate:ratio", "", "The burn rate over five minutes, or else over the shortest window, as Sloth has it."}
	slothPeriodBurn = Declaration{"slo:period_burn_rate:ratio", "", "The burn rate over the objective's window, as Sloth has it."}
	slothRemaining  = Declaration{"slo:period_error_budget_remaining:ratio", "", "The share of the error budget that is left, as Sloth has it."}
	slothInfo       = Declaration{"sloth_slo_info", "", "1 for each objective, as Sloth has it."}
)

func slothDeclarations() []Declaration {
	all := []Declaration{slothObjective, slothBudget, slothPeriod, slothCurrent, slothPeriodBurn, slothRemaining, slothInfo}
	for _, e := range slothErrors {
		all = append(all, e.Declaration)
	}
	return all
}

// Sloth adds where an objective over a window stands, under the names that the rules of Sloth have for it.
func (m *Metrics) Sloth(r Reading, window time.Duration) {
	budget := 1 - r.Target
	put := func(k Declaration, value float64) pcommon.Map {
		p := m.point(k)
		p.SetDoubleValue(value)
		a := p.Attributes()
		a.PutStr("sloth_id", r.Service+"-"+r.Name)
		a.PutStr("sloth_service", r.Service)
		a.PutStr("sloth_slo", r.Name)
		for _, g := range r.Group {
			a.PutStr(g.Key, g.Value)
		}
		return a
	}
	put(slothObjective, r.Target)
	put(slothBudget, budget)
	put(slothPeriod, window.Hours()/day.Hours())
	info := put(slothInfo, 1)
	info.PutStr("sloth_mode", "throughline")
	info.PutStr("sloth_spec", "openslo/v1")
	info.PutStr("sloth_objective", strconv.FormatFloat(100*r.Target, 'g', 9, 64))
	errors := func(over time.Duration, burn float64) {
		for _, e := range slothErrors {
			if e.over == over {
				put(e.Declaration, burn*budget).PutStr("sloth_window", e.name)
			}
		}
	}
	var shortest *Rate
	for i := range r.Windows {
		w := &r.Windows[i]
		if shortest == nil || w.Window == 5*time.Minute || shortest.Window != 5*time.Minute && w.Window < shortest.Window {
			shortest = w
		}
		if w.Known && w.Window != window {
			errors(w.Window, w.Burn)
		}
	}
	if shortest != nil && shortest.Known {
		put(slothCurrent, shortest.Burn)
	}
	if r.Known {
		errors(window, 1-r.Remaining)
		put(slothPeriodBurn, 1-r.Remaining)
		put(slothRemaining, r.Remaining)
	}
}
