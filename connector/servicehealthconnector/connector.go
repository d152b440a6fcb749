package servicehealthconnector

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pipeline"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/engine"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/metadata"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/report"
)

const (
	// shutdownTimeout bounds how long Shutdown takes, since its caller may set no bound.
	shutdownTimeout = 10 * time.Second
	// patience is for how long Shutdown waits for what is being sent before it cancels that: an exporter may try again
	// until it is shut down itself, which comes after this.
	patience = 2 * time.Second
)

// tickInterval is how often the engine is told the time: often enough that what is due does not pile up.
const tickInterval = 100 * time.Millisecond

// instance is what the service graph holds for one pair of signals. The instances of one component ID share an engine.
type instance struct {
	*shared
	input  pipeline.Signal
	output output
}

// output is where one instance sends to: metrics or logs, never both.
type output struct {
	metrics consumer.Metrics
	logs    consumer.Logs
}

// registry finds what the instances of a component ID share.
type registry struct {
	mu   sync.Mutex
	byID map[component.ID]*shared
}

// shared is an engine, the goroutine that tells it the time, and the outputs of those who share it.
type shared struct {
	registry  *registry
	id        component.ID
	logger    *zap.Logger
	engine    *engine.Engine
	loader    *loader
	telemetry *metadata.TelemetryBuilder
	disabled  []string
	// resource is who tells: what two of them count must not become one series.
	resource pcommon.Resource
	storage  *component.ID
	clock    engine.WallClock

	// These are the instances that pass on what comes in. They change at the start and the end only, and are asked for each
	// batch.
	firstOfTraces, firstOfMetrics, firstOfLogs atomic.Pointer[instance]

	mu        sync.Mutex
	instances []*instance
	running   int
	ticker    *ticker
	// started is when the first instance did, with a reading of the monotonic clock.
	started time.Time
}

// ticker are the goroutines that tell an engine the time, and of other objectives.
type ticker struct {
	// stop ends it once it has sent what it is sending, cancel ends that, too.
	stop, cancel context.CancelFunc
	stopped      chan struct{}
}

func (r *registry) join(set connector.Settings, cfg *Config, in pipeline.Signal, out output) (*instance, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.byID[set.ID]
	if s == nil {
		var err error
		if s, err = newShared(r, set, cfg); err != nil {
			return nil, err
		}
		if r.byID == nil {
			r.byID = map[component.ID]*shared{}
		}
		r.byID[set.ID] = s
	}
	i := &instance{shared: s, input: in, output: out}
	s.mu.Lock()
	s.instances = append(s.instances, i)
	s.choose()
	s.mu.Unlock()
	return i, nil
}

func newShared(r *registry, set connector.Settings, cfg *Config) (*shared, error) {
	load := newLoader(set.TelemetrySettings, cfg)
	objectives, binder, err := load.load()
	if err != nil {
		return nil, err
	}
	limits, err := cfg.Dependencies.limits(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	s := &shared{
		registry: r, id: set.ID, logger: set.Logger, loader: load, telemetry: telemetry, storage: cfg.Storage, resource: set.Resource,
	}
	for name, m := range cfg.Metrics {
		if !m.Enabled {
			s.disabled = append(s.disabled, name)
		}
	}
	s.engine = engine.New(engine.Settings{
		TraceWindow:       cfg.TraceWindow,
		MaxSpans:          cfg.MaxSpans,
		MaxEdges:          cfg.Dependencies.MaxEdges,
		MaxEdgesPerCaller: cfg.Dependencies.MaxEdgesPerCaller,
		Silence:           cfg.Dependencies.Silence,
		Delta:             cfg.Dependencies.Temporality == delta,
		Limits:            limits,
		Dimensions:        cfg.Dependencies.Dimensions,
		Bounds:            cfg.Dependencies.Histogram.bounds(),
		ServiceGraph:      slices.Contains(cfg.Compatibility, serviceGraph),
		Sloth:             slices.Contains(cfg.Compatibility, sloth),
		FlushInterval:     cfg.FlushInterval,
		Late:              cfg.SLO.Late,
		CountOnly:         !cfg.SLO.Verdicts,
		MaxSeries:         cfg.SLO.MaxSeries,
		EventTime:         cfg.Clock == clockEvent,
		Objectives:        objectives,
		Binder:            binder,
		SnapshotInterval:  cfg.SLO.SnapshotInterval,
		Logger:            set.Logger,
		Scope:             metadata.ScopeName,
		Version:           set.BuildInfo.Version,
	}, s)
	return s, s.observe()
}

// Capabilities says that what comes in is only read.
func (i *instance) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: false}
}

