package prometheus

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	connector = root + "/connector/servicehealthconnector"
	// silent is how the README marks a question that has no answer while all is well.
	silent = "(nothing while all is well)"
	// answerTimeout is for the fault to show in all metrics: its traces, two flushes of 5 s, and a machine with other work.
	answerTimeout = time.Minute
)

// question is a query of the README, with the comment above it.
type question struct {
	asks, query string
	silent      bool
}

var blocks = regexp.MustCompile("(?ms)^```promql\n(.*?)^```$")

// questions finds the queries in a page: those in one block have an empty line between them.
func questions(page string) []question {
	var all []question
	for _, block := range blocks.FindAllStringSubmatch(page, -1) {
		for part := range strings.SplitSeq(strings.TrimSpace(block[1]), "\n\n") {
			asks, _, _ := strings.Cut(strings.TrimPrefix(part, "# "), "\n")
			all = append(all, question{asks: asks, query: part, silent: strings.Contains(asks, silent)})
		}
	}
	return all
}

func TestQuestions(t *testing.T) {
	page := "text\n```promql\n# Who? (nothing while all is well)\na\n  > 0\n\n# What?\nb\n```\n" +
		"```yaml\nc: d\n```\n```promql\ne\n```\n"
	assert.Equal(t, []question{
		{asks: "Who? (nothing while all is well)", query: "# Who? (nothing while all is well)\na\n  > 0", silent: true},
		{asks: "What?", query: "# What?\nb"},
		{asks: "e", query: "e"},
	}, questions(page))
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(connector, name))
	require.NoError(t, err)
	return string(text)
}

// TestEveryMetricIsAskedFor holds the queries of the README against the list of what the connector emits.
func TestEveryMetricIsAskedFor(t *testing.T) {
	var asked []string
	for _, q := range questions(read(t, "README.md")) {
		expression, err := parser.NewParser(parser.Options{}).ParseExpr(q.query)
		require.NoError(t, err, q.query)
		parser.Inspect(expression, func(n parser.Node, _ []parser.Node) error {
			if selector, ok := n.(*parser.VectorSelector); ok {
				asked = append(asked, selector.Name)
			}
			return nil
		})
	}
	_, listed, ok := strings.Cut(read(t, "documentation.md"), "\n## Default Metrics\n")
	require.True(t, ok)
	listed, _, ok = strings.Cut(listed, "\n## Default Events\n")
	require.True(t, ok)
	metrics := regexp.MustCompile(`(?m)^### (\S+)$`).FindAllStringSubmatch(listed, -1)
	require.NotEmpty(t, metrics)
	for _, metric := range metrics {
		// Only a unit and a suffix for its type may follow.
		name := regexp.MustCompile("^" + strings.ReplaceAll(metric[1], ".", "_") + "(_seconds)?(_total|_bucket)?$")
		assert.True(t, slices.ContainsFunc(asked, name.MatchString), "no query has %s", metric[1])
	}
}

// TestTheQueriesOfTheReadme asks them of the shop, before and under a fault.
func TestTheQueriesOfTheReadme(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	all := questions(read(t, "README.md"))
	require.NotEmpty(t, all)
	metrics, started := startPrograms(t)
	prometheus := startServer(t, metrics)
	well := started.Add(warmup)
	time.Sleep(time.Until(well))

	t.Run("well", func(t *testing.T) {
		for _, q := range all {
			answer := prometheus.ask(t, q.query, well)
			if q.silent {
				assert.Empty(t, answer, q.query)
			} else {
				assert.NotEmpty(t, answer, q.query)
			}
		}
	})
	t.Run("what the shop does", func(t *testing.T) { testShop(t, prometheus, well) })

	var ill time.Time
	var open []string
	for deadline := well.Add(answerTimeout); ; time.Sleep(scrapeInterval) {
		ill, open = time.Now(), nil
		for _, q := range all {
			if len(prometheus.ask(t, q.query, ill)) == 0 {
				open = append(open, q.query)
			}
		}
		if len(open) == 0 || ill.After(deadline) {
			break
		}
	}
	require.Empty(t, open, "without an answer")
	t.Logf("all was answered %.0f s after the fault", ill.Sub(well).Seconds())
	// The scrape that brought the last answer may have come in the middle of a flush. The next one has all of it.
	time.Sleep(2 * scrapeInterval)
	ill = time.Now()
	for _, q := range all {
		t.Run(q.asks, func(t *testing.T) {
			answer := prometheus.ask(t, q.query, ill)
			assert.NotEmpty(t, answer)
			for _, sample := range answer {
				t.Log(sample)
				assert.True(t, isFinite(sample), "%s: %s", q.query, sample)
			}
		})
	}
	t.Run("what the fault does", func(t *testing.T) { testFault(t, prometheus, ill) })
}

