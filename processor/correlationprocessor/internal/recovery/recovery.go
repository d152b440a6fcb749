// Package recovery finds the ids of a trace and span where a log record has them in its attributes or its body instead
// of in their own fields.
//
// A wrong id is worse than none: an id counts only under a name that means an id, in exactly the form that its format
// prescribes, and only if nothing beside it says otherwise.
package recovery

import (
	"encoding/binary"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// IDs is what was found.
type IDs struct {
	Trace pcommon.TraceID
	// Span is empty where only the trace is known.
	Span pcommon.SpanID
	// Half is what is known of a trace whose sender writes no more than the last 64 bits of its id. Trace is empty then.
	Half uint64
}

// Find looks under the names of attributes, and in maps among them, and where these say nothing, into a body that is a map,
// JSON, or text. Attributes that contradict each other are not settled by the body.
func Find(attributes pcommon.Map, body pcommon.Value) (IDs, bool) {
	o := fromMap(attributes, "", 0)
	if o.state == nothing {
		o = fromBody(body)
	}
	return o.ids()
}

func fromBody(body pcommon.Value) outcome {
	switch body.Type() {
	case pcommon.ValueTypeMap:
		o := fromMap(body.Map(), "", 0)
		if o.state == nothing {
			for key, value := range body.Map().All() {
				if value.Type() == pcommon.ValueTypeStr && isMessage(key) {
					o.merge(fromText(value.Str()))
				}
			}
		}
		return o
	case pcommon.ValueTypeStr:
		return fromString(body.Str())
	default:
		return outcome{}
	}
}

// state says what a look at something came to.
type state uint8

const (
	nothing state = iota
	found
	// contradiction is when two ids have equal right to be the one.
	contradiction
)

type outcome struct {
	state state
	trace pcommon.TraceID
	half  uint64
	span  said[pcommon.SpanID]
}

func (o outcome) ids() (IDs, bool) {
	if o.state != found {
		return IDs{}, false
	}
	return IDs{Trace: o.trace, Span: o.span.agreed(), Half: o.half}, true
}

// merge takes in what was found beside it. Two spans of one trace are no contradiction: the trace is still right.
func (o *outcome) merge(other outcome) {
	switch {
	case other.state == nothing:
	case o.state == nothing:
		*o = other
	case other.state == contradiction || o.state == contradiction, o.trace != other.trace, o.half != other.half:
		*o = outcome{state: contradiction}
	default:
		o.span.merge(other.span)
	}
}

// clues collects what stands together: in one map, in one JSON object, in one text. In which order it stands there must not
// matter, so that nothing that was said is replaced by what is said later.
type clues struct {
	trace, datadog                      said[pcommon.TraceID]
	half                                said[uint64]
	span, transaction, parent, dataspan said[pcommon.SpanID]
}

// said is an id, unless different ones were said.
type said[T comparable] struct {
	id          T
	any, unlike bool
}

func (s *said[T]) offer(id T) {
	if s.any && s.id != id {
		s.unlike = true
	}
	s.id, s.any = id, true
}

func (s *said[T]) merge(other said[T]) {
	if other.any {
		s.offer(other.id)
		s.unlike = s.unlike || other.unlike
	}
}

// agreed is the id, zero if there is none or more than one.
func (s *said[T]) agreed() T {
	if s.unlike {
		var none T
		return none
	}
	return s.id
}

// offer takes note of a value under a name.
func (c *clues) offer(of kind, value string) {
	switch of {
	case traceID:
		if id, ok := parseTrace(value); ok {
			c.trace.offer(id)
		} else {
			// .NET calls its traceparent so.
			c.offerHeader(parseTraceparent(value))
		}
	case spanID:
		if id, ok := parseSpan(value); ok {
			c.span.offer(id)
		}
	case transactionID:
		if id, ok := parseSpan(value); ok {
			c.transaction.offer(id)
		}
	case traceparent:
		c.offerHeader(parseTraceparent(value))
	case b3:
		c.offerHeader(parseB3(value))
	case xray:
		c.offerHeader(parseXRay(value))
	case jaeger:
		c.offerHeader(parseJaeger(value))
	case googleHeader:
		c.offerHeader(parseGoogleHeader(value))
	case googleField, googleTrace:
		id, ok := parseGoogleTrace(value)
		if !ok && of == googleField {
			ok = decodeHex(id[:], value) && !id.IsEmpty()
		}
		if ok {
			c.trace.offer(id)
		}
	case datadogTrace:
		if id, ok := parseTrace(value); ok && len(value) == 32 {
			c.datadog.offer(id)
		} else if half, ok := parseDecimal(value); ok {
			c.offerNumber(of, half)
		}
	case datadogSpan:
		if id, ok := parseDecimal(value); ok {
			c.offerNumber(of, id)
		}
	}
}

// offerNumber takes note of a number, as which only Datadog writes ids. Where digits are looked for in texts shorter ones are
// not found, and so they are nowhere.
func (c *clues) offerNumber(of kind, id uint64) {
	const least = 1_000_000_000 // the first number of so many digits as shortest
	if id < least {
		return
	}
	switch of {
	case datadogTrace:
		c.half.offer(id)
	case datadogSpan:
		c.dataspan.offer(spanOf(id))
	}
}

// offerHeader takes in a whole context. Its span may be the caller's, so that a span that is named as such goes first.
func (c *clues) offerHeader(ids IDs, ok bool) {
	if !ok {
		return
	}
	c.trace.offer(ids.Trace)
	if !ids.Span.IsEmpty() {
		c.parent.offer(ids.Span)
	}
}

func (c *clues) outcome() outcome {
	switch {
	case c.trace.unlike:
		return outcome{state: contradiction}
	case c.trace.any:
		return outcome{state: found, trace: c.trace.id, span: c.spanOfTrace()}
	case c.datadog.unlike || c.half.unlike || c.datadog.any && c.half.any && c.half.id != lastHalf(c.datadog.id):
		return outcome{state: contradiction}
	case c.datadog.any:
		return outcome{state: found, trace: c.datadog.id, span: c.dataspan}
	case c.half.any:
		return outcome{state: found, half: c.half.id, span: c.dataspan}
	default:
		return outcome{}
	}
}

// spanOfTrace is what says most exactly which span it was.
func (c *clues) spanOfTrace() said[pcommon.SpanID] {
	switch {
	case c.span.any:
		return c.span
	case c.transaction.any:
		return c.transaction
	case c.parent.any:
		return c.parent
	case c.half.any && !c.half.unlike && c.half.id == lastHalf(c.trace.id):
		return c.dataspan
	default:
		return said[pcommon.SpanID]{}
	}
}

// lastHalf is all that some senders write of a trace's id.
func lastHalf(trace pcommon.TraceID) uint64 {
	return binary.BigEndian.Uint64(trace[8:])
}