// Start tells the engine the time from now on, unless another instance does so already. The first one goes on with the state in the
// storage.
func (i *instance) Start(ctx context.Context, host component.Host) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.running == 0 {
		if i.started.IsZero() {
			i.started = time.Now()
		}
		if err := i.restore(ctx, host); err != nil {
			return err
		}
		i.ticker = i.tick()
	}
	i.running++
	return nil
}

// ConsumeTraces counts each batch once: every instance is given it, but only the first of them passes it on.
func (i *instance) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	if i.firstOfTraces.Load() == i {
		i.engine.Traces(ctx, td, i.now())
	}
	return nil
}

// ConsumeMetrics takes in each batch once, as ConsumeTraces does. What this connector tells does not come back: a pipeline of
// which it is both a receiver and an exporter would be a circle, which the collector refuses.
func (i *instance) ConsumeMetrics(ctx context.Context, md pmetric.Metrics) error {
	if i.firstOfMetrics.Load() == i {
		i.engine.Metrics(ctx, md, i.now())
	}
	return nil
}

// ConsumeLogs takes in each batch once, as ConsumeTraces does.
func (i *instance) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	if i.firstOfLogs.Load() == i {
		i.engine.Logs(ctx, ld, i.now())
	}
	return nil
}

// Shutdown tells what is left. Nothing comes in any more, and all instances come before any exporter in the order of
// shutdown that can be relied on; so the first to be shut down still reaches all outputs, and takes its own out after that.
func (i *instance) Shutdown(ctx context.Context) error {
	i.mu.Lock()
	started := i.running > 0
	if started {
		i.running--
	}
	last := i.running == 0
	ticker := i.ticker
	i.mu.Unlock()
	defer i.leave()
	if !started {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, shutdownTimeout)
	defer cancel()
	if err := ticker.end(ctx); err != nil {
		return fmt.Errorf("what is being sent has not ended: %w", err)
	}
	i.engine.Drain(ctx, i.now())
	if last {
		return i.engine.Release(ctx)
	}
	return nil
}

func (i *instance) leave() {
	i.registry.mu.Lock()
	defer i.registry.mu.Unlock()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.instances = slices.DeleteFunc(i.instances, func(other *instance) bool { return other == i })
	i.choose()
	if len(i.instances) == 0 && i.registry.byID[i.id] == i.shared {
		delete(i.registry.byID, i.id)
		i.telemetry.Shutdown()
	}
}

// choose chooses who passes on what comes in. s is locked.
func (s *shared) choose() {
	first := func(in pipeline.Signal) *instance {
		at := slices.IndexFunc(s.instances, func(i *instance) bool { return i.input == in })
		if at < 0 {
			return nil
		}
		return s.instances[at]
	}
	s.firstOfTraces.Store(first(pipeline.SignalTraces))
	s.firstOfMetrics.Store(first(pipeline.SignalMetrics))
	s.firstOfLogs.Store(first(pipeline.SignalLogs))
}

// now is the present time in nanoseconds since the epoch, for telemetry and ticks alike.
func (s *shared) now() int64 {
	now := time.Now()
	return s.clock.At(now.UnixNano(), int64(now.Sub(s.started)))
}

// tick tells the engine the time until the ticker is ended.
func (s *shared) tick() *ticker {
	sending, cancel := context.WithCancel(context.Background())
	ticking, stop := context.WithCancel(sending)
	t := &ticker{stop: stop, cancel: cancel, stopped: make(chan struct{})}
	var all sync.WaitGroup
	if s.loader.interval > 0 {
		all.Go(func() { s.watch(ticking, sending) })
	}
	all.Go(func() {
		ticks := time.NewTicker(tickInterval)
		defer ticks.Stop()
		for {
			select {
			case <-ticking.Done():
				return
			case <-ticks.C:
				s.engine.TickWall(sending, s.now())
			}
		}
	})
	go func() {
		defer close(t.stopped)
		all.Wait()
	}()
	return t
}

