package config

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/throughline-otel/throughline/internal/binary"
)

// startTimeout is for a collector that starts in a second on a quiet machine.
const startTimeout = time.Minute

// collector is a running distribution.
type collector struct {
	*binary.Process
	grpc, http, prometheus, telemetry string
}

// start runs the distribution with a shipped configuration. Its ports are free ones, so that it gets into no one's way; more
// goes on top of it. It returns when the collector says that it is well.
func start(t *testing.T, shipped string, env []string, more ...node) *collector {
	t.Helper()
	free := binary.FreeAddresses(t, 6)
	c := &collector{grpc: free[0], http: free[1], prometheus: free[2], telemetry: free[3]}
	c.run(t, shipped, env, append([]node{{
		"receivers": node{"otlp": node{"protocols": node{
			"grpc": node{"endpoint": c.grpc},
			"http": node{"endpoint": c.http},
		}}},
		"extensions": node{"health_check": node{"endpoint": free[4]}},
		"service":    node{"telemetry": node{"metrics": node{"readers": prometheusAt(c.telemetry)}}},
	}}, more...))
	c.Await(shipped+" is well", startTimeout, func() bool {
		response, err := http.Get("http://" + free[4])
		if err != nil {
			return false
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	return c
}

func (c *collector) run(t *testing.T, shipped string, env []string, overlays []node) {
	t.Helper()
	args := []string{"--config", filepath.Join("config", shipped)}
	for _, o := range overlays {
		args = append(args, "--config", overlay(t, o))
	}
	c.Process = binary.Command{Name: "throughline", Args: args, Env: env}.Start(t)
}

// prometheusAt is where a collector shows its own metrics.
func prometheusAt(address string) []any {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		panic(err)
	}
	return []any{node{"pull": node{"exporter": node{"prometheus": node{"host": host, "port": must(strconv.Atoi(port))}}}}}
}

// TestQuickstart does what `make run` does: the collector, the shop, and each of its faults once. The shop knows the culprits.
func TestQuickstart(t *testing.T) {
	if testing.Short() {
		t.Skip("takes five and a half minutes")
	}
	const (
		faults = 9
		warmup = 20 * time.Second
		every  = 34 * time.Second
		length = 17 * time.Second
		total  = warmup + faults*every
	)
	dir := t.TempDir()
	free := binary.FreeAddresses(t, 3)
	events, zpages := free[0], free[1]
	quickstart := start(
		t, "quickstart.yaml",
		[]string{"THROUGHLINE_EVENTS=" + events, "THROUGHLINE_LOG_FILES=" + filepath.Join(dir, "*.log.json")},
		node{
			"exporters":  node{"prometheus": node{"endpoint": free[2]}},
			"extensions": node{"zpages": node{"endpoint": zpages}},
		},
	)
	result := filepath.Join(dir, "result.json")
	shop := binary.Command{Name: "shop", Args: []string{
		"-otlp", quickstart.grpc, "-events", events, "-mail-log", filepath.Join(dir, "mail.log.json"), "-json", result,
		"-warmup", warmup.String(), "-every", every.String(), "-fault-length", length.String(), "-duration", total.String(),
	}}.Start(t)
	code := shop.Wait(total + 2*time.Minute)
	require.FileExists(t, result, "the shop ended with code %d", code)

	type culprit struct {
		Name  string `json:"name"`
		Layer string `json:"layer"`
	}
	var report struct {
		Answers []struct {
			Fault   string   `json:"fault"`
			Culprit culprit  `json:"culprit"`
			Said    *culprit `json:"said"`
			Verdict string   `json:"verdict"`
			Seconds float64  `json:"seconds_to_identify"`
		} `json:"faults"`
		FalseAlarms []any `json:"false_alarms"`
	}
	data, err := os.ReadFile(result)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &report))
	assert.Len(t, report.Answers, faults)
	for _, answer := range report.Answers {
		t.Run(answer.Fault, func(t *testing.T) {
			if !assert.NotNil(t, answer.Said, "nobody was named") {
				return
			}
			// The shop forgives an answer without a layer.
			assert.Equal(t, answer.Culprit, *answer.Said)
			assert.Equal(t, "right", answer.Verdict)
			t.Logf("answered after %.1f s", answer.Seconds)
		})
	}
	t.Run("no false alarm", func(t *testing.T) { assert.Empty(t, report.FalseAlarms) })
	assert.Equal(t, 0, code, "the shop's own verdict")

	t.Run("edges", func(t *testing.T) {
		metrics, known := scrape(t, free[2]), 0.0
		for _, edge := range []labels{
			{"caller_service_name": "front", "callee_service_name": "checkout", "dependency_type": "rpc"},
			{"caller_service_name": "front", "callee_service_name": "catalog", "dependency_type": "rpc"},
			{"caller_service_name": "checkout", "callee_service_name": "catalog", "dependency_type": "rpc"},
			{"caller_service_name": "checkout", "callee_service_name": "payments", "dependency_type": "rpc"},
			{"caller_service_name": "checkout", "callee_service_name": "fulfilment", "dependency_type": "messaging"},
			{"caller_service_name": "checkout", "callee_service_name": "mail", "dependency_type": "messaging"},
			{"caller_service_name": "payments", "callee_service_name": "cards.example.com", "dependency_type": "external"},
			{"caller_service_name": "payments", "callee_service_name": "sqlite:shop", "dependency_type": "database"},
			{"caller_service_name": "catalog", "callee_service_name": "sqlite:shop", "dependency_type": "database"},
		} {
			assert.Positive(t, metrics.sum("dependency_calls_total", edge), "%v", edge)
			known += metrics.sum("dependency_calls_total", edge)
		}
		// A machine that cannot keep up lets half a trace come too late. Its call then goes to a peer of the service's name.
		all := metrics.sum("dependency_calls_total", nil)
		assert.GreaterOrEqual(t, known, 0.99*all, "calls along dependencies that the shop does not have")
		t.Logf("%g of %g calls were along the shop's dependencies", known, all)
	})
	quickstart.Stop()
}
