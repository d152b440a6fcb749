package correlationprocessor

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.uber.org/zap"

	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/keep"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/rule"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/severity"
)

const (
	// minStoreBytes is room for what the store needs before it remembers anything worth having.
	minStoreBytes = 1 << 20
	// maxRetention is longer than anything that is joined in stream takes.
	maxRetention = 24 * time.Hour
	// maxContextMetrics is how many metrics one word of a place has bits for.
	maxContextMetrics = 64
)

// Config is what users set.
type Config struct {
	// Layers are asked in their order, ahead of the built-in rules.
	Layers  []LayerConfig `mapstructure:"layers"`
	Store   StoreConfig   `mapstructure:"store"`
	Logs    LogsConfig    `mapstructure:"logs"`
	Traces  TracesConfig  `mapstructure:"traces"`
	Metrics MetricsConfig `mapstructure:"metrics"`
	// prevent unkeyed literal initialization
	_ struct{}
}

// LayerConfig says in which layer the emitters or spans are that meet a condition.
type LayerConfig struct {
	// Layer is one of client, edge, application, messaging, data, platform and external.
	Layer string `mapstructure:"layer"`
	// Condition is one of OTTL. It is about emitters if it looks at nothing but `resource`, and about spans otherwise.
	Condition string `mapstructure:"condition"`
	// prevent unkeyed literal initialization
	_ struct{}
}

// StoreConfig bounds what is remembered.
type StoreConfig struct {
	// MaxBytes is how much memory may be remembered in; the oldest goes first.
	MaxBytes int64 `mapstructure:"max_bytes"`
	// Retention is how long anything is remembered.
	Retention time.Duration `mapstructure:"retention"`
	// prevent unkeyed literal initialization
	_ struct{}
}

// LogsConfig says how log records find their trace, and which of them go on.
type LogsConfig struct {
	// RecoverContext fills empty ids from attributes and body.
	RecoverContext bool `mapstructure:"recover_context"`
	// InferContext gives a record without any id the only trace, and if that is certain the span, that was active where and
	// when it was written.
	InferContext bool `mapstructure:"infer_context"`
	// Hold is how long a record waits for its span.
	Hold time.Duration `mapstructure:"hold"`
	Keep KeepConfig    `mapstructure:"keep"`
	// prevent unkeyed literal initialization
	_ struct{}
}

// KeepConfig is the lowest severity that survives, by what became of the record's trace. Empty keeps all.
type KeepConfig struct {
	Fine   string `mapstructure:"fine"`
	Slow   string `mapstructure:"slow"`
	Failed string `mapstructure:"failed"`
	// SlowAbove is how long a span may take before it, and with it its trace, is slow.
	SlowAbove time.Duration `mapstructure:"slow_above"`
	// prevent unkeyed literal initialization
	_ struct{}
}

// TracesConfig says what spans learn from log records and metric points.
type TracesConfig struct {
	AttachLogs AttachLogsConfig `mapstructure:"attach_logs"`
	// Hold is how long a span waits for its records.
	Hold time.Duration `mapstructure:"hold"`
	// ContextMetrics are the names of metrics whose last value goes onto failed and slow spans.
	ContextMetrics []string `mapstructure:"context_metrics"`
	// prevent unkeyed literal initialization
	_ struct{}
}

// AttachLogsConfig says which records become events of their span.
type AttachLogsConfig struct {
	// MinSeverity is the lowest severity of these. Empty is none of them.
	MinSeverity string `mapstructure:"min_severity"`
	// MaxPerSpan bounds the events of one span.
	MaxPerSpan int `mapstructure:"max_per_span"`
	// Attributes are the keys of a record's attributes that its event gets, too.
	Attributes []string `mapstructure:"attributes"`
	// prevent unkeyed literal initialization
	_ struct{}
}

// MetricsConfig says what metric points learn from spans.
type MetricsConfig struct {
	Exemplars ExemplarsConfig `mapstructure:"exemplars"`
	// Services names the services that run on, or call, what points of the platform and data layers are about.
	Services bool `mapstructure:"services"`
	// prevent unkeyed literal initialization
	_ struct{}
}

// ExemplarsConfig says which points get exemplars.
type ExemplarsConfig struct {
	// Enabled gives exemplars to points that have none.
	Enabled bool `mapstructure:"enabled"`
	// MaxPerPoint bounds the exemplars of one point.
	MaxPerPoint int `mapstructure:"max_per_point"`
	// prevent unkeyed literal initialization
	_ struct{}
}

