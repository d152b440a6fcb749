package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
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
