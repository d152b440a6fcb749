package sli

import (
	"fmt"
	"slices"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlspan"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/ottlfuncs"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/openslo"
	"github.com/throughline-otel/throughline/internal/service"
)

// Binder knows which indicators look at which service. It is safe for concurrent use.
type Binder struct {
	spans  []*Span
	groups []*groups
	// exact has the services that documents name with their namespace, named the others. Both are complete lists for their
	// key and never change, so that a stranger's service name costs a look-up and no memory.
	exact map[openslo.Service][]*Span
	named map[string][]*Span
	// asked has an entry for each of these lists.
	askedExact map[openslo.Service]*Asked
	askedNamed map[string]*Asked
}

// Compile prepares the indicators of the objectives. The error holds all that can't be prepared, of type [openslo.Errors].
func Compile(objectives []openslo.Objective, set component.TelemetrySettings) (*Binder, error) {
	parser, err := ottlspan.NewParser(functions(), set)
	if err != nil {
		return nil, fmt.Errorf("prepare OTTL: %w", err)
	}
	b := &Binder{
		exact: map[openslo.Service][]*Span{}, named: map[string][]*Span{},
		askedExact: map[openslo.Service]*Asked{}, askedNamed: map[string]*Asked{},
	}
	c := compiler{parser: parser}
	for i := range objectives {
		o := &objectives[i]
		g := newGroups(o.GroupBy)
		b.groups = append(b.groups, g)
		if o.Indicator.Signal != openslo.Traces {
			c.refuse(o, o.Source, fmt.Sprintf("not supported yet: signal %s", o.Indicator.Signal), nil)
			continue
		}
		b.spans = append(b.spans, c.span(uint32(i), o, g)) // nobody has four billion objectives
	}
	if len(c.problems) > 0 {
		return nil, c.problems
	}
	b.index(objectives)
	return b, nil
}

func functions() map[string]ottl.Factory[*ottlspan.TransformContext] {
	all := ottlfuncs.StandardConverters[*ottlspan.TransformContext]()
	// IsRootSpan is the one function that only spans have.
	root := ottlfuncs.NewIsRootSpanFactoryNew()
	all[root.Name()] = root
	return all
}

// index sorts the indicators by service. Each list is in the order of the objectives.
func (b *Binder) index(objectives []openslo.Objective) {
	for _, s := range b.spans {
		of := objectives[s.objective].Indicator.Service
		if of.Namespace == "" {
			b.named[of.Name] = append(b.named[of.Name], s)
		} else {
			b.exact[of] = append(b.exact[of], s)
		}
	}
	for of, spans := range b.exact {
		spans = append(slices.Clip(spans), b.named[of.Name]...)
		slices.SortFunc(spans, func(x, y *Span) int { return int(x.objective) - int(y.objective) })
		b.exact[of] = spans
		b.askedExact[of] = newAsked(spans)
	}
	for name, spans := range b.named {
		b.askedNamed[name] = newAsked(spans)
	}
}

// Spans are the indicators that look at the spans of a service, in the order of their objectives. The slice is shared and must
// not be changed. An objective whose document names no namespace looks at the service in any of them.
func (b *Binder) Spans(id service.Identity) []*Span {
	if spans, ok := b.exact[openslo.Service{Namespace: id.Namespace, Name: id.Name}]; ok && id.Namespace != "" {
		return spans
	}
	return b.named[id.Name]
}

// Asked are the same indicators as those of Spans, or nil if there are none.
func (b *Binder) Asked(id service.Identity) *Asked {
	if id.Namespace != "" {
		if asked, ok := b.askedExact[openslo.Service{Namespace: id.Namespace, Name: id.Name}]; ok {
			return asked
		}
	}
	return b.askedNamed[id.Name]
}

// GroupValues are the values by which a group is told from the others of its objective, in the order of its GroupBy. The
// slice is shared and must not be changed. It is nil if the objective has no such group.
func (b *Binder) GroupValues(objective, group uint32) []string {
	if int(objective) >= len(b.groups) {
		return nil
	}
	return b.groups[objective].values(group)
}

// GroupOf is the number of the group that these attributes name, as GroupValues gave them: 0 if the objective has no groupBy, 1 if
// it has more groups than [MaxGroups].
func (b *Binder) GroupOf(objective uint32, attributes pcommon.Map) uint32 {
	g := b.groups[objective]
	if len(g.by) == 0 {
		return 0
	}
	return g.of(attributes, attributes)
}

// compiler collects what can't be compiled.
type compiler struct {
	parser   ottl.Parser[*ottlspan.TransformContext]
	problems openslo.Errors
}

func (c *compiler) refuse(o *openslo.Objective, at openslo.Source, reason string, err error) {
	c.problems = append(c.problems, &openslo.Error{
		Source: at, Reason: fmt.Sprintf("objective %q: %s", o.Name, reason), Err: err,
	})
}

func (c *compiler) span(number uint32, o *openslo.Objective, g *groups) *Span {
	i := &o.Indicator
	s := &Span{objective: number, groups: g, op: i.Op, threshold: i.Threshold}
	s.total = c.condition(o, i.Total)
	s.good = c.condition(o, i.Good)
	s.bad = c.condition(o, i.Bad)
	s.value = c.value(o, i.Value)
	return s
}

func (c *compiler) condition(o *openslo.Objective, e openslo.Expression) *condition {
	if e.Text == "" {
		return nil
	}
	parsed, err := c.parser.ParseCondition(e.Text)
	if err != nil {
		c.refuse(o, e.Source, err.Error(), err)
		return nil
	}
	return &condition{plain: tabulate(parsePlain(e.Text)), ottl: parsed}
}

func (c *compiler) value(o *openslo.Objective, e openslo.Expression) *value {
	if e.Text == "" {
		return nil
	}
	parsed, err := c.parser.ParseValueExpression(e.Text)
	if err != nil {
		c.refuse(o, e.Source, err.Error(), err)
		return nil
	}
	return &value{plain: parsePlainValue(e.Text), ottl: parsed}
}
