// Package limit finds what somebody set by hand for a dependency whose past is no measure.
package limit

import (
	"context"
	"errors"
	"fmt"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/ottlfuncs"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.uber.org/zap"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/dependency"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/health"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/report"
)

// Limit is what somebody set for the dependencies that meet a condition.
type Limit struct {
	health.Limit
	// Condition is in OTTL, over the attributes that report.EdgeAttributes gives a dependency. All meet an empty one.
	Condition string
}

// Set holds limits in their order. The nil Set has none. It is not safe for concurrent use.
type Set struct {
	limits []compiled
	logger *zap.Logger
}

type compiled struct {
	Limit
	condition *ottl.Condition[pcommon.Map]
	// told says that it was said that the condition fails.
	told bool
}

// Compile prepares limits. The error names the key of each condition that cannot be prepared.
func Compile(limits []Limit, set component.TelemetrySettings) (*Set, error) {
	parser, err := ottl.NewParser(ottlfuncs.StandardConverters[pcommon.Map](), path, set)
	if err != nil {
		return nil, fmt.Errorf("prepare OTTL: %w", err)
	}
	s := &Set{logger: set.Logger}
	var errs []error
	for i, l := range limits {
		c := compiled{Limit: l}
		if l.Condition != "" {
			if c.condition, err = parser.ParseCondition(l.Condition); err != nil {
				errs = append(errs, fmt.Errorf("`dependencies.limits[%d].condition`: %w", i, err))
			}
		}
		s.limits = append(s.limits, c)
	}
	return s, errors.Join(errs...)
}

// path finds the one thing that a dependency has: its attributes.
func path(p ottl.Path[pcommon.Map]) (ottl.GetSetter[pcommon.Map], error) {
	keys := p.Keys()
	if p.Context() != "" || p.Name() != "attributes" || p.Next() != nil || len(keys) != 1 {
		return nil, fmt.Errorf("%s is not known of a dependency, which has nothing but attributes[\"…\"]", p.String())
	}
	key, err := keys[0].String(context.Background(), pcommon.NewMap())
	if err != nil {
		return nil, err
	}
	if key == nil || !report.IsOfEdge(*key) {
		return nil, fmt.Errorf("%s is no attribute of a dependency, which has %q", p.String(), report.EdgeKeys())
	}
	return ottl.StandardGetSetter[pcommon.Map]{
		Getter: func(_ context.Context, attributes pcommon.Map) (any, error) {
			value, ok := attributes.Get(*key)
			if !ok {
				return nil, nil
			}
			return value.Str(), nil
		},
	}, nil
}

// Of returns the first limit that applies to a dependency, or the zero one. A condition that fails does not apply.
func (s *Set) Of(edge dependency.Edge, table *names.Table) health.Limit {
	if s == nil || edge.Caller == names.None {
		return health.Limit{}
	}
	attributes := report.EdgeAttributes(edge, table)
	for i := range s.limits {
		if l := &s.limits[i]; s.applies(l, attributes) {
			return l.Limit.Limit
		}
	}
	return health.Limit{}
}

func (s *Set) applies(l *compiled, attributes pcommon.Map) bool {
	if l.condition == nil {
		return true
	}
	applies, err := l.condition.Eval(context.Background(), attributes)
	if err != nil && !l.told {
		l.told = true
		s.logger.Warn("a limit's condition fails on a dependency, to which it does not apply; this is said once",
			zap.String("condition", l.Condition), zap.Any("attributes", attributes.AsRaw()), zap.Error(err))
	}
	return err == nil && applies
}
