package report

import (
	"math"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// slothQueries are selectors, by Sloth's conventions and by what its own pages ask, each with the labels that it needs.
var slothQueries = []string{
	`slo:sli_error:ratio_rate5m{sloth_id,sloth_service,sloth_slo,sloth_window}`,
	`slo:sli_error:ratio_rate30m{sloth_id,sloth_service,sloth_slo,sloth_window}`,
	`slo:sli_error:ratio_rate1h{sloth_id,sloth_service,sloth_slo,sloth_window}`,
	`slo:sli_error:ratio_rate2h{sloth_id,sloth_service,sloth_slo,sloth_window}`,
	`slo:sli_error:ratio_rate6h{sloth_id,sloth_service,sloth_slo,sloth_window}`,
	`slo:sli_error:ratio_rate1d{sloth_id,sloth_service,sloth_slo,sloth_window}`,
	`slo:sli_error:ratio_rate3d{sloth_id,sloth_service,sloth_slo,sloth_window}`,
	`slo:sli_error:ratio_rate30d{sloth_id,sloth_service,sloth_slo,sloth_window}`,
	`slo:objective:ratio{sloth_id,sloth_service,sloth_slo}`,
	`slo:error_budget:ratio{sloth_id,sloth_service,sloth_slo}`,
	`slo:time_period:days{sloth_id,sloth_service,sloth_slo}`,
	`slo:current_burn_rate:ratio{sloth_id,sloth_service,sloth_slo}`,
	`slo:period_burn_rate:ratio{sloth_id,sloth_service,sloth_slo}`,
	`slo:period_error_budget_remaining:ratio{sloth_id,sloth_service,sloth_slo}`,
	`sloth_slo_info{sloth_id,sloth_service,sloth_slo,sloth_mode,sloth_spec,sloth_objective}`,
}

// told30d is what is told of an objective of 30 days without alert conditions of its own.
func told30d(t *testing.T, r Reading) map[string]pcommon.Map {
	t.Helper()
	r.Objective = Objective{Name: "answers", Service: "shop/front", Group: []Attribute{{"http.route", "/pay"}}}
	m := NewMetrics("test", "", time.Unix(0, 0), time.Unix(10, 0), false)
	m.Sloth(r, 30*24*time.Hour)
	told := map[string]pcommon.Map{}
	for _, metric := range m.Metrics().ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
		require.Equal(t, 1, metric.Gauge().DataPoints().Len(), metric.Name())
		p := metric.Gauge().DataPoints().At(0)
		p.Attributes().PutDouble("value", p.DoubleValue())
		told[metric.Name()] = p.Attributes()
	}
	return told
}

func windowsAt(burn float64) []Rate {
	var rates []Rate
	for _, w := range []time.Duration{time.Hour, 5 * time.Minute, 6 * time.Hour, 30 * time.Minute, day, 2 * time.Hour, 3 * day} {
		rates = append(rates, Rate{Window: w, Burn: burn * w.Minutes(), Known: true})
	}
	return rates
}

func TestSlothsQueriesHaveTheirMetrics(t *testing.T) {
	told := told30d(t, Reading{Target: 0.99, Known: true, Remaining: 0.25, Windows: windowsAt(1)})
	assert.Len(t, told, len(slothQueries))
	for _, query := range slothQueries {
		parts := regexp.MustCompile(`[a-z0-9_:]+`).FindAllString(query, -1)
		attributes, ok := told[parts[0]]
		require.True(t, ok, "%s has no metric", query)
		for _, label := range parts[1:] {
			_, ok = attributes.Get(label)
			assert.True(t, ok, "%s has no %s", parts[0], label)
		}
		assert.True(t, slices.ContainsFunc(declarations, func(d Declaration) bool { return d.Name == parts[0] }), parts[0])
	}
	for name, want := range map[string]float64{
		"slo:sli_error:ratio_rate5m":              0.05,
		"slo:sli_error:ratio_rate1h":              0.6,
		"slo:sli_error:ratio_rate30d":             0.0075,
		"slo:objective:ratio":                     0.99,
		"slo:error_budget:ratio":                  0.01,
		"slo:time_period:days":                    30,
		"slo:current_burn_rate:ratio":             5,
		"slo:period_burn_rate:ratio":              0.75,
		"slo:period_error_budget_remaining:ratio": 0.25,
		"sloth_slo_info":                          1,
	} {
		value, _ := told[name].Get("value")
		assert.InDelta(t, want, value.Double(), 1e-9, name)
	}
	info := told["sloth_slo_info"].AsRaw()
	assert.Equal(t, "99", info["sloth_objective"])
	assert.Equal(t, "shop/front-answers", info["sloth_id"])
	assert.Equal(t, "/pay", info["http.route"])
}

func TestSlothHasNothingOfWhatIsNotKnown(t *testing.T) {
	told := told30d(t, Reading{Target: 0.999, Exhaustion: math.Inf(1), Windows: []Rate{{Window: 5 * time.Minute}, {Window: 7 * time.Minute, Known: true}}})
	assert.Len(t, told, 4, "the objective, its budget, its window, and that it is there")
	assert.Equal(t, "99.9", told["sloth_slo_info"].AsRaw()["sloth_objective"])
}
