package prometheus

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	// evaluation is the interval of the rules here, batch the time between two requests to the collector.
	evaluation = time.Minute
	batch      = 10 * time.Second
	// requests are those of a batch.
	requests = 10
	// stream is as long as it takes for all four pairs of windows to burn and to be calm again.
	stream = 37 * time.Hour
	// near is how far a start or an end may be off: two evaluations, and the bucket by which the connector moves the windows on that
	// decide here, those of six hours.
	near = 2*evaluation + 6*time.Hour/60
)

// streamStart is a day long gone, and the beginning of a bucket of each window.
var streamStart = time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)

// bad is how many requests of a batch fail. The target is 99.9 %.
func bad(number int) int {
	switch hour := (time.Duration(number) * batch).Hours(); {
	case hour >= 1 && hour < 2 && number%40 == 0:
		return 1 // 2.5 times what is allowed, but with too little past for a ticket
	case hour >= 10 && hour < 10.5:
		return 3 // 300 times: a page at once
	case hour >= 14 && hour < 18 && number%10 == 0:
		return 1 // ten times: a page by the second pair
	default:
		return 0
	}
}

// replayed gives one collector two connectors, in the time of the recording: one gives verdicts, the other one counts for Prometheus.
const replayed = `
receivers:
  otlp:
    protocols:
      http: {endpoint: %q}
connectors:
  service_health:
    slo: {files: [%q]}
    metrics: {dependency.calls: {enabled: false}}
  service_health/count:
    clock: event
    slo: {files: [%q], verdicts: false}
exporters:
  otlp_http:
    metrics_endpoint: http://%s/api/v1/otlp/v1/metrics
    compression: none
    sending_queue: {enabled: false}
service:
  pipelines:
    traces:
      exporters: [service_health, service_health/count]
    metrics/count:
      receivers: [service_health/count]
      exporters: [otlp_http]
`

const objective = `
apiVersion: openslo/v1
kind: SLO
metadata: {name: answers}
spec:
  service: shop/front
  indicator:
    metadata: {name: answers}
    spec:
      ratioMetric:
        counter: true
        total: {metricSource: {type: OpenTelemetry, spec: {signal: traces, condition: kind == SPAN_KIND_SERVER}}}
        good: {metricSource: {type: OpenTelemetry, spec: {condition: status.code != STATUS_CODE_ERROR}}}
  timeWindow: [{duration: 30d, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{target: 0.999}]
`

// spans are the requests that end at the time of a batch, as OTLP in JSON.
func spans(number int) []byte {
	end := streamStart.Add(time.Duration(number) * batch).UnixNano()
	all := make([]map[string]any, requests)
	for i := range all {
		id := fmt.Sprintf("%016x", number*requests+i+1)
		all[i] = map[string]any{
			"traceId": id + id, "spanId": id, "kind": 2, "name": "GET",
			"startTimeUnixNano": strconv.FormatInt(end-1000, 10), "endTimeUnixNano": strconv.FormatInt(end, 10),
		}
		if i < bad(number) {
			all[i]["status"] = map[string]any{"code": 2}
		}
	}
	text := func(key, value string) map[string]any {
		return map[string]any{"key": key, "value": map[string]any{"stringValue": value}}
	}
	body, err := json.Marshal(map[string]any{"resourceSpans": []any{map[string]any{
		"resource":   map[string]any{"attributes": []any{text("service.namespace", "shop"), text("service.name", "front")}},
		"scopeSpans": []any{map[string]any{"spans": all}},
	}}})
	if err != nil {
		panic(err)
	}
	return body
}

// burn is from when to when an alert of a severity fired, as far as it ended.
type burn struct {
	severity   string
	start, end time.Time
}

// told reads the burns from the collector's events.
func told(t *testing.T, path string) []burn {
	t.Helper()
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	var burns []burn
	open := map[string]int{}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var logs struct {
			ResourceLogs []struct {
				ScopeLogs []struct {
					LogRecords []struct {
						EventName    string
						TimeUnixNano string
						Attributes   []struct {
							Key   string
							Value struct{ StringValue string }
						}
					}
				}
			}
		}
		require.NoError(t, json.Unmarshal(lines.Bytes(), &logs))
		for _, r := range logs.ResourceLogs[0].ScopeLogs[0].LogRecords {
			severity := ""
			for _, a := range r.Attributes {
				if a.Key == "severity" {
					severity = a.Value.StringValue
				}
			}
			nanos, err := strconv.ParseInt(r.TimeUnixNano, 10, 64)
			require.NoError(t, err)
			at := time.Unix(0, nanos).UTC()
			switch r.EventName {
			case "slo.burn.started":
				open[severity] = len(burns)
				burns = append(burns, burn{severity: severity, start: at})
			case "slo.burn.resolved":
				burns[open[severity]].end = at
			}
		}
	}
	require.NoError(t, lines.Err())
	return burns
}