// end waits until the goroutines have ended, and first for a while until what it is sending is sent. To end it twice is allowed.
func (t *ticker) end(ctx context.Context) error {
	defer t.cancel()
	t.stop()
	timer := time.AfterFunc(patience, t.cancel)
	defer timer.Stop()
	select {
	case <-t.stopped:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Metrics sends to one of the instances that send metrics: all of them reach the same pipelines.
func (s *shared) Metrics(ctx context.Context, md pmetric.Metrics) {
	report.Remove(md, s.disabled)
	s.resource.CopyTo(md.ResourceMetrics().At(0).Resource())
	if next := s.find(func(o output) bool { return o.metrics != nil }); next.metrics != nil {
		if err := next.metrics.ConsumeMetrics(ctx, md); err != nil {
			s.logger.Warn("metrics were refused downstream", zap.Error(err))
		}
	}
}

// Logs sends to one of the instances that send logs.
func (s *shared) Logs(ctx context.Context, ld plog.Logs) {
	if next := s.find(func(o output) bool { return o.logs != nil }); next.logs != nil {
		if err := next.logs.ConsumeLogs(ctx, ld); err != nil {
			s.logger.Warn("events were refused downstream", zap.Error(err))
		}
	}
}

func (s *shared) find(wanted func(output) bool) output {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range s.instances {
		if wanted(i.output) {
			return i.output
		}
	}
	return output{}
}

// observe registers the self-telemetry.
func (s *shared) observe() error {
	register := []struct {
		with func(metric.Int64Callback) error
		tell func(engine.Stats, metric.Int64Observer)
	}{
		{s.telemetry.RegisterServiceHealthSpansCallback, func(st engine.Stats, o metric.Int64Observer) {
			o.Observe(int64(st.Decided), metric.WithAttributes(attribute.String("outcome", "decided")))
			o.Observe(int64(st.Duplicates), metric.WithAttributes(attribute.String("outcome", "duplicate")))
		}},
		{s.telemetry.RegisterServiceHealthSpansRefusedCallback, func(st engine.Stats, o metric.Int64Observer) {
			for reason, n := range st.Refused {
				o.Observe(int64(n), metric.WithAttributes(attribute.String("reason", string(reason))))
			}
		}},
		{s.telemetry.RegisterServiceHealthSpansHeldCallback, func(st engine.Stats, o metric.Int64Observer) {
			o.Observe(int64(st.Held))
		}},
		{s.telemetry.RegisterServiceHealthTracesCutShortCallback, func(st engine.Stats, o metric.Int64Observer) {
			o.Observe(int64(st.CutShort))
		}},
		{s.telemetry.RegisterServiceHealthLinksUnmatchedCallback, func(st engine.Stats, o metric.Int64Observer) {
			o.Observe(int64(st.UnmatchedLinks))
		}},
		{s.telemetry.RegisterServiceHealthEdgesRefusedCallback, func(st engine.Stats, o metric.Int64Observer) {
			o.Observe(int64(st.EdgesRefused))
		}},
		{s.telemetry.RegisterServiceHealthEventsNotJudgedCallback, func(st engine.Stats, o metric.Int64Observer) {
			for reason, n := range st.NotJudged {
				o.Observe(int64(n), metric.WithAttributes(attribute.String("reason", string(reason))))
			}
		}},
		{s.telemetry.RegisterServiceHealthSeriesHeldCallback, func(st engine.Stats, o metric.Int64Observer) {
			o.Observe(int64(st.Series))
		}},
		{s.telemetry.RegisterServiceHealthFleetPointsRefusedCallback, func(st engine.Stats, o metric.Int64Observer) {
			for reason, n := range st.PointsRefused {
				o.Observe(int64(n), metric.WithAttributes(attribute.String("reason", string(reason))))
			}
		}},
		{s.telemetry.RegisterServiceHealthFleetPointsRepeatedCallback, func(st engine.Stats, o metric.Int64Observer) {
			o.Observe(int64(st.PointsRepeated))
		}},
		{s.telemetry.RegisterServiceHealthSnapshotsCallback, func(st engine.Stats, o metric.Int64Observer) {
			if st.Saves {
				o.Observe(int64(st.Saved), metric.WithAttributes(attribute.String("outcome", "success")))
				o.Observe(int64(st.NotSaved), metric.WithAttributes(attribute.String("outcome", "failure")))
			}
		}},
		{s.telemetry.RegisterServiceHealthEventsLateCallback, func(st engine.Stats, o metric.Int64Observer) {
			o.Observe(int64(st.LateEvents))
		}},
		{s.telemetry.RegisterServiceHealthDocumentsLoadedCallback, func(_ engine.Stats, o metric.Int64Observer) {
			o.Observe(s.loader.taken.Load(), metric.WithAttributes(attribute.String("outcome", "taken")))
			o.Observe(s.loader.refused.Load(), metric.WithAttributes(attribute.String("outcome", "refused")))
		}},
		{s.telemetry.RegisterServiceHealthDocumentsOutdatedCallback, func(_ engine.Stats, o metric.Int64Observer) {
			outdated := int64(0)
			if s.loader.outdated.Load() {
				outdated = 1
			}
			o.Observe(outdated)
		}},
	}
	for _, r := range register {
		err := r.with(func(_ context.Context, o metric.Int64Observer) error {
			r.tell(s.engine.Stats(), o)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
