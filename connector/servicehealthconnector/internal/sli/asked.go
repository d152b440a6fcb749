package sli

import (
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlspan"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Asked are the indicators that look at the spans of a service, sorted by the kinds and status codes of which a span can be an
// event of theirs at all. Most indicators look at one kind only.
type Asked struct {
	all  []*Span
	some [kinds][statuses][]*Span
}

// Of are the indicators that have to be asked about a span, in the order of their objectives. The slice is shared and must not be
// changed.
func (a *Asked) Of(span ptrace.Span) []*Span {
	if a == nil {
		return nil
	}
	kind, status := uint32(span.Kind()), uint32(span.Status().Code())
	if kind >= uint32(kinds) || status >= uint32(statuses) {
		return a.all
	}
	return a.some[kind][status]
}

// everyone are all of them.
func (a *Asked) everyone() []*Span {
	if a == nil {
		return nil
	}
	return a.all
}

func newAsked(all []*Span) *Asked {
	a := &Asked{all: all}
	eachKind(func(it item, kind, status int) {
		for _, s := range all {
			if s.total == nil || s.total.plain == nil || possible(s.total.plain, it, spanKind, spanKindText, statusCode) {
				a.some[kind][status] = append(a.some[kind][status], s)
			}
		}
	})
	return a
}

// possible says whether a condition may be true of an item of which only these places are known.
func possible(p plain, it item, known ...place) bool {
	if p.isAbout(known...) {
		return p.ask(it) != no
	}
	if terms, ok := p.(all); ok {
		for _, term := range terms {
			if !possible(term, it, known...) {
				return false
			}
		}
	}
	return true
}

// eachKind calls f with a span of each kind and status code.
func eachKind(f func(it item, kind, status int)) {
	rs := ptrace.NewResourceSpans()
	ss := rs.ScopeSpans().AppendEmpty()
	span := ss.Spans().AppendEmpty()
	tctx := ottlspan.NewTransformContextPtr(rs, ss, span)
	defer tctx.Close()
	for kind := range kinds {
		for status := range statuses {
			span.SetKind(ptrace.SpanKind(kind))
			span.Status().SetCode(ptrace.StatusCode(status))
			f(spanItem{tctx}, kind, status)
		}
	}
}
