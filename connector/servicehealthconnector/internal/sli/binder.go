package sli

import (
	"fmt"
	"slices"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottldatapoint"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottllog"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlspan"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/openslo"
	"github.com/throughline-otel/throughline/internal/service"
)

// Binder knows which indicators look at which service. It is safe for concurrent use.
type Binder struct {
	groups []*groups
	// askers are the indicators by their objectives.
	askers  []asker
	spans   index[*Asked]
	points  index[[]*Point]
	records index[[]*Record]
}

// Compile prepares the indicators of the objectives. The number of one is its index; one without a name only takes up a number.
// The error holds all that can't be prepared, of type [openslo.Errors].
func Compile(objectives []openslo.Objective, set component.TelemetrySettings) (*Binder, error) {
	c, err := newCompiler(set)
	if err != nil {
		return nil, fmt.Errorf("prepare OTTL: %w", err)
	}
	b := &Binder{}
	var spans []*Span
	var points []*Point
	var records []*Record
	for i := range objectives {
		o := &objectives[i]
		g := newGroups(o.GroupBy)
		b.groups = append(b.groups, g)
		b.askers = append(b.askers, nil)
		if o.Name == "" {
			continue
		}
		number := uint32(i) // nobody has four billion objectives
		switch o.Indicator.Signal {
		case openslo.Traces:
			s := &Span{compile(c, c.spans, ofSpans, number, o, g)}
			s.tabulate()
			spans, b.askers[i] = append(spans, s), s
			c.refuseRaw(o)
		case openslo.Metrics:
			p := &Point{indicator: compile(c, c.points, ofPoints, number, o, g), name: o.Name, logger: set.Logger}
			points, b.askers[i] = append(points, p), p
		case openslo.Logs:
			r := &Record{compile(c, c.records, ofRecords, number, o, g)}
			records, b.askers[i] = append(records, r), r
		default:
			c.refuse(o, o.Source, fmt.Sprintf("%q is no signal", o.Indicator.Signal), nil)
		}
	}
	if len(c.problems) > 0 {
		return nil, c.problems
	}
	b.spans = indexOf(objectives, spans, newAsked)
	b.points = indexOf(objectives, points, slices.Clip)
	b.records = indexOf(objectives, records, slices.Clip)
	return b, nil
}

// asker is an indicator on any signal.
type asker interface{ regroup(g *groups) }

// index finds what looks at a service. Its lists are complete for their key and never change, so that a stranger's service name
// costs a look-up and no memory.
type index[L any] struct {
	// exact has the services that documents name with their namespace, named the others.
	exact map[openslo.Service]L
	named map[string]L
}

// indexOf sorts indicators, which are in the order of their objectives, by service; list makes of those of one service what is
// looked up.
func indexOf[I interface{ Objective() uint32 }, L any](objectives []openslo.Objective, all []I, list func([]I) L) index[L] {
	exact, named := map[openslo.Service][]I{}, map[string][]I{}
	for _, i := range all {
		if of := objectives[i.Objective()].Indicator.Service; of.Namespace == "" {
			named[of.Name] = append(named[of.Name], i)
		} else {
			exact[of] = append(exact[of], i)
		}
	}
	x := index[L]{exact: map[openslo.Service]L{}, named: map[string]L{}}
	for of, some := range exact {
		some = append(slices.Clip(some), named[of.Name]...)
		slices.SortFunc(some, func(x, y I) int { return int(x.Objective()) - int(y.Objective()) })
		x.exact[of] = list(some)
	}
	for name, some := range named {
		x.named[name] = list(some)
	}
	return x
}

func (x *index[L]) of(id service.Identity) L {
	if id.Namespace != "" {
		if found, ok := x.exact[openslo.Service{Namespace: id.Namespace, Name: id.Name}]; ok {
			return found
		}
	}
	return x.named[id.Name]
}

// Spans are the indicators that look at the spans of a service, in the order of their objectives. The slice is shared and must
// not be changed. An objective whose document names no namespace looks at the service in any of them.
func (b *Binder) Spans(id service.Identity) []*Span { return b.Asked(id).everyone() }

