package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/connector/servicegraphconnector"
	"github.com/open-telemetry/opentelemetry-collector-contrib/connector/spanmetricsconnector"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/connector/connectortest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.yaml.in/yaml/v3"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector"
)

const (
	// interval is how often all subjects emit their metrics. It is the shortest that service_health takes, so that a short
	// measurement has flushes in it.
	interval = time.Second
	// window is how long service_health holds spans: less than an interval, so that what is taken in during one
	// interval is also decided in it.
	window = interval / 2
	// plenty is more than a workload has of anything.
	plenty = 10_000_000
)

// subject is one or several connectors that do a job together.
type subject struct {
	name string
	make func(*workload) (*running, error)
}

var (
	ours     = subject{"service_health", makeServiceHealth}
	defaults = subject{"service_graph + span_metrics", func(*workload) (*running, error) { return makePeers(0) }}
	roomy    = subject{"service_graph (roomy) + span_metrics", func(*workload) (*running, error) { return makePeers(plenty) }}
)

// running is a subject at work.
type running struct {
	connectors []connector.Traces
	telemetry  []*componenttest.Telemetry
	sink       *sink
}

// sink counts what it is sent, and keeps the latest.
type sink struct {
	flushes atomic.Int64
	latest  atomic.Pointer[pmetric.Metrics]
}

func (*sink) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (s *sink) ConsumeMetrics(_ context.Context, md pmetric.Metrics) error {
	s.flushes.Add(1)
	s.latest.Store(&md)
	return nil
}

func makeServiceHealth(w *workload) (*running, error) {
	return makeHolding(w, window)
}

func makeHolding(w *workload, window time.Duration) (*running, error) {
	documents, err := objectives(w)
	if err != nil {
		return nil, err
	}
	return makeHealth(func(config *servicehealthconnector.Config) {
		config.TraceWindow = window
		config.SLO.Documents = documents
	})
}

// makeHealth makes service_health as it is by default, but for the interval and for what change does.
func makeHealth(change func(*servicehealthconnector.Config)) (*running, error) {
	factory := servicehealthconnector.NewFactory()
	config := factory.CreateDefaultConfig().(*servicehealthconnector.Config)
	config.FlushInterval = interval
	change(config)
	if err := config.Validate(); err != nil {
		return nil, err
	}
	r := &running{sink: &sink{}}
	settings := r.settings(factory)
	toMetrics, err := factory.CreateTracesToMetrics(context.Background(), settings, config, r.sink)
	if err != nil {
		return nil, err
	}
	toLogs, err := factory.CreateTracesToLogs(context.Background(), settings, config, consumertest.NewNop())
	if err != nil {
		return nil, err
	}
	r.connectors = []connector.Traces{toMetrics, toLogs}
	return r, r.start()
}

// makePeers makes them with their default configuration, but for the interval, and for how many unpaired spans
// service_graph keeps: maxItems, if it is not 0.
func makePeers(maxItems int) (*running, error) {
	r := &running{sink: &sink{}}
	every := interval

	graph := servicegraphconnector.NewFactory()
	graphConfig := graph.CreateDefaultConfig().(*servicegraphconnector.Config)
	graphConfig.MetricsFlushInterval = &every
	if maxItems != 0 {
		graphConfig.Store.MaxItems = maxItems
	}
	serviceGraph, err := graph.CreateTracesToMetrics(context.Background(), r.settings(graph), graphConfig, r.sink)
	if err != nil {
		return nil, err
	}

	spans := spanmetricsconnector.NewFactory()
	spansConfig := spans.CreateDefaultConfig().(*spanmetricsconnector.Config)
	spansConfig.MetricsFlushInterval = every
	spanMetrics, err := spans.CreateTracesToMetrics(context.Background(), r.settings(spans), spansConfig, &sink{})
	if err != nil {
		return nil, err
	}
	r.connectors = []connector.Traces{serviceGraph, spanMetrics}
	return r, r.start()
}

