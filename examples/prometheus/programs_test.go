package prometheus

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	root = "../.."
	// folderVariable names the folder of the built programs; `make test` sets it.
	folderVariable = "THROUGHLINE_BIN"
	// startTimeout is for a collector that starts in a second on a quiet machine.
	startTimeout = time.Minute
	pollInterval = 100 * time.Millisecond

	rate  = 40 // requests a second
	fault = "card-provider-down"
	// warmup is for a few flushes of 5 s, between which things can be counted.
	warmup = 25 * time.Second
	// length is longer than the test, so that the fault is there until all was asked.
	length = 5 * time.Minute
)

// overlay gives the collector free ports, so that it gets into no one's way; all metrics that it can have; and a limit, since the
// health of a dependency without one takes minutes to learn.
const overlay = `
receivers:
  otlp:
    protocols:
      grpc: {endpoint: %q}
      http: {endpoint: %q}
exporters:
  prometheus: {endpoint: %q}
extensions:
  health_check: {endpoint: %q}
connectors:
  service_health:
    compatibility: [service_graph, sloth]
    dependencies:
      limits:
        - {condition: 'attributes["callee.service.name"] == "cards.example.com"', failure_rate: 0.02}
service:
  telemetry:
    metrics:
      level: none
      readers: []
`

// startPrograms does what `make run` does, with one fault. It returns where the metrics are, and when the shop started.
func startPrograms(t *testing.T) (metrics string, started time.Time) {
	t.Helper()
	dir := t.TempDir()
	free := freeAddresses(t, 5)
	otlp, metrics, health, events := free[0], free[2], free[3], free[4]
	path := filepath.Join(dir, "overlay.yaml")
	require.NoError(t, os.WriteFile(path, fmt.Appendf(nil, overlay, otlp, free[1], metrics, health), 0o600))
	start(
		t, []string{"THROUGHLINE_EVENTS=" + events, "THROUGHLINE_LOG_FILES=" + filepath.Join(dir, "*.log.json")},
		"throughline", "--config", "config/quickstart.yaml", "--config", path,
	)
	require.Eventually(t, func() bool {
		response, err := http.Get("http://" + health)
		if err != nil {
			return false
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK
	}, startTimeout, pollInterval, "the collector is not well")
	started = time.Now()
	start(
		t, nil, "shop", "-otlp", otlp, "-events", events, "-mail-log", filepath.Join(dir, "mail.log.json"), "-rate", fmt.Sprint(rate),
		"-faults", fault, "-warmup", warmup.String(), "-every", length.String(), "-fault-length", length.String(),
	)
	return metrics, started
}

// start runs a program at the repository's root until the end of the test. What it wrote is shown if the test failed.
func start(t *testing.T, env []string, name string, args ...string) {
	t.Helper()
	folder := os.Getenv(folderVariable)
	if folder == "" {
		folder = filepath.Join(root, "bin")
	}
	path, err := filepath.Abs(filepath.Join(folder, name))
	require.NoError(t, err)
	require.FileExists(t, path, "`make build bin/%s` builds it", name)
	program := exec.Command(path, args...)
	program.Dir = root
	program.Env = append(os.Environ(), env...)
	var written bytes.Buffer
	program.Stdout, program.Stderr = &written, &written
	require.NoError(t, program.Start())
	var ended sync.WaitGroup
	ended.Go(func() { _ = program.Wait() })
	t.Cleanup(func() {
		_ = program.Process.Kill()
		ended.Wait()
		if t.Failed() {
			t.Logf("%s wrote:\n%s", name, written.String())
		}
	})
}
