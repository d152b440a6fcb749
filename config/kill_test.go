package config

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	programs "github.com/throughline-otel/throughline/internal/binary"
)

const (
	// killsVariable says how often the collector is killed.
	killsVariable = "THROUGHLINE_KILLS"
	kills         = 12
	// held is for how long spans wait, and saved how often the state is saved. What is younger dies with the process.
	held, saved = time.Second, time.Second
	// ticked is by how much both may be late on a busy machine.
	ticked = 1500 * time.Millisecond
	routes = 5
	// budgetWindow has buckets of 5 s.
	budgetWindow, budgetBucket = 5 * time.Minute, 5 * time.Second
)

// objective is about all requests of the service; one is never met while half of them fail, the other one always is.
const objective = `
apiVersion: openslo/v1
kind: SLO
metadata: {name: %s}
spec:
  service: front
  budgetingMethod: Occurrences
  timeWindow: [{duration: 5m, isRolling: true}]
  objectives: [{target: 0.9}]
  indicator:
    metadata: {name: %[1]s}
    spec:
      ratioMetric:
        counter: true
        total: {metricSource: {type: OpenTelemetry, spec: {signal: traces, condition: "kind == SPAN_KIND_SERVER", groupBy: [http.route]}}}
        good: {metricSource: {type: OpenTelemetry, spec: {signal: traces, condition: '%s'}}}
  alertPolicies:
    - kind: AlertPolicy
      metadata: {name: %[1]s}
      spec:
        conditions:
          - kind: AlertCondition
            metadata: {name: %[1]s, annotations: {throughline/short-window: 5s}}
            spec: {severity: page, condition: {kind: burnrate, op: gte, threshold: 2, lookbackWindow: 20s}}
        notificationTargets:
          - kind: AlertNotificationTarget
            metadata: {name: %[1]s}
            spec: {target: email}
`

// survivor is a collector whose budgets are to survive in a folder. It tells a backend at once, without a queue.
type survivor struct {
	t       *testing.T
	config  node
	address string
	backend *backend
	*programs.Process
}

func newSurvivor(t *testing.T) *survivor {
	t.Helper()
	s := &survivor{t: t, address: programs.FreeAddresses(t, 1)[0], backend: newBackend(t)}
	slos := []any{}
	for name, good := range map[string]string{"burns": "status.code != STATUS_CODE_ERROR", "holds": "end_time > start_time"} {
		all, err := documents(fmt.Sprintf(objective, name, good))
		require.NoError(t, err)
		slos = append(slos, all[0])
	}
	s.config = node{
		"receivers": node{"otlp": node{"protocols": node{"http": node{"endpoint": s.address}}}},
		"connectors": node{"service_health": node{
			"trace_window": held.String(), "flush_interval": saved.String(), "storage": "file_storage",
			"slo": node{"documents": slos, "snapshot_interval": saved.String()},
		}},
		"exporters": node{"otlp_http": node{
			"endpoint": s.backend.URL, "sending_queue": node{"enabled": false}, "retry_on_failure": node{"enabled": false},
		}},
		"extensions": node{"file_storage": node{"directory": t.TempDir()}},
		"service": node{
			"extensions": []any{"file_storage"},
			"telemetry":  node{"metrics": node{"level": "none"}},
			"pipelines": node{
				"traces":  node{"receivers": []any{"otlp"}, "exporters": []any{"service_health"}},
				"metrics": node{"receivers": []any{"service_health"}, "exporters": []any{"otlp_http"}},
				"logs":    node{"receivers": []any{"service_health"}, "exporters": []any{"otlp_http"}},
			},
		},
	}
	return s
}

func (s *survivor) start() {
	s.t.Helper()
	s.Process = programs.Command{Name: "throughline", Args: []string{"--config", overlay(s.t, s.config)}}.Start(s.t)
	s.AwaitListening(s.address, startTimeout)
}

// folder is where its state is.
func (s *survivor) folder() string {
	return s.config["extensions"].(node)["file_storage"].(node)["directory"].(string)
}

// announced counts the events about objectives by their name, objective and route.
func (s *survivor) announced() map[string]int {
	events := map[string]int{}
	s.backend.look(func(_ ptrace.Traces, _ pmetric.Metrics, logs plog.Logs) {
		for _, rl := range logs.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, record := range sl.LogRecords().All() {
					if strings.HasPrefix(record.EventName(), "slo.") {
						events[record.EventName()+" "+text(record.Attributes(), "slo.name")+" "+text(record.Attributes(), "http.route")]++
					}
				}
			}
		}
	})
	return events
}

// point is one of a metric about one group of an objective.
type point struct {
	at, start pcommon.Timestamp
	value     float64
}

