package correlationprocessor

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/processor"

	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/metadata"
)

// NewFactory returns the factory of the correlation processor. What its processors remember, they share by component
// ID; two factories share nothing.
func NewFactory() processor.Factory {
	shared := new(memories)
	return processor.NewFactory(
		metadata.Type,
		createDefaultConfig,
		processor.WithTraces(func(_ context.Context, set processor.Settings, cfg component.Config, next consumer.Traces) (processor.Traces, error) {
			base, err := newCorrelation(set, cfg.(*Config), shared)
			if err != nil {
				return nil, err
			}
			return newTraces(base, next)
		}, metadata.TracesStability),
		processor.WithMetrics(func(_ context.Context, set processor.Settings, cfg component.Config, next consumer.Metrics) (processor.Metrics, error) {
			base, err := newCorrelation(set, cfg.(*Config), shared)
			if err != nil {
				return nil, err
			}
			return newMetrics(base, next), nil
		}, metadata.MetricsStability),
		processor.WithLogs(func(_ context.Context, set processor.Settings, cfg component.Config, next consumer.Logs) (processor.Logs, error) {
			base, err := newCorrelation(set, cfg.(*Config), shared)
			if err != nil {
				return nil, err
			}
			return newLogs(base, next), nil
		}, metadata.LogsStability),
	)
}
