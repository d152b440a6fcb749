package correlationprocessor

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"

	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/metadata"
)

type memories struct{}

func newMemories() *memories { return &memories{} }

// correlation is what the processors of all three signals have in common.
type correlation struct {
	id        component.ID
	config    *Config
	memories  *memories
	telemetry *metadata.TelemetryBuilder
}

func newCorrelation(set processor.Settings, config *Config, shared *memories) (*correlation, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	return &correlation{id: set.ID, config: config, memories: shared, telemetry: telemetry}, nil
}

func (c *correlation) Start(context.Context, component.Host) error {
	return nil
}

func (c *correlation) Shutdown(context.Context) error {
	c.telemetry.Shutdown()
	return nil
}

// Capabilities says that attributes are added to what passes.
func (*correlation) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: true}
}

type traces struct {
	*correlation
	next consumer.Traces
}

func (t *traces) ConsumeTraces(ctx context.Context, batch ptrace.Traces) error {
	return t.next.ConsumeTraces(ctx, batch)
}

type metrics struct {
	*correlation
	next consumer.Metrics
}

func (m *metrics) ConsumeMetrics(ctx context.Context, batch pmetric.Metrics) error {
	return m.next.ConsumeMetrics(ctx, batch)
}

type logs struct {
	*correlation
	next consumer.Logs
}

func (l *logs) ConsumeLogs(ctx context.Context, batch plog.Logs) error {
	return l.next.ConsumeLogs(ctx, batch)
}
