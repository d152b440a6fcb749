package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// TenantKey is both the baggage member and the span attribute that say whose request it is.
const TenantKey = "shop.tenant"

// Tenant is the span attribute for a tenant's name.
func Tenant(name string) attribute.KeyValue { return attribute.String(TenantKey, name) }

// WithTenant puts the tenant into the baggage, with which it travels to every service downstream.
func WithTenant(ctx context.Context, name string) context.Context {
	member, err := baggage.NewMemberRaw(TenantKey, name)
	if err != nil {
		return ctx
	}
	bag, err := baggage.FromContext(ctx).SetMember(member)
	if err != nil {
		return ctx
	}
	return baggage.ContextWithBaggage(ctx, bag)
}

// tenantProcessor copies the tenant from the baggage onto each span at its start.
type tenantProcessor struct{}

func (tenantProcessor) OnStart(ctx context.Context, span sdktrace.ReadWriteSpan) {
	if tenant := baggage.FromContext(ctx).Member(TenantKey).Value(); tenant != "" {
		span.SetAttributes(Tenant(tenant))
	}
}

func (tenantProcessor) OnEnd(sdktrace.ReadOnlySpan)      {}
func (tenantProcessor) Shutdown(context.Context) error   { return nil }
func (tenantProcessor) ForceFlush(context.Context) error { return nil }
