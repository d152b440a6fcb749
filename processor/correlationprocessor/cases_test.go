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
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.yaml.in/yaml/v3"

	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/metadata"
)

var update = flag.Bool("update", false, "write what comes out as what is expected")

// TestCases feeds the files of every folder in testdata to one processor, and holds what the next consumers get against
// what is expected, order and all:
//
//	1.traces.yaml, 2.at_3s.logs.yaml   what comes in, in the order of the numbers, and when
//	expected.1.at_5s.logs.yaml         what goes on, in the order in which it does, and when
//	expected.telemetry.yaml            the counters, and how many batches have waited, at the end
//
// All of it happens in fake time, which begins with the year 2025, at 1735689600 s.
func TestCases(t *testing.T) {
	folders, err := filepath.Glob("testdata/*/config.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, folders)
	for _, config := range folders {
		folder := filepath.Dir(config)
		t.Run(filepath.Base(folder), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { runCase(t, folder) })
		})
	}
}

func runCase(t *testing.T, folder string) {
	began := benchmarkTime.AsTime()
	time.Sleep(time.Until(began))
	telemetry := componenttest.NewTelemetry()
	defer func() { require.NoError(t, telemetry.Shutdown(context.Background())) }()
	settings := processortest.NewNopSettings(metadata.Type)
	settings.TelemetrySettings = telemetry.NewTelemetrySettings()
	config := loadConfig(t, filepath.Join(folder, "config.yaml"))
	next := &recorder{began: began}
	p := startPipelinesTo(t, NewFactory(), settings, config, next)

	inputs, err := filepath.Glob(filepath.Join(folder, "[0-9]*.yaml"))
	require.NoError(t, err)
	slices.Sort(inputs)
	for _, input := range inputs {
		p.feed(t, began, input)
	}
	time.Sleep(max(config.Logs.Hold, config.Traces.Hold))
	synctest.Wait()

	if *update {
		next.write(t, folder)
	}
	next.compare(t, folder)
	compareTelemetry(t, filepath.Join(folder, "expected.telemetry.yaml"), telemetry)
}

// feed waits for the time that the name of a file says, and sends what is in it.
func (p *pipelines) feed(t *testing.T, began time.Time, input string) {
	parts := strings.Split(filepath.Base(input), ".")
	if at, ok := strings.CutPrefix(parts[1], "at_"); ok {
		after, err := time.ParseDuration(at)
		require.NoError(t, err, input)
		time.Sleep(time.Until(began.Add(after)))
	}
	switch signal := parts[len(parts)-2]; signal {
	case "traces":
		batch, err := golden.ReadTraces(input)
		require.NoError(t, err)
		require.NoError(t, p.traces.ConsumeTraces(t.Context(), batch))
	case "logs":
		batch, err := golden.ReadLogs(input)
		require.NoError(t, err)
		require.NoError(t, p.logs.ConsumeLogs(t.Context(), batch))
	case "metrics":
		batch, err := golden.ReadMetrics(input)
		require.NoError(t, err)
		require.NoError(t, p.metrics.ConsumeMetrics(t.Context(), batch))
	default:
		t.Fatalf("%s is of no signal", input)
	}
}

// recorder is the next consumer of all signals. It keeps what it gets, under the names of the expected files.
type recorder struct {
	began time.Time

	mu      sync.Mutex
	names   []string
	batches [][]byte
}

func (*recorder) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (r *recorder) ConsumeTraces(_ context.Context, batch ptrace.Traces) error {
	raw, err := new(ptrace.JSONMarshaler).MarshalTraces(batch)
	r.take("traces", raw)
	return err
}

func (r *recorder) ConsumeLogs(_ context.Context, batch plog.Logs) error {
	raw, err := new(plog.JSONMarshaler).MarshalLogs(batch)
	r.take("logs", raw)
	return err
}

func (r *recorder) ConsumeMetrics(_ context.Context, batch pmetric.Metrics) error {
	raw, err := new(pmetric.JSONMarshaler).MarshalMetrics(batch)
	r.take("metrics", raw)
	return err
}

func (r *recorder) take(signal string, raw []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := ""
	if after := time.Since(r.began); after%time.Second != 0 {
		at = fmt.Sprintf(".at_%dms", after.Milliseconds())
	} else if after > 0 {
		at = fmt.Sprintf(".at_%ds", after/time.Second)
	}
	r.names = append(r.names, fmt.Sprintf("expected.%d%s.%s.yaml", len(r.names)+1, at, signal))
	r.batches = append(r.batches, raw)
}