// TestTheRulesAgreeWithTheConnector evaluates the shipped rules by Prometheus' own engine, on what the connector counts and Prometheus
// takes by OTLP, and holds what fires against the connector's own verdicts.
func TestTheRulesAgreeWithTheConnector(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	logger := promslog.NewNopLogger()
	db, err := tsdb.Open(t.TempDir(), logger, nil, tsdb.DefaultOptions(), nil)
	require.NoError(t, err)
	defer db.Close()
	settings, err := config.Load("", logger)
	require.NoError(t, err)
	refused := 0
	receiver := remote.NewOTLPWriteHandler(
		logger, prometheus.NewRegistry(), db, func() config.Config { return *settings }, remote.OTLPOptions{LookbackDelta: lookback},
	)
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		receiver.ServeHTTP(answer, r)
		if answer.Code >= http.StatusMultipleChoices {
			refused++
			t.Log(answer.Code, answer.Body.String())
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	}))
	defer backend.Close()

	dir := t.TempDir()
	slo, overlay := filepath.Join(dir, "slo.yaml"), filepath.Join(dir, "overlay.yaml")
	require.NoError(t, os.WriteFile(slo, []byte(objective), 0o600))
	address := freeAddresses(t, 1)[0]
	require.NoError(t, os.WriteFile(overlay, fmt.Appendf(nil, replayed, address, slo, slo, backend.Listener.Addr()), 0o600))
	start(t, []string{"THROUGHLINE_OUT=" + dir}, "throughline", "--config", "config/replay.yaml", "--config", overlay)
	post := func(body []byte) bool {
		response, err := http.Post("http://"+address+"/v1/traces", "application/json", bytes.NewReader(body))
		if err != nil {
			return false
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK
	}
	require.Eventually(t, func() bool { return post(spans(0)) }, startTimeout, pollInterval)
	alerts := newAlerts(t, db)
	for number := 1; number < int(stream/batch); number++ {
		require.True(t, post(spans(number)))
		if at := time.Duration(number) * batch; at%evaluation == 0 {
			alerts.evaluate(streamStart.Add(at))
		}
	}
	assert.Zero(t, refused, "Prometheus takes all")
	events := filepath.Join(dir, "events.jsonl")
	require.Eventually(t, func() bool { return len(told(t, events)) >= len(alerts.burns) }, startTimeout, pollInterval)
	all := told(t, events)
	require.Len(t, all, len(alerts.burns))
	for i, want := range all {
		got := alerts.burns[i]
		t.Logf("%s: %s to %s, by the rules %s to %s", want.severity,
			want.start.Sub(streamStart), want.end.Sub(streamStart), got.start.Sub(streamStart), got.end.Sub(streamStart))
		assert.Equal(t, want.severity, got.severity)
		assert.WithinDuration(t, want.start, got.start, near)
		assert.WithinDuration(t, want.end, got.end, near)
	}
}

// alerts are the shipped rules.
type alerts struct {
	t      *testing.T
	groups map[string]*rules.Group
	burns  []burn
	// open are the indices of the burns that go on, by severity.
	open map[string]int
}

func newAlerts(t *testing.T, db *tsdb.DB) *alerts {
	t.Helper()
	engine := promql.NewEngine(promql.EngineOpts{
		MaxSamples: maxSamples, Timeout: queryTimeout, LookbackDelta: lookback, Parser: parser.NewParser(parser.Options{}),
	})
	t.Cleanup(func() { require.NoError(t, engine.Close()) })
	manager := rules.NewManager(&rules.ManagerOptions{
		Context: t.Context(), Queryable: db, Appendable: db, QueryFunc: rules.EngineQueryFunc(engine, db), Logger: promslog.NewNopLogger(),
		NotifyFunc: func(context.Context, string, ...*rules.Alert) {},
	})
	groups, errs := manager.LoadGroups(evaluation, labels.EmptyLabels(), "", nil, false, filepath.Join(root, "config/prometheus/slo.rules.yaml"))
	require.Empty(t, errs)
	for _, g := range groups {
		for _, r := range g.AlertingRules() {
			r.SetRestored(true) // There is nothing to restore, and without this no ALERTS.
		}
	}
	return &alerts{t: t, groups: groups, open: map[string]int{}}
}

// evaluate notes for each severity whether any alert fires.
func (a *alerts) evaluate(at time.Time) {
	a.t.Helper()
	firing := map[string]bool{}
	for _, g := range a.groups {
		g.Eval(a.t.Context(), at)
		for _, r := range g.Rules() {
			require.NoError(a.t, r.LastError(), r.Name())
		}
		for _, r := range g.AlertingRules() {
			for _, alert := range r.ActiveAlerts() {
				if alert.State == rules.StateFiring {
					firing[r.Labels().Get("severity")] = true
				}
			}
		}
	}
	for _, severity := range []string{"page", "ticket"} {
		number, was := a.open[severity]
		switch {
		case firing[severity] && !was:
			a.open[severity] = len(a.burns)
			a.burns = append(a.burns, burn{severity: severity, start: at})
		case !firing[severity] && was:
			a.burns[number].end = at
			delete(a.open, severity)
		}
	}
}
