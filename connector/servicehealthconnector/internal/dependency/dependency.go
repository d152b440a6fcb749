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

// number packs an edge into one word: entities are far fewer than two to the 31st.
func (e Edge) number() uint64 {
	return uint64(e.Caller)<<33 | uint64(e.Callee)<<2 | uint64(e.Type)
}

// Entry stands for the requests to a service from wherever they come: an edge without a caller.
func Entry(service uint32) Edge { return Edge{Caller: names.None, Callee: service} }

// Call is one observed use of an edge. A side that sent no span of its own has the index trace.None.
type Call struct {
	Edge
	// CallerSpan and CalleeSpan are indices into the trace's spans.
	CallerSpan, CalleeSpan int32
	// Confidence is how sure it is that the edge is the right one, from 0 to 1.
	Confidence float64
}

// Peers says who is behind the names of peers; names.Table is one.
type Peers interface {
	// Behind is the service that is known to answer calls to a peer.
	Behind(peer uint32) (uint32, bool)
	// Answered notes such a service.
	Answered(peer, service uint32)
	// SourceOf is what a peer's name was read from.
	SourceOf(peer uint32) names.Source
}

// Calls appends the calls within t to into.
//
// A call is a span whose parent belongs to another service, whatever the two spans' kinds: each consumer of a message
// counts, and so do services that do not set kinds. A call that no service answered goes to the peer that its span names,
// which may be a service whose span is missing; without a name it is left out, since peers must not merge into one that is
// called unknown.
// A service that calls itself depends on nobody.
func Calls(t *trace.Trace, peers Peers, into []Call) []Call {
	for i := range t.Spans {
		span := &t.Spans[i]
		if parent := t.Parent[i]; parent != trace.None && t.Spans[parent].Service != span.Service && !isReceipt(t, int32(i)) {
			caller := &t.Spans[parent]
			if caller.Has(trace.Call) && !caller.Has(trace.ToService) {
				peers.Answered(caller.Peer, span.Service)
			}
			into = append(into, Call{
				Edge:       Edge{caller.Service, span.Service, typeOf(caller, span)},
				CallerSpan: parent,
				CalleeSpan: int32(i),
				Confidence: 1,
			})
		}
		if countsAlone(span) && !isPassedOn(t, int32(i)) {
			call := Call{Edge: Edge{span.Service, span.Peer, typeOfPeer(span)}, CallerSpan: int32(i), CalleeSpan: trace.None}
			if !span.Has(trace.ToService) {
				if service, ok := peers.Behind(span.Peer); ok {
					// It has answered before; this time its span is missing, as when half of a pair is sampled away.
					call.Callee = service
					if call.Type == External {
						call.Type = RPC
					}
				} else {
					call.Confidence = peers.SourceOf(span.Peer).Confidence()
				}
			}
			if call.Callee != span.Service {
				into = append(into, call)
			}
		}
	}
	return into
}

// isReceipt says whether a span with a parent in another service only fetches a message, and the work on it, with the same parent,
// is what counts. Where there is no such span, to receive is all that is seen of the consumer.
func isReceipt(t *trace.Trace, i int32) bool {
	span := &t.Spans[i]
	return span.Has(trace.Broker) && t.Consumes(t.Parent[i], span.Service)
}

// countsAlone says whether a span is a call also where nobody answers it.
func countsAlone(span *trace.Record) bool { return span.Has(trace.Call) && span.Peer != names.None }

// Linked is the call from a producer to a consumer that names it by a link.
func Linked(producer uint32, consumer *trace.Record) Edge {
	return Edge{Caller: producer, Callee: consumer.Service, Type: Messaging}
}

// isPassedOn says whether within a call's span its service got an answer, from another one or from itself, or made a call that does
// the work: a client library's span often wraps that of the transport, with its attempts in between. A span without a name or an
// answer, as that of looking up a host, does not. The search ends at the next call with a name, so that of all spans together it is
// linear.
func isPassedOn(t *trace.Trace, i int32) bool {
	for at := t.FirstChild[i]; at != trace.None; {
		span := &t.Spans[at]
		if span.Service != t.Spans[i].Service || span.SpanKind() == ptrace.SpanKindServer || countsAlone(span) {
			return true
		}
		if t.FirstChild[at] != trace.None {
			at = t.FirstChild[at]
			continue
		}
		for at != i && t.NextSibling[at] == trace.None {
			at = t.Parent[at]
		}
		if at == i {
			return false
		}
		at = t.NextSibling[at]
	}
	return false
}

func typeOf(caller, callee *trace.Record) Type {
	switch {
	case caller.SpanKind() == ptrace.SpanKindProducer || callee.SpanKind() == ptrace.SpanKindConsumer || callee.Has(trace.Broker):
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
