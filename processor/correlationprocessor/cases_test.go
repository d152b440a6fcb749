package correlationprocessor

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.yaml.in/yaml/v3"

	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/metadata"
)

var update = flag.Bool("update", false, "write what comes out as what is expected")

// TestCases feeds the files of every folder in testdata to one processor, in the order of their numbers, and holds
// what comes out against the file beside each, order and all. At the end the counters stand in telemetry.expected.yaml.
func TestCases(t *testing.T) {
	folders, err := filepath.Glob("testdata/*/config.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, folders)
	for _, config := range folders {
		folder := filepath.Dir(config)
		t.Run(filepath.Base(folder), func(t *testing.T) { runCase(t, folder) })
	}
}

func runCase(t *testing.T, folder string) {
	telemetry := componenttest.NewTelemetry()
	defer func() { require.NoError(t, telemetry.Shutdown(context.Background())) }()
	settings := processortest.NewNopSettings(metadata.Type)
	settings.TelemetrySettings = telemetry.NewTelemetrySettings()
	p := startPipelines(t, NewFactory(), settings, loadConfig(t, filepath.Join(folder, "config.yaml")))

	inputs, err := filepath.Glob(filepath.Join(folder, "[0-9]*.yaml"))
	require.NoError(t, err)
	slices.Sort(inputs)
	for _, input := range inputs {
		if strings.HasSuffix(input, ".expected.yaml") {
			continue
		}
		expected := strings.TrimSuffix(input, ".yaml") + ".expected.yaml"
		switch signal := strings.Split(filepath.Base(input), ".")[1]; signal {
		case "traces":
			batch, err := golden.ReadTraces(input)
			require.NoError(t, err)
			require.NoError(t, p.traces.ConsumeTraces(t.Context(), batch))
			compare(t, expected, new(ptrace.JSONMarshaler).MarshalTraces, golden.ReadTraces, batch)
		case "logs":
			batch, err := golden.ReadLogs(input)
			require.NoError(t, err)
			require.NoError(t, p.logs.ConsumeLogs(t.Context(), batch))
			compare(t, expected, new(plog.JSONMarshaler).MarshalLogs, golden.ReadLogs, batch)
		case "metrics":
			batch, err := golden.ReadMetrics(input)
			require.NoError(t, err)
			require.NoError(t, p.metrics.ConsumeMetrics(t.Context(), batch))
			compare(t, expected, new(pmetric.JSONMarshaler).MarshalMetrics, golden.ReadMetrics, batch)
		default:
			t.Fatalf("%s is of no signal", input)
		}
	}
	compareTelemetry(t, filepath.Join(folder, "telemetry.expected.yaml"), telemetry)
}

func compare[B any](t *testing.T, file string, marshal func(B) ([]byte, error), read func(string) (B, error), got B) {
	actual, err := marshal(got)
	require.NoError(t, err)
	if *update {
		writeYAML(t, file, actual)
	}
	want, err := read(file)
	require.NoError(t, err)
	expected, err := marshal(want)
	require.NoError(t, err)
	require.JSONEq(t, string(expected), string(actual), file)
}

func writeYAML(t *testing.T, file string, raw []byte) {
	var content any
	require.NoError(t, json.Unmarshal(raw, &content))
	var text strings.Builder
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	require.NoError(t, encoder.Encode(content))
	require.NoError(t, os.WriteFile(file, []byte(text.String()), 0o600))
}

func compareTelemetry(t *testing.T, file string, telemetry *componenttest.Telemetry) {
	got := map[string]int64{}
	var collected metricdata.ResourceMetrics
	require.NoError(t, telemetry.Reader.Collect(context.Background(), &collected))
	for _, scope := range collected.ScopeMetrics {
		for _, m := range scope.Metrics {
			sum, ok := m.Data.(metricdata.Sum[int64])
			if !ok {
				continue
			}
			for _, point := range sum.DataPoints {
				if point.Value == 0 {
					continue
				}
				name := strings.TrimPrefix(m.Name, "otelcol_")
				for _, attribute := range point.Attributes.ToSlice() {
					name += fmt.Sprintf(" %s=%s", attribute.Key, attribute.Value.String())
				}
				got[name] = point.Value
			}
		}
	}
	if *update {
		text, err := yaml.Marshal(got)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(file, text, 0o600))
	}
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	want := map[string]int64{}
	require.NoError(t, yaml.Unmarshal(raw, &want))
	require.Equal(t, want, got)
}

// loadConfig reads a processor's configuration as the collector does.
func loadConfig(t *testing.T, file string) *Config {
	raw, err := confmaptest.LoadConf(file)
	require.NoError(t, err)
	config := createDefaultConfig().(*Config)
	require.NoError(t, raw.Unmarshal(config))
	require.NoError(t, confmap.Validate(config))
	return config
}

// pipelines are the processors of one component ID in a pipeline of each signal.
type pipelines struct {
	traces  processor.Traces
	metrics processor.Metrics
	logs    processor.Logs
}

func startPipelines(t *testing.T, factory processor.Factory, settings processor.Settings, config component.Config) *pipelines {
	var p pipelines
	var err error
	p.traces, err = factory.CreateTraces(t.Context(), settings, config, consumertest.NewNop())
	require.NoError(t, err)
	p.metrics, err = factory.CreateMetrics(t.Context(), settings, config, consumertest.NewNop())
	require.NoError(t, err)
	p.logs, err = factory.CreateLogs(t.Context(), settings, config, consumertest.NewNop())
	require.NoError(t, err)
	for _, c := range []component.Component{p.traces, p.metrics, p.logs} {
		require.NoError(t, c.Start(t.Context(), componenttest.NewNopHost()))
		t.Cleanup(func() { require.NoError(t, c.Shutdown(context.Background())) })
	}
	return &p
}
