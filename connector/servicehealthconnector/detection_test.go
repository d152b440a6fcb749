package servicehealthconnector

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.yaml.in/yaml/v3"
)

// availability is an objective over the spans of front. Without an alert policy it has the pairs of the SRE Workbook.
const availability = `
apiVersion: openslo/v1
kind: SLO
metadata: {name: front-availability}
spec:
  service: front
  indicator:
    spec:
      ratioMetric:
        total: {metricSource: {type: OpenTelemetry, spec: {signal: traces, condition: "kind == SPAN_KIND_SERVER"}}}
        good: {metricSource: {type: OpenTelemetry, spec: {condition: "status.code != STATUS_CODE_ERROR"}}}
  timeWindow: [{duration: 30d, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{target: 0.999}]
`

// TestAFullOutagePages lets everything fail after healthy traffic, and looks when the page comes. By the arithmetic a burn rate
// of 14.4 over the last hour takes a share of 1.44 %: of a whole hour of even traffic these are 51.84 s of outage, of ten
// minutes 8.64 s. What comes on top of that is the trace window, and a second between two requests.
func TestAFullOutagePages(t *testing.T) {
	for _, c := range []struct{ healthy, arithmetic time.Duration }{
		{10 * time.Minute, 8640 * time.Millisecond},
		{3 * time.Hour, 51840 * time.Millisecond},
	} {
		t.Run(c.healthy.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { outage(t, c.healthy, c.arithmetic) })
		})
	}
}

func outage(t *testing.T, healthy, arithmetic time.Duration) {
	cfg := createDefaultConfig().(*Config)
	cfg.SLO.Documents = documentsOf(t, availability)
	require.NoError(t, cfg.Validate())
	var events consumertest.LogsSink
	c, err := NewFactory().CreateTracesToLogs(t.Context(), settings(""), cfg, &events)
	require.NoError(t, err)
	require.NoError(t, c.Start(t.Context(), componenttest.NewNopHost()))
	request := func(n int, status string) {
		time.Sleep(time.Second)
		s := span{Service: "front", Trace: fmt.Sprint(n), ID: "answer", Kind: "server", End: 0.1, Status: status}
		require.NoError(t, c.ConsumeTraces(t.Context(), present(traces([]span{s}))))
	}
	seconds := int(healthy / time.Second)
	for n := range seconds {
		request(n, "")
	}
	require.Empty(t, pages(&events))
	request(seconds, "error")
	first := time.Now()
	limit := time.Minute + cfg.FlushInterval
	for n := seconds + 1; len(pages(&events)) == 0 && time.Since(first) < 2*limit; n++ {
		request(n, "error")
	}
	require.NotEmpty(t, pages(&events))
	page := pages(&events)[0]
	assert.Equal(t, "1h", value(page.Attributes(), "slo.burn.long_window"))
	delay := page.Timestamp().AsTime().Sub(first)
	t.Logf("paged %s after the first bad event", delay)
	assert.LessOrEqual(t, delay, limit, "60 s and the flush interval")
	assert.InDelta(t, (arithmetic + cfg.TraceWindow).Seconds(), delay.Seconds(), 2)
	require.NoError(t, c.Shutdown(t.Context()))
}

// pages are the announcements of burns that wake somebody up.
func pages(events *consumertest.LogsSink) []plog.LogRecord {
	var all []plog.LogRecord
	for _, ld := range events.AllLogs() {
		for _, record := range ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().All() {
			if record.EventName() == "slo.burn.started" && value(record.Attributes(), "severity") == "page" {
				all = append(all, record)
			}
		}
	}
	return all
}

// TestBacktest replays one recording, ten minutes of healthy traffic and two in which all fails, against a document and
// changes of it: the same telemetry, told when the changed document would have told it.
func TestBacktest(t *testing.T) {
	const recorded = `
      - {service: front, trace: t, id: answer, kind: server, start: 0, end: 0.1`
	const traffic = `
traffic:
  - from: 0
    until: 600
    spans:` + recorded + `}
  - from: 600
    until: 720
    spans:` + recorded + `, status: error}
`
	const policy = `  alertPolicies:
    - kind: AlertPolicy
      metadata: {name: on-call}
      spec:
        conditions:
          - kind: AlertCondition
            metadata: {name: fast, annotations: {throughline/short-window: 10s, throughline/minimum-events: "10"}}
            spec: {severity: page, condition: {kind: burnrate, op: gte, threshold: 14.4, lookbackWindow: 1m}}
`
	document := strings.Replace(availability, "target: 0.999", "target: 0.99", 1) + policy
	for name, c := range map[string]struct{ old, changed, started string }{
		// 14.4 % of the last minute are 8.64 s; what comes on top is the trace window of 10 s.
		"as it is": {"", "", "12:10:18"},
		// 1.44 % are less than a second.
		"a stricter target": {"target: 0.99", "target: 0.999", "12:10:10"},
		// Half of a minute.
		"a higher rate": {"threshold: 14.4", "threshold: 50", "12:10:40"},
		// 14.4 % of five minutes.
		"a longer window": {"lookbackWindow: 1m", "lookbackWindow: 5m", "12:10:52"},
		// 14.4 % of the first hour, of which there are 10 minutes and what has failed so far: 101 s of 701.
		"the pairs of the SRE Workbook": {policy, "", "12:11:50"},
		// A minute has 600 events.
		"more events than there are": {`minimum-events: "10"`, `minimum-events: "700"`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			require.Contains(t, document, c.old)
			changed := strings.Replace(document, c.old, c.changed, 1)
			var in input
			require.NoError(t, yaml.Unmarshal([]byte(traffic), &in))
			in.Documents = documentsOf(t, changed)
			started := ""
			for _, event := range run(t, in).Events {
				if rest, ok := strings.CutPrefix(event, "slo.burn.started at "); ok && started == "" {
					started, _, _ = strings.Cut(rest, ": ")
				}
			}
			assert.Equal(t, c.started, started)
		})
	}
}

// documentsOf is a document as the configuration has it.
func documentsOf(t *testing.T, text string) []map[string]any {
	t.Helper()
	var document map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(text), &document))
	return []map[string]any{document}
}
