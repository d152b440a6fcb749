package correlationprocessor

import (
	"context"
	"hash/maphash"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/activity"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/clock"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/hold"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/metadata"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/note"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/place"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/recency"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/series"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/severity"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/shared"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/store"
)

const (
	attributeLayer          = "throughline.layer"
	attributeMatch          = "throughline.match"
	attributeServices       = "throughline.services"
	attributeEntryService   = "throughline.entry.service"
	attributeEntryOperation = "throughline.entry.operation"
	attributeTraceFailed    = "throughline.trace.failed"
	prefixContext           = "throughline.context."

	attributeInstance   = "service.instance.id"
	attributeErrorType  = "error.type"
	attributeThreadID   = "thread.id"
	attributeThreadName = "thread.name"
)

// memory is what the processors of one component ID share.
type memory struct {
	// clock is the only one; everything below is told the time.
	clock    *clock.Clock
	spans    *store.Store
	series   *series.Index
	places   *place.Index
	notes    *note.Index
	activity *activity.Index
	// What waits in all pipelines of a signal shares a bound.
	heldLogs, heldTraces *hold.Budget
}

// memories keeps the memory of each component ID for as long as one of its processors runs.
type memories = shared.Map[component.ID, *memory]

// shares are the parts of the memory that each part of the job may take, for as long as it is in use.
const (
	spansShare    = 8
	seriesShare   = 3
	placesShare   = 2
	notesShare    = 2
	activityShare = 1
	holdShare     = 8
)

// activityDepth is how many spans of each instance are remembered for inferring: what comes of a busy one while a record
// waits. It is a power of two.
const activityDepth = 512

// share is how much of the configured memory a part of the job may take.
func (c *Config) share(n int64) int64 {
	all := int64(spansShare + seriesShare + placesShare + notesShare)
	if c.Logs.InferContext {
		all += activityShare
	}
	if c.Logs.Hold > 0 {
		all += holdShare
	}
	if c.Traces.Hold > 0 {
		all += holdShare
	}
	return c.Store.MaxBytes / all * n
}

func newMemory(config *Config) *memory {
	return &memory{
		clock:    clock.New(),
		spans:    store.New(config.share(spansShare), config.Store.Retention, config.Logs.Keep.SlowAbove),
		series:   series.NewIndex(config.share(seriesShare), config.Store.Retention),
		places:   place.NewIndex(config.share(placesShare), config.Store.Retention),
		notes:    note.New(config.share(notesShare), config.Store.Retention, config.noted()),
		activity: activity.New(config.share(activityShare), config.Store.Retention, activityDepth),

		heldLogs:   hold.NewBudget(config.share(holdShare)),
		heldTraces: hold.NewBudget(config.share(holdShare)),
	}
}

// noted says which records are remembered for their spans.
func (c *Config) noted() note.Config {
	lowest, _ := severity.Parse(c.Traces.AttachLogs.MinSeverity) // has been validated
	return note.Config{MinSeverity: lowest, MaxPerSpan: c.Traces.AttachLogs.MaxPerSpan, Attributes: c.Traces.AttachLogs.Attributes}
}

// correlation is what the processors of all three signals have in common.
type correlation struct {
	*memory
	id        component.ID
	config    *Config
	memories  *memories
	release   func() bool
	telemetry *metadata.TelemetryBuilder
	settings  component.TelemetrySettings
	// placesMatter is whether anybody wants to know what services run on, or call.
	placesMatter bool
}

func newCorrelation(set processor.Settings, config *Config, shared *memories) (*correlation, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	return &correlation{
		id: set.ID, config: config, memories: shared, telemetry: telemetry, settings: set.TelemetrySettings,
		placesMatter: config.Metrics.Services || len(config.Traces.ContextMetrics) > 0,
	}, nil
}

func (c *correlation) Start(context.Context, component.Host) error {
	first := false
	c.memory, c.release = c.memories.Acquire(c.id, func() *memory {
		first = true
		return newMemory(c.config)
	})
	if !first {
		return nil
	}
	return c.observe()
}