func isFinite(s promql.Sample) bool {
	value := s.F
	if s.H != nil {
		value = s.H.Sum + s.H.Count
	}
	return !math.IsNaN(value) && !math.IsInf(value, 0)
}

// testShop holds what is counted and measured against what the shop is known to do.
func testShop(t *testing.T, prometheus *server, at time.Time) {
	const within = 0.1
	for query, want := range map[string]float64{
		// Half of the customers look at a product and three in ten buy; both make front call somebody.
		`sum(rate(dependency_calls_total{caller_service_name="front"}[15s]))`:                                     0.8 * rate,
		`sum(histogram_count(rate(dependency_duration_seconds{caller_service_name="front",side="caller"}[15s])))`: 0.8 * rate,
		`sum(rate(slo_events_total{slo_name="front-availability"}[15s]))`:                                         rate,
		`slo_objective{slo_name="front-availability"}`:                                                            0.99,
		`count(count by (slo_name) (slo_error_budget_remaining))`:                                                 3,
	} {
		assert.InEpsilon(t, want, prometheus.one(t, query, at), within, query)
	}
	// A query takes 18 ms, of which a checkout has some; the upper bounds leave room for a machine with other work.
	for callee, bounds := range map[string][2]float64{
		"sqlite:shop": {0.017, 0.1},
		"checkout":    {0.03, 0.3},
	} {
		for _, quantile := range []string{"0.5", "0.95"} {
			query := fmt.Sprintf(
				`histogram_quantile(%s, sum(rate(dependency_duration_seconds{side="caller", callee_service_name=%q}[15s])))`,
				quantile, callee,
			)
			got := prometheus.one(t, query, at)
			t.Logf("%s to %s: %.4f s", quantile, callee, got)
			assert.True(t, bounds[0] <= got && got <= bounds[1], "%s: %v", query, got)
		}
	}
	for _, sample := range prometheus.ask(t, `dependency_duration_seconds`, at) {
		assert.NotNil(t, sample.H, "%s is no native histogram", sample.Metric)
	}
	for _, sample := range prometheus.ask(t, `sum without (state, reason, origin) (dependency_health)`, at) {
		assert.EqualValues(t, 1, sample.F, "%s is in as many states", sample.Metric)
	}
}

// testFault holds what is said against what is true: the provider of cards is down.
func testFault(t *testing.T, prometheus *server, at time.Time) {
	for _, query := range []string{
		`dependency_health{callee_service_name="cards.example.com", state=~"degraded|failing", reason="errors", origin="self"} == 1`,
		`topk(1, sum by (culprit_service_name) (increase(slo_bad_events_blamed_total{slo_name="front-availability"}[1m])))`,
	} {
		answer := prometheus.ask(t, query, at)
		require.Len(t, answer, 1, query)
		assert.Contains(t, answer[0].Metric.String(), `"cards.example.com"`)
	}
	for _, sample := range prometheus.ask(t, `sum without (state, reason, origin) (dependency_health)`, at) {
		assert.EqualValues(t, 1, sample.F, "%s is in as many states", sample.Metric)
	}
}
