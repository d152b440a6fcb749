// Package rule puts layers where users say so, by conditions in OTTL.
package rule

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlresource"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlspan"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/ottlfuncs"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/throughline-otel/throughline/internal/layer"
)

// Rule says that everything of which the condition is true belongs to the layer.
type Rule struct {
	// Layer is the layer's name.
	Layer string
	// Condition is a condition in OTTL, whose paths say their context: resource.attributes["a"], scope.name, span.kind.
	Condition string
}

// Set is an ordered list of rules. Those that look at the resource alone say where the emitter sits, and the others what
// a span is about: these are two questions, and to each the first rule that is true is the answer. The zero value has no
// rules. A Set is safe for concurrent use.
type Set struct {
	resources []rule[*ottlresource.TransformContext]
	spans     []rule[*ottlspan.TransformContext]
}

type rule[K any] struct {
	layer     layer.Layer
	condition *ottl.Condition[K]
}

// Compile prepares rules. The error holds all that is wrong with them, by the keys of the configuration.
func Compile(rules []Rule, settings component.TelemetrySettings) (*Set, error) {
	set := &Set{}
	if len(rules) == 0 {
		return set, nil
	}
	resources, err := ottlresource.NewParser(
		ottlfuncs.StandardConverters[*ottlresource.TransformContext](), settings, ottlresource.EnablePathContextNames())
	if err != nil {
		return nil, fmt.Errorf("prepare OTTL for resources: %w", err)
	}
	spans, err := ottlspan.NewParser(spanFunctions(), settings, ottlspan.EnablePathContextNames())
	if err != nil {
		return nil, fmt.Errorf("prepare OTTL for spans: %w", err)
	}
	var problems []error
	for i, given := range rules {
		l, ok := layer.Parse(given.Layer)
		if !ok {
			problems = append(problems, fmt.Errorf("`layers[%d].layer`: unknown layer %q, one of %s", i, given.Layer, known()))
		}
		// The context of resources knows no other paths than the resource's, so that what it can parse looks at nothing else.
		if condition, err := resources.ParseCondition(given.Condition); err == nil {
			set.resources = append(set.resources, rule[*ottlresource.TransformContext]{l, condition})
			continue
		}
		condition, err := spans.ParseCondition(given.Condition)
		if err != nil {
			problems = append(problems, fmt.Errorf("`layers[%d].condition`: %w", i, err))
			continue
		}
		set.spans = append(set.spans, rule[*ottlspan.TransformContext]{l, condition})
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return set, nil
}

func spanFunctions() map[string]ottl.Factory[*ottlspan.TransformContext] {
	all := ottlfuncs.StandardConverters[*ottlspan.TransformContext]()
	// IsRootSpan is the one function that only spans have.
	root := ottlfuncs.NewIsRootSpanFactoryNew()
	all[root.Name()] = root
	return all
}

func known() string {
	var names []string
	for l := layer.Client; l <= layer.External; l++ {
		names = append(names, l.String())
	}
	return strings.Join(names, ", ")
}

// OfResource says where the emitter sits: Unknown if no rule does. A condition that can't be evaluated is not true; failed
// counts those.
func (s *Set) OfResource(ctx context.Context, resource ptrace.ResourceSpans) (found layer.Layer, failed int) {
	if len(s.resources) == 0 {
		return layer.Unknown, 0
	}
	tctx := ottlresource.NewTransformContextPtr(resource.Resource(), resource)
	defer tctx.Close()
	return first(ctx, s.resources, tctx)
}

// OfSpan says what a span is about: Unknown if no rule does. A condition that can't be evaluated is not true; failed
// counts those.
func (s *Set) OfSpan(
	ctx context.Context, resource ptrace.ResourceSpans, scope ptrace.ScopeSpans, span ptrace.Span,
) (found layer.Layer, failed int) {
	if len(s.spans) == 0 {
		return layer.Unknown, 0
	}
	tctx := ottlspan.NewTransformContextPtr(resource, scope, span)
	defer tctx.Close()
	return first(ctx, s.spans, tctx)
}

func first[K any](ctx context.Context, rules []rule[K], tctx K) (found layer.Layer, failed int) {
	for i := range rules {
		is, err := rules[i].condition.Eval(ctx, tctx)
		switch {
		case err != nil:
			failed++
		case is:
			return rules[i].layer, failed
		}
	}
	return layer.Unknown, failed
}