// observe reports on the memory. Whoever made it does so for all who share it.
func (c *correlation) observe() error {
	if err := c.telemetry.RegisterCorrelationStoreSizeCallback(func(_ context.Context, o metric.Int64Observer) error {
		o.Observe(c.spans.Size() + c.series.Size() + c.places.Size() + c.notes.Size() + c.activity.Size())
		return nil
	}); err != nil {
		return err
	}
	if err := c.telemetry.RegisterCorrelationHeldCallback(c.observeHeld); err != nil {
		return err
	}
	option := func(item, reason string) metric.MeasurementOption {
		return metric.WithAttributeSet(attribute.NewSet(attribute.String("item", item), attribute.String("reason", reason)))
	}
	type part struct {
		evicted    func() recency.Evictions
		age, bytes metric.MeasurementOption
	}
	var parts []part
	for item, evicted := range map[string]func() recency.Evictions{
		"span": c.spans.Evicted, "series": c.series.Evicted, "place": c.places.Evicted, "note": c.notes.Evicted, "activity": c.activity.Evicted,
	} {
		parts = append(parts, part{evicted, option(item, "age"), option(item, "bytes")})
	}
	crowded := option("span", "crowded")
	return c.telemetry.RegisterCorrelationStoreEvictionsCallback(func(_ context.Context, o metric.Int64Observer) error {
		o.Observe(c.spans.Crowded(), crowded)
		for _, p := range parts {
			gone := p.evicted()
			o.Observe(gone.Age, p.age)
			o.Observe(gone.Bytes, p.bytes)
		}
		return nil
	})
}

func (c *correlation) observeHeld(_ context.Context, o metric.Int64Observer) error {
	if c.config.Logs.Hold > 0 {
		o.Observe(c.heldLogs.Used(), metric.WithAttributes(attribute.String("signal", "logs")))
	}
	if c.config.Traces.Hold > 0 {
		o.Observe(c.heldTraces.Used(), metric.WithAttributes(attribute.String("signal", "traces")))
	}
	return nil
}

func (c *correlation) Shutdown(context.Context) error {
	c.telemetry.Shutdown()
	if c.release != nil {
		c.release()
	}
	return nil
}

// queueSettings are what the queues of both signals have in common.
func queueSettings[T any](
	c *correlation, signal string, wait time.Duration, budget *hold.Budget, send func(context.Context, T) error,
) hold.Settings[T] {
	of := attribute.String("signal", signal)
	var delays [hold.ReasonCount][]metric.RecordOption
	for reason := range delays {
		set := attribute.NewSet(of, attribute.String("reason", hold.Reason(reason).String()))
		delays[reason] = []metric.RecordOption{metric.WithAttributeSet(set)}
	}
	lost := []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(of))}
	return hold.Settings[T]{
		Hold:   wait,
		Budget: budget,
		Send:   send,
		Released: func(reason hold.Reason, waited int64) {
			c.telemetry.CorrelationHoldDelay.Record(context.Background(), time.Duration(waited).Seconds(), delays[reason]...)
		},
		Lost: func(items int, err error) {
			c.telemetry.CorrelationHoldLost.Add(context.Background(), int64(items), lost...)
			c.settings.Logger.Error("What was held is lost, since the next consumer refuses it", zap.String("signal", signal), zap.Int("items", items), zap.Error(err))
		},
	}
}

// Capabilities says that attributes are added to what passes.
func (*correlation) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: true}
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

// thread is a hash of the thread that a span or record names, or 0.
func (c *correlation) thread(attributes pcommon.Map) uint64 {
	for _, key := range [...]string{attributeThreadID, attributeThreadName} {
		if value, ok := attributes.Get(key); ok {
			switch value.Type() {
			case pcommon.ValueTypeInt:
				return maphash.Comparable(c.series.Seed, value.Int())
			case pcommon.ValueTypeStr:
				return maphash.String(c.series.Seed, value.Str())
			}
		}
	}
	return 0
}

// options makes what is needed for counting by reason, once for all.
func options(key string, values ...string) [][]metric.AddOption {
	made := make([][]metric.AddOption, len(values))
	for i, value := range values {
		made[i] = []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(attribute.String(key, value)))}
	}
	return made
}
