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

// FromAttributes looks under the names of attributes, and in maps among them.
func FromAttributes(attributes pcommon.Map) (IDs, bool) {
	return fromMap(attributes, "", 0).ids()
}

// FromBody looks into a body that is a map, JSON, or text.
func FromBody(body pcommon.Value) (IDs, bool) {
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
		return o.ids()
	case pcommon.ValueTypeStr:
		return fromString(body.Str()).ids()
	default:
		return IDs{}, false
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
	is    IDs
}

func (o outcome) ids() (IDs, bool) {
	if o.state != found {
		return IDs{}, false
	}
	return o.is, true
}

// merge takes in what was found beside it.
func (o *outcome) merge(other outcome) {
	switch {
	case other.state == nothing:
	case o.state == nothing:
		*o = other
	case other.state == contradiction || o.state == contradiction, o.is.Trace != other.is.Trace, o.is.Half != other.is.Half:
		*o = outcome{state: contradiction}
	case o.is.Span.IsEmpty():
		o.is.Span = other.is.Span
	case !other.is.Span.IsEmpty() && other.is.Span != o.is.Span:
		// Two spans of one trace: the trace is still right.
		o.is.Span = pcommon.SpanID{}
	}
}

// clues collects what stands together: in one map, in one JSON object, in one text.
type clues struct {
	trace, datadog         pcommon.TraceID
	half                   uint64
	span, parent, dataspan pcommon.SpanID
	traceSeen              bool
	spanSeen, spanUnclear  bool
	contradiction          bool
}

// offer takes note of a value under a name.
func (c *clues) offer(of kind, value string) {
	switch of {
	case traceID:
		if id, ok := parseTrace(value); ok {
			c.offerTrace(id)
		}
	case spanID:
		if id, ok := parseSpan(value); ok {
			c.offerSpan(id)
		}
	case traceparent:
		c.offerHeader(parseTraceparent(value))
	case b3:
		c.offerHeader(parseB3(value))
	case xray:
		if id, ok := parseXRayTrace(value); ok {
			c.offerTrace(id)
		} else {
			c.offerHeader(parseXRay(value))
		}
	case datadogTrace:
		if id, ok := parseTrace(value); ok && len(value) == 32 {
			c.datadog = id
		} else if half, ok := parseDecimal(value); ok {
			c.half = half
		}
	case datadogSpan:
		if id, ok := parseDecimal(value); ok {
			c.dataspan = spanOf(id)
		}
	}
}

func (c *clues) offerTrace(id pcommon.TraceID) {
	if c.traceSeen && c.trace != id {
		c.contradiction = true
	}
	c.trace, c.traceSeen = id, true
}

func (c *clues) offerSpan(id pcommon.SpanID) {
	if c.spanSeen && c.span != id {
		c.spanUnclear = true
	}
	c.span, c.spanSeen = id, true
}

// offerHeader takes in a whole context. Its span may be the caller's, so that a span that is named as such goes first.
func (c *clues) offerHeader(ids IDs, ok bool) {
	if ok {
		c.offerTrace(ids.Trace)
		c.parent = ids.Span
	}
}

func (c *clues) outcome() outcome {
	switch {
	case c.contradiction:
		return outcome{state: contradiction}
	case c.traceSeen:
		is := IDs{Trace: c.trace}
		switch {
		case c.spanUnclear:
		case c.spanSeen:
			is.Span = c.span
		case !c.parent.IsEmpty():
			is.Span = c.parent
		case !c.dataspan.IsEmpty() && c.half == binary.BigEndian.Uint64(c.trace[8:]):
			is.Span = c.dataspan
		}
		return outcome{found, is}
	case !c.datadog.IsEmpty():
		return outcome{found, IDs{Trace: c.datadog, Span: c.dataspan}}
	case c.half != 0:
		return outcome{found, IDs{Half: c.half, Span: c.dataspan}}
	default:
		return outcome{}
	}
}
