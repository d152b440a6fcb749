package openslo_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// published are the examples of OpenSLO v1, by their path in https://github.com/OpenSLO/OpenSLO/tree/main. Most query a system that keeps metrics, and are refused for that.
var published = []struct {
	path string
	// refused is the case that is refused for the same reason, and reason that; none if the example loads as it is.
	refused, reason string
	// bound is the case that has the example's features bound to telemetry; none if there is nothing to bind.
	bound string
}{
	{path: "pkg/openslo/v1/examples/services.yaml", bound: "list_of_documents"},
	{path: "pkg/openslo/v1/examples/alert_notification_targets.yaml", bound: "list_of_documents"},
	{"pkg/openslo/v1/examples/data_sources.yaml", "refused_sources", "`spec.type`: must be OpenTelemetry", "by_reference"},
	{"pkg/openslo/v1/examples/slis.yaml", "refused_sources", "must be OpenTelemetry", "raw"},
	// The SLI end-user-response of that file.
	{"pkg/openslo/v1/examples/slis.yaml", "refused_combinations", "ratioMetric.counter`: must be true", "metrics"},
	{"pkg/openslo/v1/examples/slos.yaml", "refused_sources", "must be OpenTelemetry", "calendar"},
	{"pkg/openslo/v1/examples/alert_policies.yaml", "refused_unused", "no SLO refers to the AlertPolicy", "inlined"},
	{"pkg/openslo/v1/examples/alert_conditions.yaml", "refused_combinations", "must be gt or gte", "by_reference"},
	{"examples/budgeting-method/occurences-slo.yaml", "refused_sources", "must be OpenTelemetry", "inlined"},
	// A month is 1M; 1m is a minute.
	{"examples/budgeting-method/timeslices-slo.yaml", "refused_calendar", `"5m" is no part of a calendar`, "timeslices"},
	{"examples/budgeting-method/ratio-timeslices.yaml", "refused_sources", "must be OpenTelemetry", "ratio_timeslices"},
	{
		"examples/treat-low-traffic-as-equally-important/timeslices-slo.yaml",
		"refused_sources", "must be OpenTelemetry", "calendar",
	},
	{"schema-test/spec-files/v1/slo/slo-indicatorref-rolling-alerts.yaml", "refused_references", "there is no SLI", "by_name"},
	{"schema-test/spec-files/v1/slo/slo-no-indicatorref-calendar-alerts.yaml", "refused_sources", "must be OpenTelemetry", "calendar"},
	{"schema-test/spec-files/v1/sli/sli-ratio-good-and-bad.yaml", "refused_metric", "either good or bad, not both", "metrics"},
}

func TestPublishedExamples(t *testing.T) {
	for _, example := range published {
		t.Run(example.path, func(t *testing.T) {
			if example.refused != "" {
				said, err := os.ReadFile(filepath.Join("testdata", example.refused, "error.txt"))
				require.NoError(t, err)
				assert.Contains(t, string(said), example.reason)
			}
			if example.bound != "" {
				assert.FileExists(t, filepath.Join("testdata", example.bound, "expected.yaml"))
			}
		})
	}
}
