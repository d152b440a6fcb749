package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/throughline-otel/throughline/internal/binary"
)

// block is a fenced piece of a page.
type block struct {
	line     int
	language string
	text     string
}

// fences finds the fenced pieces. Those in lists lose their indentation.
func fences(page string) []block {
	var blocks []block
	var current block
	var indent, fence string
	for i, line := range strings.Split(page, "\n") {
		trimmed := strings.TrimLeft(line, " ")
		switch {
		case fence != "" && strings.TrimSpace(line) == fence:
			blocks = append(blocks, current)
			fence = ""
		case fence != "":
			current.text += strings.TrimPrefix(line, indent) + "\n"
		case strings.HasPrefix(trimmed, "```"):
			name := strings.TrimLeft(trimmed, "`")
			fence, indent = trimmed[:len(trimmed)-len(name)], line[:len(line)-len(trimmed)]
			language, _, _ := strings.Cut(strings.TrimSpace(name), " ")
			current = block{line: i + 2, language: language}
		}
	}
	return blocks
}

// yamlBlocks finds the fenced pieces of YAML.
func yamlBlocks(page string) []block {
	return slices.DeleteFunc(fences(page), func(b block) bool { return b.language != "yaml" && b.language != "yml" })
}

// documents decodes all YAML documents of a text.
func documents(text string) ([]node, error) {
	var all []node
	decoder := yaml.NewDecoder(strings.NewReader(text))
	for {
		var document node
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		all = append(all, document)
	}
}

var (
	sections = []string{"receivers", "processors", "connectors", "exporters", "extensions", "service"}
	// needs is what components cannot be without; a fragment that only names one in a pipeline is given it.
	needs = map[string]node{
		"otlp":           {"protocols": node{"grpc": nil}},
		"otlp_grpc":      {"endpoint": "127.0.0.1:4317"},
		"otlp_http":      {"endpoint": "http://127.0.0.1:4318"},
		"prometheus":     {"endpoint": "127.0.0.1:9464"},
		"memory_limiter": {"check_interval": "1s", "limit_mib": 512},
	}
)

// complete makes a whole configuration of a fragment. It returns false if the fragment is none of a collector's.
func complete(fragment node) (node, bool) {
	config := node{}
	for key, value := range fragment {
		// What a component's README shows starts with the component.
		switch kind, _, _ := strings.Cut(key, "/"); {
		case kind == "correlation":
			section(config, "processors")[key] = value
		case kind == "service_health":
			section(config, "connectors")[key] = value
		case key == "pipelines":
			section(config, "service")[key] = value
		case slices.Contains(sections, key):
			config[key] = value
		default:
			return nil, false
		}
	}
	service := section(config, "service")
	if _, ok := service["pipelines"]; !ok {
		section(config, "receivers")["otlp"] = needs["otlp"]
		section(config, "exporters")["nop"] = nil
		service["pipelines"] = node{"traces": node{"receivers": []any{"otlp"}, "exporters": []any{"nop"}}}
	}
	if _, whole := fragment["receivers"]; whole && fragment["service"] != nil {
		return config, true
	}
	pipelines, _ := service["pipelines"].(node)
	for _, pipeline := range pipelines {
		parts, _ := pipeline.(node)
		for name, ids := range parts {
			define(config, name, ids)
		}
	}
	return config, true
}

// define gives the components that a fragment uses and does not show.
func define(config node, name string, ids any) {
	list, _ := ids.([]any)
	for _, id := range list {
		id := fmt.Sprint(id)
		kind, _, _ := strings.Cut(id, "/")
		in := name
		if kind == "service_health" || kind == "forward" {
			in = "connectors"
		}
		if _, shown := section(config, "connectors")[id]; shown {
			continue
		}
		if _, shown := section(config, in)[id]; !shown {
			section(config, in)[id] = needs[kind]
		}
	}
}

func section(config node, name string) node {
	if s, ok := config[name].(node); ok {
		return s
	}
	s := node{}
	config[name] = s
	return s
}

// here puts a file of this repository in place of OpenSLO files that only a reader has: those outside config/.
func here(config node) {
	connectors, _ := config["connectors"].(node)
	for _, connector := range connectors {
		settings, _ := connector.(node)
		slo, _ := settings["slo"].(node)
		files, _ := slo["files"].([]any)
		for i, file := range files {
			if name, ok := file.(string); ok && !strings.HasPrefix(name, "config/") {
				files[i] = "config/slos/example.yaml"
			}
		}
	}
}

