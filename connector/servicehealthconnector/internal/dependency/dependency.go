// Package dependency finds the dependencies in a finished trace, and counts calls and durations along them.
package dependency

import (
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/trace"
	"github.com/throughline-otel/throughline/internal/layer"
)

// Type is how a caller depends on a callee.
type Type uint8

// The types of dependencies.
const (
	RPC Type = iota
	Messaging
	Database
	External
)

// String is the type's name as an attribute's value.
func (t Type) String() string {
	return [...]string{"rpc", "messaging", "database", "external"}[t]
}

// Edge is a directed dependency. Caller and Callee are numbers of entities.
type Edge struct {
	Caller, Callee uint32
	Type           Type
}

// Call is one observed use of an edge. A side that sent no span of its own has the index trace.None.
type Call struct {
	Edge
	// CallerSpan and CalleeSpan are indices into the trace's spans.
	CallerSpan, CalleeSpan int32
}

// Calls appends the calls within t to into.
//
// A call is a span whose parent belongs to another service, whatever the two spans' kinds: each consumer of a message
// counts, and so do services that do not set kinds. A call that no service answered goes to the peer that its span names,
// which may be a service whose span is missing; without a name it is left out, since peers must not merge into one that is
// called unknown.
// A service that calls itself depends on nobody.
func Calls(t *trace.Trace, into []Call) []Call {
	for i := range t.Spans {
		span := &t.Spans[i]
		if parent := t.Parent[i]; parent != trace.None && t.Spans[parent].Service != span.Service {
			into = append(into, Call{
				Edge:       Edge{t.Spans[parent].Service, span.Service, typeOf(&t.Spans[parent], span)},
				CallerSpan: parent,
				CalleeSpan: int32(i),
			})
		}
		if span.Has(trace.Call) && span.Peer != names.None && span.Peer != span.Service && isInnermost(t, int32(i)) {
			into = append(into, Call{
				Edge:       Edge{span.Service, span.Peer, typeOfPeer(span)},
				CallerSpan: int32(i),
				CalleeSpan: trace.None,
			})
		}
	}
	return into
}

// Linked is the call from a producer to a consumer that names it by a link.
func Linked(producer uint32, consumer *trace.Record) Edge {
	return Edge{Caller: producer, Callee: consumer.Service, Type: Messaging}
}

// isInnermost says whether a call's span has neither an answer from another service nor a call within it that does the
// work: a client library's span often wraps that of the transport.
func isInnermost(t *trace.Trace, i int32) bool {
	for child := t.FirstChild[i]; child != trace.None; child = t.NextSibling[child] {
		if t.Spans[child].Service != t.Spans[i].Service || t.Spans[child].Has(trace.Call) {
			return false
		}
	}
	return true
}

func typeOf(caller, callee *trace.Record) Type {
	switch {
	case caller.SpanKind() == ptrace.SpanKindProducer || callee.SpanKind() == ptrace.SpanKindConsumer:
		return Messaging
	case caller.Layer == layer.Data:
		return Database
	default:
		return RPC
	}
}

func typeOfPeer(caller *trace.Record) Type {
	switch {
	case caller.Layer == layer.Data:
		return Database
	case caller.Has(trace.ToService):
		return RPC
	default:
		return External
	}
}
