// Package schematest holds a component's configuration struct against its JSON schema. mdatagen would generate the struct from
// the schema's source, but leaves no room for checks of our own in it, so the two are written by hand.
package schematest

import (
	"encoding/json"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Compare fails t unless the schema in file has exactly the keys of config, which is a struct, with config's values as defaults.
func Compare(t *testing.T, file string, config any) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var schema object
	require.NoError(t, json.Unmarshal(text, &schema))
	schema.compare(t, "", reflect.ValueOf(config))
}

type object struct {
	Default    any
	Properties map[string]object
}

func (o object) compare(t *testing.T, path string, v reflect.Value) {
	t.Helper()
	keys := 0
	for i := range v.NumField() {
		key, ok := v.Type().Field(i).Tag.Lookup("mapstructure")
		if !ok {
			continue
		}
		keys++
		name := path + "." + key
		property, ok := o.Properties[key]
		if !assert.True(t, ok, "the schema has no %s", name) {
			continue
		}
		switch field := v.Field(i); {
		case field.Kind() == reflect.Struct:
			property.compare(t, name, field)
		case field.Type() == reflect.TypeFor[time.Duration]():
			text, _ := property.Default.(string)
			want, err := time.ParseDuration(text)
			assert.NoError(t, err, name)
			assert.Equal(t, want, field.Interface(), name)
		case field.CanInt():
			assert.InDelta(t, property.Default, field.Int(), 0, name)
		case field.Kind() == reflect.Pointer:
			assert.Nil(t, property.Default, name)
			assert.True(t, field.IsNil(), name)
		case field.Kind() == reflect.Map || field.Kind() == reflect.Slice:
			assert.Nil(t, property.Default, name)
			assert.Zero(t, field.Len(), name)
		default:
			assert.Equal(t, property.Default, field.Interface(), name)
		}
	}
	assert.Len(t, o.Properties, keys, "keys of %q", path)
}
