package correlationprocessor

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/metadata"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/series"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/shared"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/store"
)

const (
	attributeLayer          = "throughline.layer"
	attributeMatch          = "throughline.match"
	attributeEntryService   = "throughline.entry.service"
	attributeEntryOperation = "throughline.entry.operation"
	attributeTraceFailed    = "throughline.trace.failed"

	attributeInstance = "service.instance.id"
)

// memory is what the processors of one component ID share.
type memory struct {
	spans  *store.Store
	series *series.Index
}

// memories keeps the memory of each component ID for as long as one of its processors runs.
type memories = shared.Map[component.ID, *memory]

func newMemory(config StoreConfig) *memory {
	return &memory{
		spans:  store.New(config.MaxBytes/4*3, config.Retention),
		series: series.NewIndex(config.MaxBytes/4, config.Retention),
	}
}

// correlation is what the processors of all three signals have in common.
type correlation struct {
	*memory
	id        component.ID
	config    *Config
	memories  *memories
	release   func() bool
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
	first := false
	c.memory, c.release = c.memories.Acquire(c.id, func() *memory {
		first = true
		return newMemory(c.config.Store)
	})
	if !first {
		return nil
	}
	return c.observe()
}

// observe reports on the memory. Whoever made it does so for all who share it.
func (c *correlation) observe() error {
	if err := c.telemetry.RegisterCorrelationStoreSizeCallback(func(_ context.Context, o metric.Int64Observer) error {
		o.Observe(c.spans.Size() + c.series.Size())
		return nil
	}); err != nil {
		return err
	}
	type evictions struct{ age, bytes metric.MeasurementOption }
	of := func(item string) evictions {
		option := func(reason string) metric.MeasurementOption {
			return metric.WithAttributeSet(attribute.NewSet(attribute.String("item", item), attribute.String("reason", reason)))
		}
		return evictions{age: option("age"), bytes: option("bytes")}
	}
	spans, all := of("span"), of("series")
	return c.telemetry.RegisterCorrelationStoreEvictionsCallback(func(_ context.Context, o metric.Int64Observer) error {
		gone := c.spans.Evicted()
		o.Observe(gone.Age, spans.age)
		o.Observe(gone.Bytes, spans.bytes)
		gone = c.series.Evicted()
		o.Observe(gone.Age, all.age)
		o.Observe(gone.Bytes, all.bytes)
		return nil
	})
}

func (c *correlation) Shutdown(context.Context) error {
	c.telemetry.Shutdown()
	if c.release != nil {
		c.release()
	}
	return nil
}

// Capabilities says that attributes are added to what passes.
func (*correlation) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: true}
}

// now is the only look at the clock; everything below is told the time.
func now() int64 {
	return time.Now().UnixNano()
}

// add puts a text under a key that nobody has used yet.
func add(attributes pcommon.Map, key, value string) {
	if into, exists := attributes.GetOrPutEmpty(key); !exists {
		into.SetStr(value)
	}
}

// text is the value under a key, if it is one.
func text(attributes pcommon.Map, key string) string {
	if value, ok := attributes.Get(key); ok && value.Type() == pcommon.ValueTypeStr {
		return value.Str()
	}
	return ""
}

// options makes what is needed for counting by reason, once for all.
func options(key string, values ...string) [][]metric.AddOption {
	made := make([][]metric.AddOption, len(values))
	for i, value := range values {
		made[i] = []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(attribute.String(key, value)))}
	}
	return made
}
