package servicehealthconnector

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.uber.org/zap"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/dimension"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/health"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/limit"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/openslo"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/report"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/sli"
)

// The values of Config.Clock.
const (
	clockWall  = "wall"
	clockEvent = "event"
)

// The values of Config.Compatibility.
const (
	serviceGraph = "service_graph"
	sloth        = "sloth"
)

// Config is what users set.
type Config struct {
	// TraceWindow is how long a span record waits for the rest of its trace. Longer finds more of slow traces, and tells later.
	TraceWindow time.Duration `mapstructure:"trace_window"`
	// MaxSpans bounds the span records held, and the links of those that consume messages, at about 160 bytes each. Past it old
	// traces are decided early.
	MaxSpans int `mapstructure:"max_spans"`
	// Dependencies is about who calls whom.
	Dependencies DependenciesConfig `mapstructure:"dependencies"`
	// SLO is about objectives.
	SLO SLOConfig `mapstructure:"slo"`
	// Storage is a storage extension in which budgets survive restarts and crashes.
	Storage *component.ID `mapstructure:"storage"`
	// Clock is wall, or event to follow the time of recorded telemetry.
	Clock string `mapstructure:"clock"`
	// FlushInterval is how often metrics are emitted. Events do not wait for it.
	FlushInterval time.Duration `mapstructure:"flush_interval"`
	// Compatibility names other projects under whose metric names the same facts are told, too.
	Compatibility []string `mapstructure:"compatibility"`
	// Metrics turns single metrics off.
	Metrics map[string]MetricConfig `mapstructure:"metrics"`
}

// DependenciesConfig is about who calls whom.
type DependenciesConfig struct {
	// MaxEdges bounds the dependencies that are told apart. The calls along further ones are counted toward the callee
	// "other" of the same caller and type.
	MaxEdges int `mapstructure:"max_edges"`
	// MaxEdgesPerCaller bounds those of one caller in the same way.
	MaxEdgesPerCaller int `mapstructure:"max_edges_per_caller"`
	// Silence is after how long without calls a series leaves.
	Silence time.Duration `mapstructure:"silence"`
	// Temporality is cumulative or delta.
	Temporality string `mapstructure:"temporality"`
	// Dimensions are attributes of spans, or else of their resources, by which the calls along a dependency are told apart, too.
	Dimensions []string `mapstructure:"dimensions"`
	// Histogram is the kind of that of durations.
	Histogram HistogramConfig `mapstructure:"histogram"`
	// Limits are set by hand, for dependencies whose past is no measure. The first that applies counts.
	Limits []LimitConfig `mapstructure:"limits"`
}

// HistogramConfig is the kind of a histogram: exponential, unless Explicit has buckets.
type HistogramConfig struct {
	Explicit ExplicitConfig `mapstructure:"explicit"`
}

// ExplicitConfig is a histogram with buckets of one's own.
type ExplicitConfig struct {
	// Buckets are their upper bounds, in ascending order.
	Buckets []time.Duration `mapstructure:"buckets"`
}

// maxBuckets bounds the buckets of an explicit histogram.
const maxBuckets = 200

// validate returns what is wrong with the kind of histogram.
func (h *HistogramConfig) validate() error {
	const key = "`dependencies.histogram.explicit.buckets`"
	buckets := h.Explicit.Buckets
	if len(buckets) > maxBuckets {
		return fmt.Errorf("%s must be at most %d upper bounds, not %d", key, maxBuckets, len(buckets))
	}
	for i, upper := range buckets {
		if upper <= 0 || i > 0 && upper <= buckets[i-1] {
			return fmt.Errorf("%s must be greater than zero, and each greater than the one before: %s is not", key, upper)
		}
	}
	return nil
}

// bounds are the buckets in seconds, or nil of an exponential histogram.
func (h *HistogramConfig) bounds() []float64 {
	var bounds []float64
	for _, upper := range h.Explicit.Buckets {
		bounds = append(bounds, float64(upper)/1e9)
	}
	return bounds
}

