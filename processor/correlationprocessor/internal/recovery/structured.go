package recovery

import (
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// maxDepth is how deep an id may be nested. Strangers nest deeper.
const maxDepth = 6

// fromMap looks at the map's own values first, and only then into maps among them. Lists are not looked into: what
// lists ids lists those of others.
func fromMap(m pcommon.Map, parent string, depth int) outcome {
	var own clues
	nested := false
	for key, value := range m.All() {
		switch value.Type() {
		case pcommon.ValueTypeStr:
			if of := kindWithin(parent, key); of != other {
				own.offer(of, value.Str())
			}
		case pcommon.ValueTypeInt:
			if of := kindWithin(parent, key); (of == datadogTrace || of == datadogSpan) && value.Int() > 0 {
				own.offer(of, strconv.FormatInt(value.Int(), 10))
			}
		case pcommon.ValueTypeBytes:
			own.offerBytes(kindWithin(parent, key), value.Bytes())
		case pcommon.ValueTypeMap:
			nested = true
			if key == "trace" || key == "span" {
				if id, ok := value.Map().Get("id"); ok && id.Type() == pcommon.ValueTypeStr {
					own.offer(kindWithin(key, "id"), id.Str())
				}
			}
		}
	}
	o := own.outcome()
	if o.state != nothing || !nested || depth == maxDepth {
		return o
	}
	for key, value := range m.All() {
		if value.Type() == pcommon.ValueTypeMap {
			o.merge(fromMap(value.Map(), key, depth+1))
		}
	}
	return o
}

func (c *clues) offerBytes(of kind, value pcommon.ByteSlice) {
	switch {
	case of == traceID && value.Len() == 16:
		var id pcommon.TraceID
		for i := range id {
			id[i] = value.At(i)
		}
		if !id.IsEmpty() {
			c.offerTrace(id)
		}
	case of == spanID && value.Len() == 8:
		var id pcommon.SpanID
		for i := range id {
			id[i] = value.At(i)
		}
		if !id.IsEmpty() {
			c.offerSpan(id)
		}
	}
}

// reader walks JSON without taking it apart. What it reads must be well formed as far as that matters for what belongs
// to what; it does not look into literals.
type reader struct {
	rest string
	// messages is what people wrote, for the case that the structure says nothing.
	messages outcome
}

// fromJSON is false if the text is no JSON object.
func fromJSON(s string) (outcome, bool) {
	r := reader{rest: s}
	o, ok := r.object("", nil, 0)
	if r.space(); !ok || r.rest != "" {
		return outcome{}, false
	}
	if o.state == nothing {
		o = r.messages
	}
	return o, true
}

// object reads an object that stands under a name in another one, and says there too what belongs there.
func (r *reader) object(parent string, outer *clues, depth int) (outcome, bool) {
	var own clues
	var inner outcome
	if !r.take('{') {
		return outcome{}, false
	}
	if r.take('}') {
		return outcome{}, true
	}
	for {
		key, ok := r.text()
		if !ok || !r.take(':') {
			return outcome{}, false
		}
		switch r.peek() {
		case '{':
			if depth == maxDepth {
				ok = r.skip(0)
				break
			}
			var o outcome
			if o, ok = r.object(key, &own, depth+1); ok {
				inner.merge(o)
			}
		case '"':
			var value string
			if value, ok = r.text(); ok {
				r.offer(&own, parent, key, value, depth)
				if key == "id" && (parent == "trace" || parent == "span") {
					outer.offer(kindWithin(parent, key), value)
				}
			}
		case '[':
			ok = r.skip(0)
		default:
			var value string
			if value, ok = r.literal(); ok && value[0] != '-' {
				if of := kindWithin(parent, key); of == datadogTrace || of == datadogSpan {
					own.offer(of, value)
				}
			}
		}
		switch {
		case !ok:
			return outcome{}, false
		case r.take(','):
		case r.take('}'):
			if o := own.outcome(); o.state != nothing {
				return o, true
			}
			return inner, true
		default:
			return outcome{}, false
		}
	}
}

func (r *reader) offer(own *clues, parent, key, value string, depth int) {
	if of := kindWithin(parent, key); of != other {
		own.offer(of, value)
	} else if depth == 0 && isMessage(key) {
		r.messages.merge(fromText(value))
	}
}

// skip passes over any value.
func (r *reader) skip(depth int) bool {
	switch r.peek() {
	case '{', '[':
		if depth > 1000 {
			return false
		}
		closing := byte('}')
		if r.peek() == '[' {
			closing = ']'
		}
		r.rest = r.rest[1:]
		if r.take(closing) {
			return true
		}
		for {
			if closing == '}' {
				if _, ok := r.text(); !ok || !r.take(':') {
					return false
				}
			}
			if !r.skip(depth + 1) {
				return false
			}
			if r.take(closing) {
				return true
			}
			if !r.take(',') {
				return false
			}
		}
	case '"':
		_, ok := r.text()
		return ok
	default:
		_, ok := r.literal()
		return ok
	}
}

// text reads a string, and leaves its escapes as they are: no id and no name of one has any.
func (r *reader) text() (string, bool) {
	if r.peek() != '"' {
		return "", false
	}
	if i := strings.IndexByte(r.rest[1:], '"'); i >= 0 && strings.IndexByte(r.rest[1:1+i], '\\') < 0 {
		value := r.rest[1 : 1+i]
		r.rest = r.rest[i+2:]
		return value, true
	}
	for i := 1; i < len(r.rest); i++ {
		switch r.rest[i] {
		case '\\':
			i++
		case '"':
			value := r.rest[1:i]
			r.rest = r.rest[i+1:]
			return value, true
		}
	}
	return "", false
}

func (r *reader) literal() (string, bool) {
	r.space()
	for i := range len(r.rest) {
		switch c := r.rest[i]; {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '-', c == '+', c == '.':
			continue
		}
		value := r.rest[:i]
		r.rest = r.rest[i:]
		return value, i > 0
	}
	return "", false
}

func (r *reader) take(c byte) bool {
	if r.peek() != c {
		return false
	}
	r.rest = r.rest[1:]
	return true
}

func (r *reader) peek() byte {
	r.space()
	if r.rest == "" {
		return 0
	}
	return r.rest[0]
}

func (r *reader) space() {
	if r.rest != "" && r.rest[0] > ' ' {
		return
	}
	for r.rest != "" && (r.rest[0] == ' ' || r.rest[0] == '\t' || r.rest[0] == '\n' || r.rest[0] == '\r') {
		r.rest = r.rest[1:]
	}
}
