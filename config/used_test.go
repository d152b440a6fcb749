package config

import (
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/throughline-otel/throughline/internal/binary"
)

// shipped is as much of a configuration as says what is defined and what is used.
type shipped struct {
	Receivers, Processors, Connectors, Exporters, Extensions map[string]any
	Service                                                  struct {
		Extensions []string
		Pipelines  map[string]struct{ Receivers, Processors, Exporters []string }
	}
}

func (s shipped) used() map[string]bool {
	used := map[string]bool{}
	for _, id := range s.Service.Extensions {
		used[id] = true
	}
	for _, p := range s.Service.Pipelines {
		for _, ids := range [][]string{p.Receivers, p.Processors, p.Exporters} {
			for _, id := range ids {
				used[id] = true
			}
		}
	}
	return used
}

// The collector accepts what is defined and in no pipeline, but nobody would have written it for that.
func TestShippedConfigurationsUseWhatTheyDefine(t *testing.T) {
	for _, file := range under(t, "config/*.yaml") {
		s := parse(t, file)
		used := s.used()
		for _, section := range []map[string]any{s.Receivers, s.Processors, s.Connectors, s.Exporters, s.Extensions} {
			for id := range section {
				assert.True(t, used[id], "%s defines %s and does not use it", file, id)
			}
		}
	}
}

// A component that no shipped configuration uses makes every build longer for nothing.
func TestTheDistributionHasOnlyWhatIsUsed(t *testing.T) {
	types := map[string]bool{}
	for _, file := range under(t, "config/*.yaml") {
		for id := range parse(t, file).used() {
			kind, _, _ := strings.Cut(id, "/")
			types[strings.ReplaceAll(kind, "_", "")] = true
		}
	}
	// The names of two modules are not those of their components.
	types["otlp"] = types["otlp"] && types["otlpgrpc"]
	var builder map[string]any
	text, err := os.ReadFile(filepath.Join(binary.Root(t), "builder-config.yaml"))
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(text, &builder))
	for _, class := range []string{"receiver", "processor", "connector", "exporter", "extension"} {
		modules, _ := builder[class+"s"].([]any)
		require.NotEmpty(t, modules, class)
		for _, m := range modules {
			module := m.(map[string]any)
			name, _ := module["import"].(string)
			if name == "" {
				name, _, _ = strings.Cut(module["gomod"].(string), " ")
			}
			name = strings.TrimSuffix(path.Base(name), class)
			assert.True(t, types[name], "no shipped configuration uses the %s %s", class, name)
		}
	}
}

func parse(t *testing.T, file string) shipped {
	text, err := os.ReadFile(filepath.Join(binary.Root(t), file))
	require.NoError(t, err)
	var s shipped
	require.NoError(t, yaml.Unmarshal(text, &s))
	return s
}
