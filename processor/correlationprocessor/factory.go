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
	shared := newMemories()
	return processor.NewFactory(
		metadata.Type,
		createDefaultConfig,
		processor.WithTraces(func(_ context.Context, set processor.Settings, cfg component.Config, next consumer.Traces) (processor.Traces, error) {
			base, err := newCorrelation(set, cfg.(*Config), shared)
			return &traces{correlation: base, next: next}, err
		}, metadata.TracesStability),
		processor.WithMetrics(func(_ context.Context, set processor.Settings, cfg component.Config, next consumer.Metrics) (processor.Metrics, error) {
			base, err := newCorrelation(set, cfg.(*Config), shared)
			return &metrics{correlation: base, next: next}, err
		}, metadata.MetricsStability),
		processor.WithLogs(func(_ context.Context, set processor.Settings, cfg component.Config, next consumer.Logs) (processor.Logs, error) {
			base, err := newCorrelation(set, cfg.(*Config), shared)
			return &logs{correlation: base, next: next}, err
		}, metadata.LogsStability),
	)
}
