package sli

import "go.opentelemetry.io/collector/pdata/ptrace"

const (
	kinds    = int(ptrace.SpanKindConsumer) + 1
	statuses = int(ptrace.StatusCodeError) + 1
)

// table is a condition that looks at nothing but a span's kind and status code, as most do: all that it can say.
type table struct {
	of   plain
	said [kinds][statuses]answer
}

// tabulate makes a table of a condition on spans that is one, and leaves others as they are.
func tabulate(p plain) plain {
	if p == nil || !p.isAbout(spanKind, spanKindText, statusCode) {
		return p
	}
	t := &table{of: p}
	eachKind(func(it item, kind, status int) { t.said[kind][status] = p.ask(it) })
	return t
}

// ask looks up what the condition said. A sender may also send numbers that stand for no kind or status.
func (t *table) ask(it item) answer {
	span := it.(spanItem).GetSpan()
	kind, status := uint32(span.Kind()), uint32(span.Status().Code())
	if kind >= uint32(kinds) || status >= uint32(statuses) {
		return t.of.ask(it)
	}
	return t.said[kind][status]
}

func (t *table) isAbout(places ...place) bool { return t.of.isAbout(places...) }
