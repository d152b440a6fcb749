package servicehealthconnector

import (
	"encoding/json"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/report"
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

// The struct is written by hand, so this holds it against the schema.
func TestConfigIsThatOfTheSchema(t *testing.T) {
	var schema object
	text, err := os.ReadFile("config.schema.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &schema))
	schema.compare(t, reflect.ValueOf(*createDefaultConfig().(*Config)))
}

type object struct {
	Default    any
	Properties map[string]object
}

func (o object) compare(t *testing.T, v reflect.Value) {
	t.Helper()
	keys := 0
	for i := range v.NumField() {
		key := v.Type().Field(i).Tag.Get("mapstructure")
		property, ok := o.Properties[key]
		if !assert.True(t, ok, "the schema has no %s", key) {
			continue
		}
		keys++
		switch field := v.Field(i); {
		case field.Kind() == reflect.Struct:
			property.compare(t, field)
		case field.Type() == reflect.TypeFor[time.Duration]():
			want, err := time.ParseDuration(property.Default.(string))
			assert.NoError(t, err, key)
			assert.Equal(t, want, field.Interface(), key)
		case field.Kind() == reflect.Int:
			assert.InDelta(t, property.Default, field.Int(), 0, key)
		case field.Kind() == reflect.String:
			assert.Equal(t, property.Default, field.String(), key)
		default:
			assert.Nil(t, property.Default, key)
			assert.True(t, field.IsNil(), key)
		}
	}
	assert.Len(t, o.Properties, keys)
}
