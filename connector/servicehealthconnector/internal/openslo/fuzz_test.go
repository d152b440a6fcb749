package openslo_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/openslo"
)

// FuzzLoad makes sure that no text brings the collector down, and that what is loaded keeps what Objective promises.
func FuzzLoad(f *testing.F) {
	inputs, err := filepath.Glob("testdata/*/input*.yaml")
	require.NoError(f, err)
	for _, input := range append(inputs, "../../../../config/slos/shop.yaml", "../../../../config/slos/example.yaml") {
		text, err := os.ReadFile(input)
		require.NoError(f, err)
		f.Add(text)
	}
	path := filepath.Join(f.TempDir(), "slo.yaml")
	f.Fuzz(func(t *testing.T, text []byte) {
		require.NoError(t, os.WriteFile(path, text, 0o600))
		objectives, err := openslo.Load([]string{path}, nil)
		if err != nil {
			assert.NotEmpty(t, err.Error())
			assert.Less(t, len(err.Error()), 100_000, "what is said of documents has a bound")
			assert.Nil(t, objectives)
			return
		}
		names := map[string]bool{}
		for _, o := range objectives {
			assert.NotEmpty(t, o.Name)
			assert.False(t, names[o.Name], "names are unique")
			names[o.Name] = true
			assert.NotEmpty(t, o.Service.Name)
			assert.NotEmpty(t, o.Indicator.Service.Name)
			assert.True(t, o.Target >= 0 && o.Target < 1, o.Target)
			assert.Positive(t, o.Window)
			if c := o.Calendar; c != nil {
				assert.Positive(t, c.Count)
				at := time.Date(2026, 2, 28, 12, 0, 0, 0, time.UTC)
				from, to := c.Period(at)
				assert.True(t, !from.After(at) && at.Before(to), "the present is in its window")
			}
			assert.True(t, o.Slices.Length >= 0 && o.Slices.Length <= o.Window && o.Slices.Length%time.Second == 0, "slices")
			assert.Equal(t, o.Slices.Length > 0 && !o.Slices.Ratio, o.Slices.Target > 0)
			assert.LessOrEqual(t, o.Slices.Target, 1.0)
			var last time.Time
			for _, m := range o.Maintenance {
				assert.True(t, m.From.After(last) && m.To.After(m.From), "maintenance is in order")
				last = m.To
			}
			assert.LessOrEqual(t, len(o.GroupBy), openslo.MaxGroupBy)
			asked := 0
			for _, e := range []openslo.Expression{o.Indicator.Good, o.Indicator.Bad, o.Indicator.Raw} {
				if e.Text != "" {
					asked++
				}
			}
			if o.Indicator.Op != "" {
				asked++
				assert.True(t, o.Indicator.Value.Text != "" || o.Indicator.Signal == openslo.Metrics, "a value")
			}
			assert.Equal(t, 1, asked)
			assert.NotEmpty(t, o.Conditions)
			for _, c := range o.Conditions {
				assert.NotEmpty(t, c.Severity)
				assert.True(t, max(1, o.Slices.Length) <= c.Short && c.Short <= c.Long && c.Long <= o.Window, "windows")
				assert.Positive(t, c.BurnRate)
			}
		}
	})
}
