package rule_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/throughline-otel/throughline/internal/layer"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/rule"
)

// rules are some of each kind, and some of which only the first may win.
var rules = []rule.Rule{
	{Layer: "edge", Condition: `resource.attributes["service.name"] == "gate"`},
	{Layer: "external", Condition: `IsMatch(span.attributes["server.address"], "\\.bank\\.example$")`},
	{Layer: "platform", Condition: `resource.attributes["team"] == "infra"`},
	{Layer: "messaging", Condition: `scope.name == "mailer" and span.kind == SPAN_KIND_PRODUCER`},
	{Layer: "client", Condition: `resource.attributes["service.name"] == "gate"`},
	{Layer: "data", Condition: `scope.name == "mailer"`},
	{Layer: "application", Condition: `IsRootSpan()`},
}

func TestTheFirstTrueRuleSaysWhereTheEmitterSits(t *testing.T) {
	set := compile(t, rules...)
	for name, given := range map[string]struct {
		resource map[string]any
		want     layer.Layer
	}{
		"one is true":         {map[string]any{"team": "infra"}, layer.Platform},
		"the first of three":  {map[string]any{"service.name": "gate", "team": "infra"}, layer.Edge},
		"none is true":        {map[string]any{"service.name": "checkout"}, layer.Unknown},
		"nothing to look at":  {nil, layer.Unknown},
		"a number for a text": {map[string]any{"service.name": 7}, layer.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			resource, _, _ := span(t, given.resource, "", nil)
			got, failed := set.OfResource(t.Context(), resource)
			assert.Equal(t, given.want, got)
			assert.Zero(t, failed)
		})
	}
}

func TestTheFirstTrueRuleSaysWhatASpanIsAbout(t *testing.T) {
	set := compile(t, rules...)
	for name, given := range map[string]struct {
		scope string
		kind  ptrace.SpanKind
		child bool
		span  map[string]any
		want  layer.Layer
	}{
		"by its attribute":         {span: map[string]any{"server.address": "api.bank.example"}, child: true, want: layer.External},
		"by its scope and kind":    {scope: "mailer", kind: ptrace.SpanKindProducer, child: true, want: layer.Messaging},
		"by its scope":             {scope: "mailer", child: true, want: layer.Data},
		"by having no parent":      {want: layer.Application},
		"not by the resource only": {child: true, want: layer.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			resource, scope, span := span(t, map[string]any{"service.name": "gate"}, given.scope, given.span)
			span.SetKind(given.kind)
			if given.child {
				span.SetParentSpanID([8]byte{1})
			}
			got, _ := set.OfSpan(t.Context(), resource, scope, span)
			assert.Equal(t, given.want, got)
		})
	}
}

func TestAConditionThatCannotBeEvaluatedIsNotTrue(t *testing.T) {
	set := compile(t,
		rule.Rule{Layer: "edge", Condition: `Substring(resource.attributes["tier"], 0, 1) == "x"`},
		rule.Rule{Layer: "data", Condition: `Substring(span.name, 7, 1) == "x"`},
		rule.Rule{Layer: "platform", Condition: `true`},
		rule.Rule{Layer: "client", Condition: `span.name == "a"`},
	)
	resource, scope, span := span(t, map[string]any{"tier": 1}, "", nil)
	span.SetName("a")
	got, failed := set.OfResource(t.Context(), resource)
	assert.Equal(t, layer.Platform, got)
	assert.Equal(t, 1, failed)
	got, failed = set.OfSpan(t.Context(), resource, scope, span)
	assert.Equal(t, layer.Client, got)
	assert.Equal(t, 1, failed)
}

func TestErrorsNameTheirKeys(t *testing.T) {
	_, err := rule.Compile([]rule.Rule{
		{Layer: "edge", Condition: `resource.attributes["a"] == "b"`},
		{Layer: "database", Condition: `span.name == "a"`},
		{Layer: "data", Condition: `span.name ==`},
		{Layer: "", Condition: `attributes["a"] == "b"`},
		{Layer: "data", Condition: ""},
		{Layer: "data", Condition: `log.body == "x"`},
		{Layer: "data", Condition: `set(span.name, "x") == nil`},
	}, settings())
	for _, want := range []string{
		"`layers[1].layer`: unknown layer \"database\", one of client, edge, application, messaging, data, platform, external\n",
		"`layers[2].condition`: condition has invalid syntax: ",
		"`layers[3].layer`: unknown layer \"\", one of client, ",
		"`layers[3].condition`: missing context name for path \"attributes[a]\"",
		"`layers[4].condition`: condition has invalid syntax: ",
		"`layers[5].condition`: context \"log\" from path \"log.body\" is not valid",
		"`layers[6].condition`: ",
	} {
		assert.ErrorContains(t, err, want)
	}
	assert.NotContains(t, err.Error(), "layers[0]")
	assert.NotContains(t, err.Error(), "`layers[1].condition`")
	assert.NotContains(t, err.Error(), "`layers[2].layer`")
}

