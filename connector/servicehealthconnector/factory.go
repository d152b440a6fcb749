package servicehealthconnector

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pipeline"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/metadata"
)

// NewFactory returns the factory of the service_health connector. What the instances of one component ID share lives as
// long as any of them; two factories share nothing.
func NewFactory() connector.Factory {
	shared := &registry{}
	return connector.NewFactory(
		metadata.Type,
		createDefaultConfig,
		connector.WithTracesToMetrics(
			func(_ context.Context, set connector.Settings, cfg component.Config, next consumer.Metrics) (connector.Traces, error) {
				return shared.join(set, cfg.(*Config), pipeline.SignalTraces, output{metrics: next})
			}, metadata.TracesToMetricsStability),
		connector.WithTracesToLogs(
			func(_ context.Context, set connector.Settings, cfg component.Config, next consumer.Logs) (connector.Traces, error) {
				return shared.join(set, cfg.(*Config), pipeline.SignalTraces, output{logs: next})
			}, metadata.TracesToLogsStability),
		connector.WithMetricsToMetrics(
			func(_ context.Context, set connector.Settings, cfg component.Config, next consumer.Metrics) (connector.Metrics, error) {
				return shared.join(set, cfg.(*Config), pipeline.SignalMetrics, output{metrics: next})
			}, metadata.MetricsToMetricsStability),
		connector.WithMetricsToLogs(
			func(_ context.Context, set connector.Settings, cfg component.Config, next consumer.Logs) (connector.Metrics, error) {
				return shared.join(set, cfg.(*Config), pipeline.SignalMetrics, output{logs: next})
			}, metadata.MetricsToLogsStability),
		connector.WithLogsToMetrics(
			func(_ context.Context, set connector.Settings, cfg component.Config, next consumer.Metrics) (connector.Logs, error) {
				return shared.join(set, cfg.(*Config), pipeline.SignalLogs, output{metrics: next})
			}, metadata.LogsToMetricsStability),
		connector.WithLogsToLogs(
			func(_ context.Context, set connector.Settings, cfg component.Config, next consumer.Logs) (connector.Logs, error) {
				return shared.join(set, cfg.(*Config), pipeline.SignalLogs, output{logs: next})
			}, metadata.LogsToLogsStability),
	)
}
