package correlationprocessor

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/metadata"
)

func TestWrongValuesAreRefusedByKey(t *testing.T) {
	for _, c := range []struct {
		key, reason string
		set         func(*Config)
	}{
		{"store.max_bytes", "at least 1048576, got 1000", func(c *Config) { c.Store.MaxBytes = 1000 }},
		{"store.retention", "longer than 0s, got 0s", func(c *Config) { c.Store.Retention = 0 }},
		{"logs.hold", "not be negative, got -1s", func(c *Config) { c.Logs.Hold = -time.Second }},
		{"logs.hold", "longer than `store.retention` (1m0s), got 1h0m0s", func(c *Config) { c.Logs.Hold = time.Hour }},
		{"logs.keep.fine", `trace, debug, info, warn, error, fatal, got "warning"`, func(c *Config) { c.Logs.Keep.Fine = "warning" }},
		{"logs.keep.slow", `got "info5"`, func(c *Config) { c.Logs.Keep.Slow = "info5" }},
		{"logs.keep.failed", `got "9"`, func(c *Config) { c.Logs.Keep.Failed = "9" }},
		{"logs.keep.slow_above", "longer than 0s, got 0s", func(c *Config) { c.Logs.Keep.SlowAbove = 0 }},
		{"traces.hold", "not be negative, got -1ns", func(c *Config) { c.Traces.Hold = -1 }},
		{"traces.hold", "longer than `store.retention` (1m0s), got 1m1s", func(c *Config) { c.Traces.Hold = 61 * time.Second }},
		{"traces.attach_logs.min_severity", `got "all"`, func(c *Config) { c.Traces.AttachLogs.MinSeverity = "all" }},
		{"traces.attach_logs.max_per_span", "at least 1, got 0", func(c *Config) { c.Traces.AttachLogs.MaxPerSpan = 0 }},
		{"traces.attach_logs.attributes[1]", "not be empty", func(c *Config) { c.Traces.AttachLogs.Attributes = []string{"a", ""} }},
		{"traces.attach_logs.attributes[1]", `twice: "a"`, func(c *Config) { c.Traces.AttachLogs.Attributes = []string{"a", "a"} }},
		{"traces.context_metrics[0]", "not be empty", func(c *Config) { c.Traces.ContextMetrics = []string{""} }},
		{"traces.context_metrics[1]", `twice: "a"`, func(c *Config) { c.Traces.ContextMetrics = []string{"a", "a"} }},
		{"traces.context_metrics", "room for 64 names, got 65", func(c *Config) {
			for n := range 65 {
				c.Traces.ContextMetrics = append(c.Traces.ContextMetrics, fmt.Sprint("metric.", n))
			}
		}},
		{"metrics.exemplars.max_per_point", "at least 1, got -1", func(c *Config) { c.Metrics.Exemplars.MaxPerPoint = -1 }},
	} {
		t.Run(c.key, func(t *testing.T) {
			config := createDefaultConfig().(*Config)
			require.NoError(t, confmap.Validate(config))
			c.set(config)
			err := confmap.Validate(config)
			require.ErrorContains(t, err, "`"+c.key+"` ")
			require.ErrorContains(t, err, c.reason)
		})
	}
}

func TestAllWrongValuesAreNamedAtOnce(t *testing.T) {
	config := createDefaultConfig().(*Config)
	config.Store.MaxBytes, config.Logs.Hold, config.Traces.AttachLogs.MinSeverity = 1, -1, "x"
	err := confmap.Validate(config)
	for _, key := range []string{"`store.max_bytes`", "`logs.hold`", "`traces.attach_logs.min_severity`"} {
		assert.ErrorContains(t, err, key)
	}
}

// TestWrongRulesAreRefusedByKey is about what only shows when a rule is compiled.
func TestWrongRulesAreRefusedByKey(t *testing.T) {
	for _, c := range []struct {
		key, reason string
		rule        LayerConfig
	}{
		{"layers[1].layer", `unknown layer "middle", one of client`, LayerConfig{Layer: "middle", Condition: "true"}},
		{"layers[1].layer", `unknown layer ""`, LayerConfig{Condition: "true"}},
		{"layers[1].condition", "unexpected token", LayerConfig{Layer: "edge", Condition: "span.kind =="}},
		{"layers[1].condition", "nothing", LayerConfig{Layer: "edge", Condition: "span.nothing == 1"}},
		{"layers[1].condition", "", LayerConfig{Layer: "edge"}},
	} {
		config := createDefaultConfig().(*Config)
		config.Layers = []LayerConfig{{Layer: "data", Condition: `scope.name == "jdbc"`}, c.rule}
		settings := processortest.NewNopSettings(metadata.Type)
		_, err := NewFactory().CreateTraces(t.Context(), settings, config, consumertest.NewNop())
		require.ErrorContains(t, err, "`"+c.key+"`")
		require.ErrorContains(t, err, c.reason)
	}
}

func TestUnknownKeysAreRefused(t *testing.T) {
	for _, key := range []string{
		"layer", "logs::infer", "traces::attach_logs::severity", "metrics::exemplars::max", "store::max_mib",
	} {
		err := confmap.NewFromStringMap(map[string]any{key: 1}).Unmarshal(createDefaultConfig())
		assert.ErrorContains(t, err, "has invalid keys", key)
	}
}

// TestTheReadmeIsTrue starts every configuration that the README shows.
func TestTheReadmeIsTrue(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	blocks := strings.Split(string(readme), "```yaml\n")[1:]
	require.NotEmpty(t, blocks)
	for _, block := range blocks {
		text, _, _ := strings.Cut(block, "```")
		raw, err := confmap.NewRetrievedFromYAML([]byte(text))
		require.NoError(t, err)
		whole, err := raw.AsConf()
		require.NoError(t, err)
		require.True(t, whole.IsSet("processors::correlation"), text)
		part, err := whole.Sub("processors::correlation")
		require.NoError(t, err)
		config := createDefaultConfig().(*Config)
		require.NoError(t, part.Unmarshal(config))
		require.NoError(t, confmap.Validate(config))
		startPipelines(t, NewFactory(), processortest.NewNopSettings(metadata.Type), config)
	}
}
