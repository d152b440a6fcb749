package config

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.yaml.in/yaml/v3"
)

// TestMain looks at every file here. The programs read them, of which `go test` knows nothing: it would show a cached result after
// a change.
func TestMain(m *testing.M) {
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err == nil {
			_, err = os.Stat(path)
		}
		return err
	})
	if err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

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

// onTop reads a shipped configuration that goes on top of another.
func onTop(path string) (config node, err error) {
	data, err := os.ReadFile(path)
	if err == nil {
		err = yaml.Unmarshal(data, &config)
	}
	return config, err
}

// text is an attribute as text, empty if it is not there.
func text(attributes pcommon.Map, key string) string {
	value, ok := attributes.Get(key)
	if !ok {
		return ""
	}
	return value.AsString()
}
