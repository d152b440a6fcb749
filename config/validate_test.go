package config

import (
	"bufio"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/throughline-otel/throughline/internal/binary"
)

// commandTimeout is for what takes a fraction of a second on a quiet machine.
const commandTimeout = time.Minute

// validate asks the distribution what it thinks of a configuration.
func validate(t *testing.T, env []string, uris ...string) (ok bool, out string) {
	t.Helper()
	args := []string{"validate"}
	for _, uri := range uris {
		args = append(args, "--config", uri)
	}
	code, out := binary.Command{Name: "throughline", Args: args, Env: env}.Run(t, commandTimeout)
	return code == 0, out
}

// under lists the files that match, as paths from the repository's root.
func under(t *testing.T, patterns ...string) []string {
	t.Helper()
	root := binary.Root(t)
	var paths []string
	for _, pattern := range patterns {
		matches, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		for _, match := range matches {
			path, err := filepath.Rel(root, match)
			require.NoError(t, err)
			paths = append(paths, path)
		}
	}
	return paths
}

func TestValidateShipped(t *testing.T) {
	paths := under(t, "config/*.yaml")
	require.NotEmpty(t, paths)
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			ok, out := validate(t, nil, path)
			assert.True(t, ok, out)
		})
	}
}

// TestValidateOnTop puts each configuration of the folder onto the shipped one of its name.
func TestValidateOnTop(t *testing.T) {
	paths := under(t, "config/fleet/*.yaml")
	require.NotEmpty(t, paths)
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			ok, out := validate(t, nil, filepath.Join("config", filepath.Base(path)), path)
			assert.True(t, ok, out)
		})
	}
}

// readerOf is a configuration that reads OpenSLO documents from the files of a pattern.
func readerOf(pattern string) string {
	return "yaml:" + string(must(yaml.Marshal(node{
		"receivers":  node{"otlp": node{"protocols": node{"grpc": nil}}},
		"connectors": node{"service_health": node{"slo": node{"files": []string{pattern}}}},
		"exporters":  node{"nop": nil},
		"service": node{"pipelines": node{
			"traces":  node{"receivers": []string{"otlp"}, "exporters": []string{"service_health"}},
			"metrics": node{"receivers": []string{"service_health"}, "exporters": []string{"nop"}},
		}},
	})))
}

func TestValidateSLOs(t *testing.T) {
	paths := under(t, "config/slos/*.yaml")
	require.NotEmpty(t, paths)
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			ok, out := validate(t, nil, readerOf(path))
			assert.True(t, ok, out)
		})
	}
}

// TestValidateRefuses shows wrong configurations and wrong OpenSLO documents. The comments at the top of each say what must be told.
func TestValidateRefuses(t *testing.T) {
	configurations := under(t, "config/testdata/wrong/*.yaml")
	documents := under(t, "config/testdata/wrong/slos/*.yaml")
	require.NotEmpty(t, configurations)
	require.NotEmpty(t, documents)
	for _, path := range slices.Concat(configurations, documents) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".yaml"), func(t *testing.T) {
			uri := path
			if slices.Contains(documents, path) {
				uri = readerOf(path)
			}
			ok, out := validate(t, nil, uri)
			assert.False(t, ok, "it was accepted")
			reasons := refusals(t, path)
			require.NotEmpty(t, reasons)
			for _, reason := range reasons {
				assert.Contains(t, out, reason)
			}
			assert.NotContains(t, out, "panic")
		})
	}
}

// refusals reads the comments at the top of a case.
func refusals(t *testing.T, path string) []string {
	t.Helper()
	file, err := os.Open(filepath.Join(binary.Root(t), path))
	require.NoError(t, err)
	defer file.Close()
	var reasons []string
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		reason, ok := strings.CutPrefix(lines.Text(), "# refused: ")
		if !ok {
			break
		}
		reasons = append(reasons, reason)
	}
	require.NoError(t, lines.Err())
	return reasons
}

func TestComponents(t *testing.T) {
	code, out := binary.Command{Name: "throughline", Args: []string{"components"}}.Run(t, commandTimeout)
	require.Zero(t, code, out)
	type listed struct {
		Name      string            `yaml:"name"`
		Stability map[string]string `yaml:"stability"`
	}
	var components struct {
		Processors []listed `yaml:"processors"`
		Connectors []listed `yaml:"connectors"`
	}
	require.NoError(t, yaml.Unmarshal([]byte(out), &components))
	for _, c := range []struct {
		in      []listed
		name    string
		signals []string
	}{
		{components.Processors, "correlation", []string{"traces", "metrics", "logs"}},
		{components.Connectors, "service_health", []string{"traces-to-metrics", "traces-to-logs"}},
	} {
		i := slices.IndexFunc(c.in, func(l listed) bool { return l.Name == c.name })
		if assert.GreaterOrEqual(t, i, 0, "%s is not listed", c.name) {
			for _, signal := range c.signals {
				assert.Equal(t, "Alpha", c.in[i].Stability[signal], "%s for %s", c.name, signal)
			}
		}
	}
}