var _ confmap.Validator = (*Config)(nil)

func createDefaultConfig() component.Config {
	return &Config{
		Store:   StoreConfig{MaxBytes: 64 << 20, Retention: time.Minute},
		Logs:    LogsConfig{RecoverContext: true, Keep: KeepConfig{SlowAbove: time.Second}},
		Traces:  TracesConfig{AttachLogs: AttachLogsConfig{MaxPerSpan: 8}},
		Metrics: MetricsConfig{Exemplars: ExemplarsConfig{Enabled: true, MaxPerPoint: 5}, Services: true},
	}
}

// Validate names the key of every value that cannot work.
func (c *Config) Validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Store.MaxBytes < minStoreBytes {
		wrong("`store.max_bytes` must be at least %d, got %d", minStoreBytes, c.Store.MaxBytes)
	}
	if c.Store.Retention <= 0 {
		wrong("`store.retention` must be longer than 0s, got %s", c.Store.Retention)
	}
	if c.Store.Retention > maxRetention {
		wrong("`store.retention` must be at most %s, got %s", maxRetention, c.Store.Retention)
	}
	if c.Logs.Keep.SlowAbove <= 0 {
		wrong("`logs.keep.slow_above` must be longer than 0s, got %s", c.Logs.Keep.SlowAbove)
	}
	if c.Traces.AttachLogs.MaxPerSpan < 1 {
		wrong("`traces.attach_logs.max_per_span` must be at least 1, got %d", c.Traces.AttachLogs.MaxPerSpan)
	}
	if c.Metrics.Exemplars.MaxPerPoint < 1 {
		wrong("`metrics.exemplars.max_per_point` must be at least 1, got %d", c.Metrics.Exemplars.MaxPerPoint)
	}
	for _, hold := range []struct {
		key string
		is  time.Duration
	}{{"logs.hold", c.Logs.Hold}, {"traces.hold", c.Traces.Hold}} {
		switch {
		case hold.is < 0:
			wrong("`%s` must not be negative, got %s", hold.key, hold.is)
		case hold.is > c.Store.Retention:
			wrong("`%s` must not be longer than `store.retention` (%s), got %s: what it waits for would be forgotten", hold.key, c.Store.Retention, hold.is)
		}
	}
	for _, lowest := range []struct{ key, is string }{
		{"logs.keep.fine", c.Logs.Keep.Fine},
		{"logs.keep.slow", c.Logs.Keep.Slow},
		{"logs.keep.failed", c.Logs.Keep.Failed},
		{"traces.attach_logs.min_severity", c.Traces.AttachLogs.MinSeverity},
	} {
		if _, err := severity.Parse(lowest.is); err != nil {
			wrong("`%s` %w", lowest.key, err)
		}
	}
	if _, err := rule.Compile(c.rules(), component.TelemetrySettings{Logger: zap.NewNop()}); err != nil {
		errs = append(errs, err)
	}
	errs = append(errs, namesAreUsable("traces.attach_logs.attributes", c.Traces.AttachLogs.Attributes)...)
	errs = append(errs, namesAreUsable("traces.context_metrics", c.Traces.ContextMetrics)...)
	if n := len(c.Traces.ContextMetrics); n > maxContextMetrics {
		wrong("`traces.context_metrics` has room for %d names, got %d", maxContextMetrics, n)
	}
	return errors.Join(errs...)
}

func (c *Config) rules() []rule.Rule {
	rules := make([]rule.Rule, len(c.Layers))
	for i, given := range c.Layers {
		rules[i] = rule.Rule{Layer: given.Layer, Condition: given.Condition}
	}
	return rules
}

// policy is what `logs.keep` says. The severities have been validated.
func (c *Config) policy() keep.Policy {
	var p keep.Policy
	p.Fine, _ = severity.Parse(c.Logs.Keep.Fine)
	p.Slow, _ = severity.Parse(c.Logs.Keep.Slow)
	p.Failed, _ = severity.Parse(c.Logs.Keep.Failed)
	return p
}

func namesAreUsable(key string, names []string) (errs []error) {
	for i, name := range names {
		switch {
		case name == "":
			errs = append(errs, fmt.Errorf("`%s[%d]` must not be empty", key, i))
		case slices.Contains(names[:i], name):
			errs = append(errs, fmt.Errorf("`%s[%d]` is there twice: %q", key, i, name))
		}
	}
	return errs
}
