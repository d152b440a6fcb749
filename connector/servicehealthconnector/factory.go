package servicehealthconnector

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/consumer"

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
				return shared.join(set, cfg.(*Config), output{metrics: next})
			}, metadata.TracesToMetricsStability),
		connector.WithTracesToLogs(
			func(_ context.Context, set connector.Settings, cfg component.Config, next consumer.Logs) (connector.Traces, error) {
				return shared.join(set, cfg.(*Config), output{logs: next})
			}, metadata.TracesToLogsStability),
	)
}
