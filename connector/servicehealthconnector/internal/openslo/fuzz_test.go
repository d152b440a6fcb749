package openslo_test

import (
	"os"
	"path/filepath"
	"testing"

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
			assert.LessOrEqual(t, len(o.GroupBy), openslo.MaxGroupBy)
			asked := 0
			for _, e := range []openslo.Expression{o.Indicator.Good, o.Indicator.Bad, o.Indicator.Value} {
				if e.Text != "" {
					asked++
				}
			}
			assert.Equal(t, 1, asked)
			assert.NotEmpty(t, o.Conditions)
			for _, c := range o.Conditions {
				assert.NotEmpty(t, c.Severity)
				assert.True(t, 0 < c.Short && c.Short <= c.Long && c.Long <= o.Window, "windows")
				assert.Positive(t, c.BurnRate)
			}
		}
	})
}
