// Package flags has feature flags that tell of each evaluation, as OpenTelemetry's conventions have it.
package flags

import (
	"context"
	"sync/atomic"

	"go.opentelemetry.io/otel/log"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"

	"github.com/throughline-otel/throughline/examples/shop/internal/telemetry"
)

// The variants of a flag.
const (
	on  = "on"
	off = "off"
)

// Flag is on or off. It is safe for concurrent use.
type Flag struct {
	key    string
	off    atomic.Bool
	logger log.Logger
}

// New returns a flag that is on.
func New(key string, t *telemetry.Telemetry) *Flag {
	return &Flag{key: key, logger: t.Logger()}
}

// Set turns the flag on or off.
func (f *Flag) Set(isOn bool) { f.off.Store(!isOn) }

// On evaluates the flag.
func (f *Flag) On(ctx context.Context) bool {
	isOff := f.off.Load()
	variant := on
	if isOff {
		variant = off
	}
	var r log.Record
	r.SetEventName("feature_flag.evaluation")
	r.SetSeverity(log.SeverityInfo)
	r.AddAttributes(
		log.String(string(semconv.FeatureFlagKeyKey), f.key),
		log.String(string(semconv.FeatureFlagResultVariantKey), variant),
	)
	f.logger.Emit(ctx, r)
	return !isOff
}
