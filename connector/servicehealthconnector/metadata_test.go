package servicehealthconnector

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/report"
	"github.com/throughline-otel/throughline/internal/schematest"
)

// What is emitted is written by hand, so this holds it against its declaration.
func TestEmittedMetricsAreThoseOfMetadata(t *testing.T) {
	var declared struct {
		Metrics map[string]struct{ Description, Unit string }
	}
	text, err := os.ReadFile("metadata.yaml")
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(text, &declared))
	emitted := report.Declarations()
	require.Len(t, emitted, len(declared.Metrics))
	for _, m := range emitted {
		assert.Contains(t, declared.Metrics, m.Name)
		assert.Equal(t, declared.Metrics[m.Name].Description, m.Description, m.Name)
		assert.Equal(t, declared.Metrics[m.Name].Unit, m.Unit, m.Name)
	}
}

func TestConfigIsThatOfTheSchema(t *testing.T) {
	schematest.Compare(t, "config.schema.json", *createDefaultConfig().(*Config))
}