// Asked are the same indicators as those of Spans, or nil if there are none.
func (b *Binder) Asked(id service.Identity) *Asked { return b.spans.of(id) }

// Points are those that look at the data points of a service, as Spans are at its spans.
func (b *Binder) Points(id service.Identity) []*Point { return b.points.of(id) }

// Records are those that look at the log records of a service, as Spans are at its spans.
func (b *Binder) Records(id service.Identity) []*Record { return b.records.of(id) }

// Inherit takes over the groups of an objective from a former binder, in which it had the same number and groupBy, so that their
// numbers keep their meaning. It must come before the binder is used.
func (b *Binder) Inherit(from *Binder, objective uint32) {
	b.groups[objective] = from.groups[objective]
	b.askers[objective].regroup(from.groups[objective])
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

// Group is the inverse of GroupValues: the number of the group that has these values, which may be new. It is false if the objective
// has other attributes to group by, or no room for the group.
func (b *Binder) Group(objective uint32, values []string) (uint32, bool) {
	if int(objective) >= len(b.groups) {
		return 0, false
	}
	return b.groups[objective].number(values)
}

// compiler collects what can't be compiled.
type compiler struct {
	spans    ottl.Parser[*ottlspan.TransformContext]
	points   ottl.Parser[*ottldatapoint.TransformContext]
	records  ottl.Parser[*ottllog.TransformContext]
	problems openslo.Errors
}

func newCompiler(set component.TelemetrySettings) (*compiler, error) {
	var c compiler
	var err error
	if c.spans, err = ottlspan.NewParser(spanFunctions(), set); err != nil {
		return nil, err
	}
	if c.points, err = ottldatapoint.NewParser(functions[*ottldatapoint.TransformContext](), set); err != nil {
		return nil, err
	}
	c.records, err = ottllog.NewParser(functions[*ottllog.TransformContext](), set)
	return &c, err
}

func (c *compiler) refuse(o *openslo.Objective, at openslo.Source, reason string, err error) {
	c.problems = append(c.problems, &openslo.Error{
		Source: at, Reason: fmt.Sprintf("objective %q: %s", o.Name, reason), Err: err,
	})
}

func (c *compiler) refuseRaw(o *openslo.Objective) {
	if o.Indicator.Raw.Text != "" {
		c.refuse(o, o.Indicator.Raw.Source, "raw is for metrics and logs: a span is good or bad as a whole", nil)
	}
}

// compile compiles the indicator of an objective.
func compile[K any](
	c *compiler, parser ottl.Parser[K], words *vocabulary, number uint32, o *openslo.Objective, g *groups,
) indicator[K] {
	i := &o.Indicator
	condition := func(e openslo.Expression) *condition[K] {
		if e.Text == "" {
			return nil
		}
		parsed, err := parser.ParseCondition(e.Text)
		if err != nil {
			c.refuse(o, e.Source, err.Error(), err)
			return nil
		}
		return &condition[K]{plain: words.parsePlain(e.Text), ottl: parsed}
	}
	value := func(e openslo.Expression) *value[K] {
		if e.Text == "" {
			return nil
		}
		parsed, err := parser.ParseValueExpression(e.Text)
		if err != nil {
			c.refuse(o, e.Source, err.Error(), err)
			return nil
		}
		return &value[K]{plain: words.parsePlainValue(e.Text), ottl: parsed}
	}
	compiled := indicator[K]{
		objective: number, groups: g, op: i.Op, threshold: i.Threshold, rawIsBad: i.RawIsBad,
		total: condition(i.Total), exclude: condition(o.Exclude), good: condition(i.Good), bad: condition(i.Bad),
		raw: value(i.Raw), value: value(i.Value),
	}
	isThreshold := i.Good.Text == "" && i.Bad.Text == "" && i.Raw.Text == ""
	if isThreshold && i.Value.Text == "" && i.Signal != openslo.Metrics {
		c.refuse(o, o.Source, "needs a value: only a data point has one of its own", nil)
	}
	return compiled
}
