package evidence

import (
	"cmp"
	"slices"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/trace"
)

// sort finds the path of each span, and orders the spans by it.
func (b *Book) sort(t *trace.Trace) {
	n := len(t.Spans)
	b.paths = slices.Grow(b.paths[:0], n)[:n]
	b.order = slices.Grow(b.order[:0], n)[:n]
	for i := range t.Spans {
		b.order[i] = int32(i)
		b.paths[i] = 0
	}
	for i := range t.Spans {
		b.path(t, int32(i))
	}
	slices.SortFunc(b.order, func(x, y int32) int {
		return cmp.Or(cmp.Compare(b.paths[x], b.paths[y]), cmp.Compare(x, y))
	})
}

// maxDepth bounds the way up from a span: what is deeper has the circumstances of whom it is reached from there.
const maxDepth = 64

func (b *Book) path(t *trace.Trace, i int32) {
	var way [maxDepth]int32
	n := 0
	at := i
	for ; at != trace.None && b.paths[at] == 0 && n < maxDepth; at = t.Parent[at] {
		way[n] = at
		n++
	}
	hash := uint64(0x51_7C_C1_B7_27_22_0A_95)
	if at != trace.None && b.paths[at] != 0 {
		hash = b.paths[at]
	}
	for n--; n >= 0; n-- {
		span := way[n]
		does, _ := b.does(t, span)
		hash = mix(mix(hash, t.Spans[span].Operation), does)
		b.paths[span] = hash
	}
}

// mix adds an operation to a hash, which is never 0.
func mix(hash uint64, operation uint32) uint64 {
	hash = (hash ^ uint64(operation)) * 0x9E3779B97F4A7C15
	return hash ^ hash>>29 | 1
}

// does is the operation that says what span i is for: of a call to another service, the one that is called. The spans of a service
// through which requests only come in have that of the one call that they make. unanswered is what it were had nobody answered.
func (b *Book) does(t *trace.Trace, i int32) (operation, unanswered uint32) {
	for range maxDepth {
		remote := t.Remote(i)
		if t.Spans[i].IsOutgoing() && remote != trace.None {
			return t.Spans[remote].Operation, t.Spans[i].Operation
		}
		only := t.FirstChild[i]
		if t.Spans[i].Service != t.Spans[0].Service || only == trace.None || t.NextSibling[only] != trace.None {
			break
		}
		i = only
	}
	return t.Spans[i].Operation, t.Spans[i].Operation
}

// caller is the operation under which span i ran.
func caller(t *trace.Trace, i int32) uint32 {
	if parent := t.Parent[i]; parent != trace.None {
		return t.Spans[parent].Operation
	}
	return names.None
}
