package correlationprocessor

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
)

// minStoreBytes is room for what the store needs before it remembers anything worth having.
const minStoreBytes = 1 << 20

// Config is what users set.
type Config struct {
	Store   StoreConfig   `mapstructure:"store"`
	Logs    LogsConfig    `mapstructure:"logs"`
	Metrics MetricsConfig `mapstructure:"metrics"`
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

// LogsConfig says how log records find their trace.
type LogsConfig struct {
	// RecoverContext fills empty ids from attributes and body.
	RecoverContext bool `mapstructure:"recover_context"`
	// prevent unkeyed literal initialization
	_ struct{}
}

// MetricsConfig says what metric points learn from spans.
type MetricsConfig struct {
	Exemplars ExemplarsConfig `mapstructure:"exemplars"`
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
		Logs:    LogsConfig{RecoverContext: true},
		Metrics: MetricsConfig{Exemplars: ExemplarsConfig{Enabled: true, MaxPerPoint: 5}},
	}
}

// Validate names the key of every value that cannot work.
func (c *Config) Validate() error {
	var errs []error
	if c.Store.MaxBytes < minStoreBytes {
		errs = append(errs, fmt.Errorf("`store.max_bytes` must be at least %d, got %d", minStoreBytes, c.Store.MaxBytes))
	}
	if c.Store.Retention <= 0 {
		errs = append(errs, fmt.Errorf("`store.retention` must be longer than 0s, got %s", c.Store.Retention))
	}
	if c.Metrics.Exemplars.MaxPerPoint < 1 {
		errs = append(errs, fmt.Errorf("`metrics.exemplars.max_per_point` must be at least 1, got %d", c.Metrics.Exemplars.MaxPerPoint))
	}
	return errors.Join(errs...)
}