func (r *recorder) write(t *testing.T, folder string) {
	for _, former := range expectedFiles(t, folder) {
		require.NoError(t, os.Remove(filepath.Join(folder, former)))
	}
	for i, name := range r.names {
		var content any
		require.NoError(t, json.Unmarshal(r.batches[i], &content))
		writeYAML(t, filepath.Join(folder, name), content)
	}
}

func (r *recorder) compare(t *testing.T, folder string) {
	require.Equal(t, expectedFiles(t, folder), r.names)
	for i, name := range r.names {
		raw, err := os.ReadFile(filepath.Join(folder, name))
		require.NoError(t, err)
		var content any
		require.NoError(t, yaml.Unmarshal(raw, &content))
		expected, err := json.Marshal(content)
		require.NoError(t, err)
		require.JSONEq(t, string(expected), string(r.batches[i]), name)
	}
}

func expectedFiles(t *testing.T, folder string) (names []string) {
	files, err := filepath.Glob(filepath.Join(folder, "expected.[0-9]*.yaml"))
	require.NoError(t, err)
	slices.Sort(files)
	for _, file := range files {
		names = append(names, filepath.Base(file))
	}
	return names
}

func writeYAML(t *testing.T, file string, content any) {
	var text strings.Builder
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	require.NoError(t, encoder.Encode(content))
	require.NoError(t, os.WriteFile(file, []byte(text.String()), 0o600))
}

func compareTelemetry(t *testing.T, file string, telemetry *componenttest.Telemetry) {
	got := counts(t, telemetry)
	if *update {
		writeYAML(t, file, got)
	}
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	want := map[string]int64{}
	require.NoError(t, yaml.Unmarshal(raw, &want))
	require.Equal(t, want, got)
}

// counts are those of the counters and histograms that are not zero, by name and attributes.
func counts(t *testing.T, telemetry *componenttest.Telemetry) map[string]int64 {
	got := map[string]int64{}
	for _, m := range collect(t, telemetry) {
		switch data := m.Data.(type) {
		case metricdata.Sum[int64]:
			for _, point := range data.DataPoints {
				if point.Value != 0 {
					got[seriesName(m.Name, point.Attributes)] = point.Value
				}
			}
		case metricdata.Histogram[float64]:
			for _, point := range data.DataPoints {
				got[seriesName(m.Name, point.Attributes)] = int64(point.Count)
			}
		}
	}
	return got
}

// gauges are the values of the gauges, by name and attributes.
func gauges(t *testing.T, telemetry *componenttest.Telemetry) map[string]int64 {
	got := map[string]int64{}
	for _, m := range collect(t, telemetry) {
		if data, ok := m.Data.(metricdata.Gauge[int64]); ok {
			for _, point := range data.DataPoints {
				got[seriesName(m.Name, point.Attributes)] = point.Value
			}
		}
	}
	return got
}

func collect(t *testing.T, telemetry *componenttest.Telemetry) (all []metricdata.Metrics) {
	var collected metricdata.ResourceMetrics
	require.NoError(t, telemetry.Reader.Collect(context.Background(), &collected))
	for _, scope := range collected.ScopeMetrics {
		all = append(all, scope.Metrics...)
	}
	return all
}

func seriesName(metric string, attributes attribute.Set) string {
	name := strings.TrimPrefix(metric, "otelcol_")
	for _, attribute := range attributes.ToSlice() {
		name += fmt.Sprintf(" %s=%s", attribute.Key, attribute.Value.String())
	}
	return name
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

// anySignal is a consumer of all signals.
type anySignal interface {
	consumer.Traces
	consumer.Metrics
	consumer.Logs
}

func startPipelines(t *testing.T, factory processor.Factory, settings processor.Settings, config component.Config) *pipelines {
	return startPipelinesTo(t, factory, settings, config, consumertest.NewNop())
}

func startPipelinesTo(
	t *testing.T, factory processor.Factory, settings processor.Settings, config component.Config, next anySignal,
) *pipelines {
	var p pipelines
	var err error
	p.traces, err = factory.CreateTraces(t.Context(), settings, config, next)
	require.NoError(t, err)
	p.metrics, err = factory.CreateMetrics(t.Context(), settings, config, next)
	require.NoError(t, err)
	p.logs, err = factory.CreateLogs(t.Context(), settings, config, next)
	require.NoError(t, err)
	for _, c := range p.all() {
		require.NoError(t, c.Start(t.Context(), componenttest.NewNopHost()))
		t.Cleanup(func() { require.NoError(t, c.Shutdown(context.Background())) })
	}
	return &p
}

func (p *pipelines) all() []component.Component {
	return []component.Component{p.traces, p.metrics, p.logs}
}
