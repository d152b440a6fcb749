package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.yaml.in/yaml/v3"
)

// node is a mapping in a configuration.
type node = map[string]any

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// overlay writes a configuration that goes on top of a shipped one, and returns its path.
func overlay(t *testing.T, config node) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "overlay.yaml")
	data, err := yaml.Marshal(config)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, data, 0o600))
	return path
}

// text is an attribute as text, empty if it is not there.
func text(attributes pcommon.Map, key string) string {
	value, ok := attributes.Get(key)
	if !ok {
		return ""
	}
	return value.AsString()
}
