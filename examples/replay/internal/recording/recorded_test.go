package recording

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// dataDir names the environment variable with the folder that holds recorded telemetry: cases.json and the recordings.
const dataDir = "THROUGHLINE_DATA"

func TestRecordedTelemetryIsReadCompletely(t *testing.T) {
	dir := os.Getenv(dataDir)
	if dir == "" {
		t.Skipf("%s is not set: it names the folder with cases.json and the recordings", dataDir)
	}
	text, err := os.ReadFile(filepath.Join(dir, "cases.json"))
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("there is no recorded telemetry in %s=%s", dataDir, dir)
	}
	require.NoError(t, err)
	var labels struct {
		Cases []struct {
			ID        string    `json:"id"`
			File      string    `json:"file"`
			WindowEnd time.Time `json:"windowEnd"`
			Counts    struct {
				Spans        int `json:"spans"`
				MetricPoints int `json:"metricPoints"`
				Logs         int `json:"logs"`
			} `json:"counts"`
		} `json:"cases"`
	}
	require.NoError(t, json.Unmarshal(text, &labels))
	// One of each system is enough: one has spans and points, the other all three signals.
	systems := map[string]bool{}
	for _, c := range labels.Cases {
		system := c.ID[:2]
		if systems[system] {
			continue
		}
		systems[system] = true
		t.Run(c.ID, func(t *testing.T) {
			r, err := Open([]string{filepath.Join(dir, c.File)}, nil)
			require.NoError(t, err)
			defer r.Close()
			var got Counts
			var last time.Time
			for {
				line, err := r.Next()
				if errors.Is(err, io.EOF) {
					break
				}
				require.NoError(t, err)
				export, err := Parse(line.Data)
				require.NoError(t, err, "line %d", line.Number)
				got.Spans += export.Counts.Spans
				got.Points += export.Counts.Points
				got.Records += export.Counts.Records
				if export.Last.After(last) {
					last = export.Last
				}
			}
			assert.Equal(t, Counts{c.Counts.Spans, c.Counts.MetricPoints, c.Counts.Logs}, got)
			assert.WithinDuration(t, c.WindowEnd, last, 2*time.Second)
			assert.Equal(t, r.Size(), r.offset)
		})
	}
	assert.NotEmpty(t, systems)
}
