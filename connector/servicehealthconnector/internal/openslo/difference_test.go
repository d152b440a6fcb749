package openslo_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/ledger"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/openslo"
)

func load(t *testing.T, documents ...string) []openslo.Objective {
	t.Helper()
	path := filepath.Join(t.TempDir(), "slo.yaml")
	require.NoError(t, os.WriteFile(path, []byte(strings.Join(documents, "---\n")), 0o600))
	objectives, err := openslo.Load([]string{path}, nil)
	require.NoError(t, err)
	return objectives
}

func TestWhatCountsTheSame(t *testing.T) {
	const calendar = "  timeWindow: [{duration: 1M, calendar: {startTime: 2026-01-01 00:00:00, timeZone: Europe/Zurich}}]\n"
	was := promise("one", "0.99")
	for _, test := range []struct {
		name, now       string
		counted, change bool
	}{
		{"nothing is other", was, false, false},
		{"it is written elsewhere", "# A word.\n\n" + was, false, false},
		{"the annotations of others", promise("one", "0.99", "    example.com/dashboard: d"), false, false},
		{"the target", promise("one", "0.995"), false, true},
		{"maintenance", promise("one", "0.99", "    throughline/maintenance: 2026-01-01T00:00:00Z/2026-01-02T00:00:00Z"), false, true},
		{"the runbook", promise("one", "0.99", "    throughline/runbook: https://example.com"), false, true},
		{"the least events", promise("one", "0.99", "    throughline/minimum-events: 7"), false, true},
		{"a calendar", was + calendar, false, true},
		{"what is excluded", promise("one", "0.99", `    throughline/exclude: name == "probe"`), true, true},
		{"what is bad", strings.Replace(was, "== STATUS_CODE_ERROR", "!= STATUS_CODE_OK", 1), true, true},
		{"what counts", strings.Replace(was, "signal: traces", `signal: traces, condition: name == "a"`, 1), true, true},
		{"groups", strings.Replace(was, "signal: traces", "signal: traces, groupBy: [tenant]", 1), true, true},
		{"the signal", strings.Replace(was, "signal: traces", "signal: logs", 1), true, true},
		{"the service", strings.Replace(was, "service: shop/front", "service: front", 1), true, true},
		{"the budgeting method", strings.Replace(strings.Replace(was, "Occurrences", "RatioTimeslices", 1),
			"target: 0.99", "target: 0.99, timeSliceWindow: 1m", 1), true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			before, after := load(t, was), load(t, test.now)
			assert.Equal(t, test.counted, ledger.Identity(&before[0]) != ledger.Identity(&after[0]))
			var want openslo.Difference
			if test.change {
				want.Changed = []string{"one"}
			}
			assert.Equal(t, want, openslo.Compare(before, after))
		})
	}
	assert.Empty(t, openslo.Compare(load(t, was+calendar), load(t, was+calendar)), "zones are loaded anew")
}

func TestWhatHasBecomeOfObjectives(t *testing.T) {
	before := load(t, promise("gone", "0.99"), promise("stays", "0.99"), promise("moves", "0.99"))
	after := load(t, promise("moves", "0.99"), promise("comes", "0.99"), promise("stays", "0.98"))
	assert.Equal(t, openslo.Difference{
		Added: []string{"comes"}, Changed: []string{"stays"}, Removed: []string{"gone"},
	}, openslo.Compare(before, after))
}