func isOpenSLO(document node) bool {
	version, _ := document["apiVersion"].(string)
	return strings.HasPrefix(version, "openslo/")
}

// isForeign tells the formats of other programs: Kubernetes, Docker Compose, Prometheus, the Collector Builder.
func isForeign(document node) bool {
	return slices.ContainsFunc([]string{"apiVersion", "services", "scrape_configs", "dist"}, func(key string) bool {
		_, ok := document[key]
		return ok
	})
}

// TestValidateDocs holds what the pages show against the distribution.
func TestValidateDocs(t *testing.T) {
	pages := under(t, "README.md", "CONTRIBUTING.md", "docs/*.md", "docs/*/*.md", "config/*.md",
		"processor/*/README.md", "connector/*/README.md", "examples/*/README.md", "bench/README.md")
	require.NotEmpty(t, pages)
	for _, page := range pages {
		text, err := os.ReadFile(filepath.Join(binary.Root(t), page))
		require.NoError(t, err)
		for _, b := range yamlBlocks(string(text)) {
			t.Run(fmt.Sprintf("%s:%d", page, b.line), func(t *testing.T) { validateBlock(t, b.text) })
		}
	}
}

func validateBlock(t *testing.T, text string) {
	all, err := documents(text)
	require.NoError(t, err)
	require.NotEmpty(t, all, "an empty block")
	uri := filepath.Join(t.TempDir(), "block.yaml")
	switch {
	case isOpenSLO(all[0]):
		require.NoError(t, os.WriteFile(uri, []byte(text), 0o600))
		uri = readerOf(uri)
	case isForeign(all[0]):
		return
	default:
		require.Len(t, all, 1, "a configuration is one document")
		config, ok := complete(all[0])
		require.True(t, ok, "neither a configuration of the collector, nor a piece of one, nor OpenSLO:\n%s", text)
		here(config)
		data, err := yaml.Marshal(config)
		require.NoError(t, err)
		text = string(data)
		require.NoError(t, os.WriteFile(uri, data, 0o600))
	}
	ok, out := validate(t, nil, uri)
	assert.True(t, ok, "%s\nof\n%s", out, text)
}

// TestValidateYAMLBlocks makes sure that the pages are really read, and that a wrong block in them is found.
func TestValidateYAMLBlocks(t *testing.T) {
	page := "text\n```yaml\na: 1\n```\n```sh\nb: 2\n```\n1. item\n   ```yaml title\n   c:\n     d: 3\n   ```\n````yaml\n```\ne: 4\n````\n"
	assert.Equal(t, []block{{3, "yaml", "a: 1\n"}, {10, "yaml", "c:\n  d: 3\n"}, {14, "yaml", "```\ne: 4\n"}}, yamlBlocks(page))

	for name, c := range map[string]struct {
		text string
		ok   bool
	}{
		"processor":         {"correlation:\n  logs:\n    recover_context: false\n", true},
		"processor's key":   {"correlation/two:\n  lgos: {}\n", false},
		"connector":         {"service_health:\n  slo:\n    files: [/etc/throughline/slos/*.yaml]\n", true},
		"connector's value": {"connectors:\n  service_health:\n    clock: sundial\n", false},
		"pipelines":         {"service:\n  pipelines:\n    traces:\n      receivers: [otlp]\n      processors: [correlation]\n      exporters: [service_health, otlp_grpc]\n    metrics/health:\n      receivers: [service_health]\n      exporters: [prometheus]\n", true},
		"whole":             {"receivers:\n  otlp:\n    protocols:\n      grpc:\nexporters:\n  nop:\nservice:\n  pipelines:\n    traces:\n      receivers: [otlp]\n      exporters: [nop]\n", true},
		"whole, undefined":  {"receivers:\n  otlp:\n    protocols:\n      grpc:\nservice:\n  pipelines:\n    traces:\n      receivers: [otlp]\n      exporters: [nop]\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			all, err := documents(c.text)
			require.NoError(t, err)
			config, isConfig := complete(all[0])
			require.True(t, isConfig)
			here(config)
			uri := overlay(t, config)
			ok, out := validate(t, nil, uri)
			assert.Equal(t, c.ok, ok, out)
		})
	}
}