func TestWithoutALoggerNothingCanBePrepared(t *testing.T) {
	_, err := rule.Compile(rules, component.TelemetrySettings{})
	assert.ErrorContains(t, err, "prepare OTTL for resources")
}

func TestWithoutRulesNothingIsSaid(t *testing.T) {
	for name, set := range map[string]*rule.Set{"none given": compile(t), "zero value": {}} {
		t.Run(name, func(t *testing.T) {
			resource, scope, span := span(t, map[string]any{"service.name": "gate"}, "mailer", nil)
			assert.Zero(t, testing.AllocsPerRun(100, func() {
				of, failed := set.OfResource(t.Context(), resource)
				about, alsoFailed := set.OfSpan(t.Context(), resource, scope, span)
				require.Equal(t, layer.Unknown, of)
				require.Equal(t, layer.Unknown, about)
				require.Zero(t, failed+alsoFailed)
			}))
		})
	}
}

func TestASetIsUsedByManyAtOnce(t *testing.T) {
	set := compile(t, rules...)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			resource, scope, span := span(t, map[string]any{"team": "infra"}, "mailer", nil)
			for range 100 {
				of, _ := set.OfResource(t.Context(), resource)
				about, _ := set.OfSpan(t.Context(), resource, scope, span)
				assert.Equal(t, layer.Platform, of)
				assert.Equal(t, layer.Data, about)
			}
		})
	}
	all.Wait()
}

func BenchmarkOfResource(b *testing.B) {
	resource, _, _ := span(b, map[string]any{"service.name": "gate"}, "", nil)
	for name, set := range map[string]*rule.Set{
		"none": compile(b), "one": compile(b, rule.Rule{Layer: "edge", Condition: `resource.attributes["service.name"] == "gate"`}),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				set.OfResource(b.Context(), resource)
			}
		})
	}
}

func BenchmarkOfSpan(b *testing.B) {
	resource, scope, span := span(b, nil, "", map[string]any{"server.address": "api.bank.example"})
	for name, set := range map[string]*rule.Set{
		"none":          compile(b),
		"resource only": compile(b, rule.Rule{Layer: "edge", Condition: `resource.attributes["service.name"] == "gate"`}),
		"equal":         compile(b, rule.Rule{Layer: "data", Condition: `span.attributes["server.address"] == "api.bank.example"`}),
		"kind":          compile(b, rule.Rule{Layer: "data", Condition: `span.kind == SPAN_KIND_CLIENT`}),
		"pattern":       compile(b, rule.Rule{Layer: "data", Condition: `IsMatch(span.attributes["server.address"], "bank")`}),
	} {
		b.Run(name, func(b *testing.B) {
			ctx := b.Context()
			b.ReportAllocs()
			for b.Loop() {
				set.OfSpan(ctx, resource, scope, span)
			}
		})
	}
}

func compile(tb testing.TB, given ...rule.Rule) *rule.Set {
	set, err := rule.Compile(given, settings())
	require.NoError(tb, err)
	return set
}

func settings() component.TelemetrySettings {
	return componenttest.NewNopTelemetrySettings()
}

// span is one span, with all that it stands in.
func span(tb testing.TB, resource map[string]any, scope string, attributes map[string]any) (
	ptrace.ResourceSpans, ptrace.ScopeSpans, ptrace.Span,
) {
	of := ptrace.NewTraces().ResourceSpans().AppendEmpty()
	require.NoError(tb, of.Resource().Attributes().FromRaw(resource))
	in := of.ScopeSpans().AppendEmpty()
	in.Scope().SetName(scope)
	made := in.Spans().AppendEmpty()
	require.NoError(tb, made.Attributes().FromRaw(attributes))
	return of, in, made
}