// settings have a real meter provider, as in a collector: self-telemetry is part of the cost.
func (r *running) settings(factory connector.Factory) connector.Settings {
	telemetry := componenttest.NewTelemetry()
	r.telemetry = append(r.telemetry, telemetry)
	settings := connectortest.NewNopSettings(factory.Type())
	settings.ID = component.NewID(factory.Type())
	settings.TelemetrySettings = telemetry.NewTelemetrySettings()
	return settings
}

func (r *running) start() error {
	for _, c := range r.connectors {
		if err := c.Start(context.Background(), componenttest.NewNopHost()); err != nil {
			return err
		}
	}
	return nil
}

func (r *running) consume(td ptrace.Traces) error {
	for _, c := range r.connectors {
		if err := c.ConsumeTraces(context.Background(), td); err != nil {
			return err
		}
	}
	return nil
}

func (r *running) stop() error {
	var errs []error
	for _, c := range r.connectors {
		errs = append(errs, c.Shutdown(context.Background()))
	}
	for _, t := range r.telemetry {
		errs = append(errs, t.Shutdown(context.Background()))
	}
	return errors.Join(errs...)
}

// self sums a self-metric over its attributes; it is 0 where nobody emits it.
func (r *running) self(name string) (total int64) {
	for _, t := range r.telemetry {
		m, err := t.GetMetric(name)
		if err != nil {
			continue
		}
		switch data := m.Data.(type) {
		case metricdata.Gauge[int64]:
			for _, p := range data.DataPoints {
				total += p.Value
			}
		case metricdata.Sum[int64]:
			for _, p := range data.DataPoints {
				total += p.Value
			}
		}
	}
	return total
}

// objectiveCount is what the budget is about.
const objectiveCount = 20

// kinds are the objectives in turn. Each slow one has a threshold that one event in twenty misses, so that blame has work.
var kinds = []struct{ name, indicator string }{
	{"answers", `ratioMetric: {counter: true,
      total: {metricSource: {type: OpenTelemetry, spec: {signal: traces, condition: kind == SPAN_KIND_SERVER or kind == SPAN_KIND_CONSUMER}}},
      good: {metricSource: {type: OpenTelemetry, spec: {signal: traces, condition: status.code != STATUS_CODE_ERROR}}}}`},
	{"latency", `thresholdMetric: {metricSource: {type: OpenTelemetry, spec: {signal: traces,
      condition: kind == SPAN_KIND_SERVER or kind == SPAN_KIND_CONSUMER, value: end_time - start_time}}}`},
	{"calls", `ratioMetric: {counter: true,
      total: {metricSource: {type: OpenTelemetry, spec: {signal: traces, condition: kind == SPAN_KIND_CLIENT}}},
      good: {metricSource: {type: OpenTelemetry, spec: {signal: traces, condition: status.code != STATUS_CODE_ERROR}}}}`},
	{"route-latency", `thresholdMetric: {metricSource: {type: OpenTelemetry, spec: {signal: traces,
      condition: 'kind == SPAN_KIND_SERVER and attributes["http.route"] != nil', value: end_time - start_time, groupBy: [http.route]}}}`},
}

// objectives are spread over the workload's services.
func objectives(w *workload) ([]map[string]any, error) {
	services := w.services()
	var documents []map[string]any
	for i := range objectiveCount {
		service, kind := services[i%len(services)], kinds[i/len(services)%len(kinds)]
		text := fmt.Sprintf(`apiVersion: openslo/v1
kind: SLO
metadata: {name: %s-%d}
spec:
  service: %s
  indicator:
    metadata: {name: indicator-%d}
    spec:
      %s
  timeWindow: [{duration: 30d, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{target: 0.95%s}]
`, kind.name, i, service, i, kind.indicator, threshold(w, service, kind.name))
		var document map[string]any
		if err := yaml.Unmarshal([]byte(text), &document); err != nil {
			return nil, err
		}
		documents = append(documents, document)
	}
	return documents, nil
}

func threshold(w *workload, service, kind string) string {
	if kind != "latency" && kind != "route-latency" {
		return ""
	}
	return fmt.Sprintf(", op: lte, value: %g", max(w.quantile(service, 0.95), time.Millisecond).Seconds())
}