// validateDimensions returns what is wrong with the extra dimensions.
func (d *DependenciesConfig) validateDimensions() error {
	const key = "`dependencies.dimensions`"
	if len(d.Dimensions) > dimension.Most {
		return fmt.Errorf("%s must be at most %d, not %d", key, dimension.Most, len(d.Dimensions))
	}
	for i, name := range d.Dimensions {
		switch {
		case name == "":
			return fmt.Errorf("%s must be names of attributes: one is empty", key)
		case slices.Contains(d.Dimensions[:i], name):
			return fmt.Errorf("%s names %q twice", key, name)
		case !report.MayBeDimension(name):
			return fmt.Errorf("%s: every dependency has %q already", key, name)
		}
	}
	return nil
}

// The values of DependenciesConfig.Temporality.
const (
	cumulative = "cumulative"
	delta      = "delta"
)

// LimitConfig is a limit on the dependencies that meet its condition.
type LimitConfig struct {
	// Condition is in OTTL over the attributes of a dependency: `attributes["callee.service.name"] == "payments"`. All meet an
	// empty one.
	Condition string `mapstructure:"condition"`
	// FailureRate is the share of failed calls, from 0 to less than 1, above which a dependency is degraded.
	FailureRate float64 `mapstructure:"failure_rate"`
	// Duration is what at most one call in twenty may exceed.
	Duration time.Duration `mapstructure:"duration"`
}

// validate returns what is wrong with the limit that has this index.
func (l *LimitConfig) validate(index int) error {
	key := fmt.Sprintf("dependencies.limits[%d]", index)
	var errs []error
	if !(l.FailureRate >= 0 && l.FailureRate < 1) {
		errs = append(errs, fmt.Errorf("`%s.failure_rate` must be from 0 to less than 1: no share of failed calls is above 1", key))
	}
	if l.Duration < 0 {
		errs = append(errs, fmt.Errorf("`%s.duration` must not be negative", key))
	}
	if longest := time.Duration(health.LongestLimit()); l.Duration >= longest {
		errs = append(errs, fmt.Errorf("`%s.duration` must be less than %s: longer calls are not told apart", key, longest))
	}
	if l.FailureRate == 0 && l.Duration == 0 {
		errs = append(errs, fmt.Errorf("`%s` needs `failure_rate` or `duration`", key))
	}
	return errors.Join(errs...)
}

// limits compiles the limits.
func (d *DependenciesConfig) limits(set component.TelemetrySettings) (*limit.Set, error) {
	var limits []limit.Limit
	for _, l := range d.Limits {
		limits = append(limits, limit.Limit{
			Condition: l.Condition, Limit: health.Limit{FailureRate: l.FailureRate, Duration: int64(l.Duration)},
		})
	}
	return limit.Compile(limits, set)
}

// SLOConfig is about objectives.
type SLOConfig struct {
	// Files are globs of files with OpenSLO v1 documents.
	Files []string `mapstructure:"files"`
	// Documents are OpenSLO v1 documents.
	Documents []map[string]any `mapstructure:"documents"`
	// ReloadInterval is how often it is looked whether files have changed; 0 is never. With the clock of recorded telemetry they are
	// read once.
	ReloadInterval time.Duration `mapstructure:"reload_interval"`
	// Late is how late an event may still enter its own bucket.
	Late time.Duration `mapstructure:"late"`
	// Verdicts is whether this connector gives the verdicts. If not it only counts events, and another one that gets these counts
	// in a metrics pipeline gives them.
	Verdicts bool `mapstructure:"verdicts"`
	// MaxSeries bounds the series of metrics that objectives count, each once for every objective, at about 200 bytes each. The
	// points of further ones are not judged.
	MaxSeries int `mapstructure:"max_series"`
	// SnapshotInterval is how often the state is saved, if there is a storage for it.
	SnapshotInterval time.Duration `mapstructure:"snapshot_interval"`
}