// points are those of a metric, by what they are about, in the order in which they came.
func (s *survivor) points(metric string) map[string][]point {
	points := map[string][]point{}
	s.backend.look(func(_ ptrace.Traces, metrics pmetric.Metrics, _ plog.Logs) {
		for _, rm := range metrics.ResourceMetrics().All() {
			for _, sm := range rm.ScopeMetrics().All() {
				for _, m := range sm.Metrics().All() {
					if m.Name() != metric {
						continue
					}
					list := m.Gauge().DataPoints
					if m.Type() == pmetric.MetricTypeSum {
						list = m.Sum().DataPoints
					}
					for _, p := range list().All() {
						a := p.Attributes()
						of := text(a, "slo.name") + " " + text(a, "http.route") + " " + text(a, "outcome")
						points[of] = append(points[of], point{p.Timestamp(), p.StartTimestamp(), p.DoubleValue() + float64(p.IntValue())})
					}
				}
			}
		}
	})
	return points
}

// sender sends requests all the time, as fast as one that waits for each answer.
type sender struct {
	mu sync.Mutex
	// failing says that every other request fails.
	failing bool
	// accepted is when requests were accepted, and doubtful when it cannot be told, in their order.
	accepted, doubtful []time.Time
	stop, stopped      chan struct{}
}

// requestsAtOnce is how many requests along one route are sent together.
const requestsAtOnce = 2

func (s *sender) run(address string, routes int) {
	defer close(s.stopped)
	client := &http.Client{Timeout: 5 * time.Second}
	for n := 1; ; n++ {
		select {
		case <-s.stop:
			return
		case <-time.After(time.Duration(routes) * 4 * time.Millisecond):
		}
		s.mu.Lock()
		failing := s.failing
		s.mu.Unlock()
		now := time.Now()
		traces := ptrace.NewTraces()
		rs := traces.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", "front")
		spans := rs.ScopeSpans().AppendEmpty().Spans()
		for i := range requestsAtOnce * routes {
			span := spans.AppendEmpty()
			span.SetTraceID(traceID(n*requestsAtOnce*routes + i))
			span.SetSpanID(spanID(n*requestsAtOnce*routes + i))
			span.SetKind(ptrace.SpanKindServer)
			span.SetStartTimestamp(pcommon.NewTimestampFromTime(now.Add(-time.Millisecond)))
			span.SetEndTimestamp(pcommon.NewTimestampFromTime(now))
			span.Attributes().PutStr("http.route", "/"+strconv.Itoa(i%routes))
			if failing && i < routes {
				span.Status().SetCode(ptrace.StatusCodeError)
			}
		}
		body := must((&ptrace.ProtoMarshaler{}).MarshalTraces(traces))
		response, err := client.Post("http://"+address+"/v1/traces", "application/x-protobuf", bytes.NewReader(body))
		s.mu.Lock()
		switch {
		case err == nil && response.StatusCode == http.StatusOK:
			s.accepted = append(s.accepted, now)
		case err == nil || !strings.Contains(err.Error(), "connection refused"):
			s.doubtful = append(s.doubtful, now)
		}
		s.mu.Unlock()
		if err == nil {
			_ = response.Body.Close()
		}
	}
}

func send(t *testing.T, address string, routes int) *sender {
	s := &sender{stop: make(chan struct{}), stopped: make(chan struct{})}
	go s.run(address, routes)
	t.Cleanup(s.end)
	return s
}

func (s *sender) end() {
	select {
	case <-s.stop:
	default:
		close(s.stop)
	}
	<-s.stopped
}

func (s *sender) fail(failing bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failing = failing
}

// TestKill kills a collector under load again and again. A burn that goes on is announced once, and once it is over, whatever happens in
// between; what is well is never said to be ill; and a budget lacks at most what was not yet saved, which its coverage shows.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("takes more than a minute")
	}
	kills := kills
	if text := os.Getenv(killsVariable); text != "" {
		kills = must(strconv.Atoi(text))
	}
	seed := rand.Uint64()
	t.Logf("seed %d, %d kills", seed, kills)
	random := rand.New(rand.NewPCG(seed, 0))
	s := newSurvivor(t)
	s.start()
	requests := send(t, s.address, routes)
	time.Sleep(5 * time.Second)
	requests.fail(true)
	const started, resolved = "slo.burn.started burns ", "slo.burn.resolved burns "
	everywhere := func(event string) bool {
		announced := s.announced()
		for route := range routes {
			if announced[event+"/"+strconv.Itoa(route)] == 0 {
				return false
			}
		}
		return true
	}
	s.Await("the burns are announced", time.Minute, func() bool { return everywhere(started) })

	var killed []time.Time
	for i := range kills {
		time.Sleep(time.Duration(random.Int64N(int64(3 * time.Second))))
		killed = append(killed, time.Now())
		s.Kill()
		if i == kills-1 {
			time.Sleep(3 * budgetBucket) // long enough to be seen in the coverage
		}
		s.start()
	}
	time.Sleep(3 * time.Second)
	assert.False(t, everywhere(resolved), "it burns")
	requests.fail(false)
	s.Await("the burns are over", time.Minute, func() bool { return everywhere(resolved) })
	requests.end()
	s.Stop()

	for event, n := range s.announced() {
		assert.Equal(t, 1, n, event)
		assert.NotContains(t, event, "holds")
	}
	lost := 0
	for _, at := range requests.accepted {
		if slices.ContainsFunc(killed, func(k time.Time) bool { return k.After(at) && k.Sub(at) < held+saved+ticked }) {
			lost++
		}
	}
	accepted, doubtful := len(requests.accepted), len(requests.doubtful)
	for _, name := range []string{"burns", "holds"} {
		for route := range routes {
			total := 0.0
			for _, outcome := range []string{"good", "bad"} {
				of := s.points("slo.events")[fmt.Sprintf("%s /%d %s", name, route, outcome)]
				require.NotEmpty(t, of)
				for i := range of[1:] {
					assert.LessOrEqual(t, of[i].value, of[i+1].value, "a counter goes back")
					assert.Equal(t, of[i].start, of[i+1].start)
				}
				total += of[len(of)-1].value
			}
			assert.LessOrEqual(t, total, float64(requestsAtOnce*(accepted+doubtful)))
			assert.GreaterOrEqual(t, total, float64(requestsAtOnce*(accepted-lost)), "%d were sent", requestsAtOnce*accepted)
			if name == "burns" && route == 0 {
				t.Logf("%g events of %d that were sent, with %d in doubt, are in the budget; at most %d could be lost", total,
					requestsAtOnce*accepted, requestsAtOnce*doubtful, requestsAtOnce*lost)
			}
		}
	}
	s.checkCoverage(requests, killed)
}

