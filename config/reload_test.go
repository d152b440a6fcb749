package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestDocumentsAreReadAgain changes the documents of a running gateway, wrongly and rightly.
func TestDocumentsAreReadAgain(t *testing.T) {
	example, err := os.ReadFile("slos/example.yaml")
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "slo.yaml")
	write := func(old, now string) {
		text := strings.Replace(string(example), old, now, 1)
		require.NoError(t, os.WriteFile(path+".new", []byte(text), 0o600))
		require.NoError(t, os.Rename(path+".new", path))
	}
	write("", "")
	gateway := start(t, "gateway.yaml", []string{"THROUGHLINE_SLOS=" + path}, node{
		"connectors": node{"service_health": node{"slo": node{"reload_interval": "1s"}}},
	})
	outdated := func() float64 {
		return scrape(t, gateway.telemetry).sum("otelcol_service_health_documents_outdated", nil)
	}

	write("target: 0.999", "target: 1.999")
	says := func(what string) func() bool {
		return func() bool { return strings.Contains(gateway.Output(), what) }
	}
	gateway.Await("it is refused", 10*time.Second, says("changed documents were refused"))
	assert.Contains(t, gateway.Output(), "slo.yaml:41: `spec.objectives[0].target`: must be from 0 up to but not including 1")
	assert.InDelta(t, 1, outdated(), 0)

	write("target: 0.999", "target: 0.99")
	gateway.Await("it is taken in", 10*time.Second, says("changed documents were taken in"))
	assert.Contains(t, gateway.Output(), `"changed": ["my-service-availability"]`)
	assert.InDelta(t, 0, outdated(), 0)
	gateway.Stop()
}