// MetricConfig is about one emitted metric.
type MetricConfig struct {
	// Enabled is true unless set.
	Enabled bool `mapstructure:"enabled"`
}

var _ component.Config = (*Config)(nil)

func createDefaultConfig() component.Config {
	return &Config{
		TraceWindow: 10 * time.Second,
		MaxSpans:    1_000_000,
		Dependencies: DependenciesConfig{
			MaxEdges: 10_000, MaxEdgesPerCaller: 1000, Silence: time.Hour, Temporality: cumulative,
		},
		SLO: SLOConfig{
			ReloadInterval: 30 * time.Second, Late: 5 * time.Minute, MaxSeries: 100_000, SnapshotInterval: 10 * time.Second, Verdicts: true,
		},
		Clock:         clockWall,
		FlushInterval: 15 * time.Second,
	}
}

// Validate refuses what cannot work, OpenSLO documents among it.
func (c *Config) Validate() error {
	var errs []error
	positive := func(key string, ok bool) {
		if !ok {
			errs = append(errs, fmt.Errorf("`%s` must be greater than zero", key))
		}
	}
	// A number without a unit is taken for nanoseconds by the time it comes here.
	lasts := func(key string, d time.Duration) {
		if d < time.Millisecond {
			errs = append(errs, fmt.Errorf("`%s` must be a millisecond or more, not %s; a duration has a unit, such as 10s", key, d))
		}
	}
	lasts("trace_window", c.TraceWindow)
	lasts("flush_interval", c.FlushInterval)
	lasts("dependencies.silence", c.Dependencies.Silence)
	lasts("slo.late", c.SLO.Late)
	lasts("slo.snapshot_interval", c.SLO.SnapshotInterval)
	positive("max_spans", c.MaxSpans > 0)
	positive("dependencies.max_edges", c.Dependencies.MaxEdges > 0)
	positive("dependencies.max_edges_per_caller", c.Dependencies.MaxEdgesPerCaller > 0)
	positive("slo.max_series", c.SLO.MaxSeries > 0)
	if c.SLO.ReloadInterval < 0 || c.SLO.ReloadInterval > 0 && c.SLO.ReloadInterval < time.Second {
		errs = append(errs, errors.New("`slo.reload_interval` must be a second or more, or 0 for never"))
	}
	if c.Clock != clockWall && c.Clock != clockEvent {
		errs = append(errs, fmt.Errorf("`clock` must be %q or %q, not %q", clockWall, clockEvent, c.Clock))
	}
	if c.Storage != nil && c.Clock == clockEvent {
		errs = append(errs, fmt.Errorf("`storage` needs `clock: %s`: a recording that is replayed again would count a second time", clockWall))
	}
	if t := c.Dependencies.Temporality; t != cumulative && t != delta {
		errs = append(errs, fmt.Errorf("`dependencies.temporality` must be %q or %q, not %q", cumulative, delta, t))
	}
	for _, other := range c.Compatibility {
		if other != serviceGraph && other != sloth {
			errs = append(errs, fmt.Errorf("`compatibility`: %q is not known; %q and %q are", other, serviceGraph, sloth))
		}
	}
	errs = append(errs, c.Dependencies.validateDimensions(), c.Dependencies.Histogram.validate())
	for i := range c.Dependencies.Limits {
		errs = append(errs, c.Dependencies.Limits[i].validate(i))
	}
	// Also what only compiles later is to be refused by `validate`, with its key or its document's file and line.
	nowhere := component.TelemetrySettings{Logger: zap.NewNop()}
	if _, err := c.Dependencies.limits(nowhere); err != nil {
		errs = append(errs, err)
	}
	for name := range c.Metrics {
		if !report.Emits(name) {
			errs = append(errs, fmt.Errorf("`metrics`: there is no metric %q", name))
		}
	}
	objectives, err := openslo.Load(c.SLO.Files, c.SLO.Documents)
	if err == nil {
		_, err = sli.Compile(objectives, nowhere)
	}
	return errors.Join(append(errs, err)...)
}