// checkCoverage holds the coverage at the end against the buckets in which anything was sent, and what could be lost.
func (s *survivor) checkCoverage(requests *sender, killed []time.Time) {
	coverage := s.points("slo.coverage")["burns /0 "]
	last := coverage[len(coverage)-1]
	end := last.at.AsTime().UnixNano() / int64(budgetBucket)
	sent, safe := map[int64]bool{}, map[int64]bool{}
	for _, at := range requests.accepted {
		bucket := at.UnixNano() / int64(budgetBucket)
		if bucket <= end-int64(budgetWindow/budgetBucket) {
			continue
		}
		sent[bucket] = true
		if !slices.ContainsFunc(killed, func(k time.Time) bool { return k.After(at) && k.Sub(at) < held+saved+ticked }) {
			safe[bucket] = true
		}
	}
	all := float64(budgetWindow / budgetBucket)
	assert.LessOrEqual(s.t, last.value, float64(len(sent)+1)/all)
	assert.GreaterOrEqual(s.t, last.value, float64(len(safe)-1)/all)
	s.t.Logf("coverage %.3f: %d of %g buckets had requests, of which %d could not be lost", last.value, len(sent), all, len(safe))
}

// TestDamagedState starts from a state in which bits have turned, and goes through a time in which the storage is full.
func TestDamagedState(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	t.Run("damaged", func(t *testing.T) {
		s := newSurvivor(t)
		s.serveFor(4*time.Second, routes)
		before := s.events()
		files := must(filepath.Glob(filepath.Join(s.folder(), "*")))
		require.Len(t, files, 1)
		data := must(os.ReadFile(files[0]))
		const head = "throughline slo\n"
		require.Contains(t, string(data), head)
		for from := 0; ; {
			at := bytes.Index(data[from:], []byte(head))
			if at < 0 {
				break
			}
			from += at + len(head) + 3
			data[from] ^= 1
		}
		require.NoError(t, os.WriteFile(files[0], data, 0o600))
		s.serveFor(2*time.Second, routes)
		assert.Equal(t, 1, strings.Count(s.Output(), "it was set aside"))
		afresh := s.events()
		assert.Less(t, afresh, before, "it begins afresh")
		s.serveFor(2*time.Second, routes)
		assert.NotContains(t, s.Output(), "set aside")
		assert.Greater(t, s.events(), afresh, "and goes on from there")
	})
	t.Run("full", func(t *testing.T) {
		s := newSurvivor(t)
		s.serveFor(4*time.Second, routes)
		before := s.events()
		files := must(filepath.Glob(filepath.Join(s.folder(), "*")))
		require.Len(t, files, 1)
		storage := s.config["extensions"].(node)["file_storage"].(node)
		storage["max_size"] = must(os.Stat(files[0])).Size()
		s.serveFor(8*time.Second, 100*routes)
		assert.Equal(t, 1, strings.Count(s.Output(), "the state could not be saved"), "it is said, and once")
		assert.Greater(t, s.events(), before, "it goes on in memory")
		delete(storage, "max_size")
		s.serveFor(2*time.Second, routes)
		assert.NotContains(t, s.Output(), "could not be")
		assert.Greater(t, s.events(), before, "what was saved before is still there")
	})
}

// serveFor lets it run for a while, with requests along so many routes.
func (s *survivor) serveFor(d time.Duration, routes int) {
	s.t.Helper()
	s.start()
	requests := send(s.t, s.address, routes)
	time.Sleep(d)
	requests.end()
	s.Stop()
}

// events are the latest counts of one group.
func (s *survivor) events() float64 {
	of := s.points("slo.events")["holds /0 good"]
	return of[len(of)-1].value
}
