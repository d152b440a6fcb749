package sli

import (
	"errors"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlspan"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/ottlfuncs"
)

// functions are OTTL's converters. Those whose result is not in the telemetry are refused: a replay would have other verdicts.
func functions[K any]() map[string]ottl.Factory[K] {
	all := ottlfuncs.StandardConverters[K]()
	for _, f := range []ottl.Factory[K]{
		ottlfuncs.NewNowFactory[K](), ottlfuncs.NewUUIDFactory[K](), ottlfuncs.NewUUIDv7Factory[K](),
	} {
		all[f.Name()] = refused[K](f.Name())
	}
	return all
}

func refused[K any](name string) ottl.Factory[K] {
	return ottl.NewFactory(name, nil, func(ottl.FunctionContext, ottl.Arguments) (ottl.ExprFunc[K], error) {
		return nil, errors.New(name + " says something else each time: the same telemetry must have the same verdict")
	})
}

func spanFunctions() map[string]ottl.Factory[*ottlspan.TransformContext] {
	all := functions[*ottlspan.TransformContext]()
	// IsRootSpan is the one function that only spans have.
	root := ottlfuncs.NewIsRootSpanFactoryNew()
	all[root.Name()] = root
	return all
}
