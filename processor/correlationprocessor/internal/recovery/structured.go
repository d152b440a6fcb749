package recovery

import (
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
		if !isPromising(key) && value.Type() != pcommon.ValueTypeMap {
			continue
		}
		switch value.Type() {
		case pcommon.ValueTypeStr:
			own.offer(kindWithin(parent, key), value.Str())
		case pcommon.ValueTypeInt:
			if value.Int() > 0 {
				own.offerNumber(kindWithin(parent, key), uint64(value.Int()))
			}
		case pcommon.ValueTypeSlice:
			// The semantic conventions have lists of a header's values.
			if list := value.Slice(); list.Len() == 1 && strings.HasPrefix(key, "http.request.header.") {
				own.offer(kindOf(key), list.At(0).Str())
			}
		case pcommon.ValueTypeBytes:
			own.offerBytes(kindWithin(parent, key), value.Bytes())
		case pcommon.ValueTypeMap:
			nested = true
			if of := kindWithin(key, "id"); of != other {
				if id, ok := value.Map().Get("id"); ok && id.Type() == pcommon.ValueTypeStr {
					own.offer(of, id.Str())
				}
			}
		}
	}
	o := own.outcome()
	if o.state != nothing || !nested || depth == maxDepth {
		return o
	}
	for key, value := range m.All() {
		if value.Type() == pcommon.ValueTypeMap && !isForeign(key) {
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
			c.trace.offer(id)
		}
	case of == spanID && value.Len() == 8:
		var id pcommon.SpanID
		for i := range id {
			id[i] = value.At(i)
		}
		if !id.IsEmpty() {
			c.span.offer(id)
		}
	}
}

// reader walks JSON without taking it apart. What it reads must be well formed as far as that matters for what belongs
// to what; it looks neither into literals nor into lists.
type reader struct {
	s  string
	at int
	// messages is what people wrote, for the case that the structure says nothing.
	messages outcome
}

// fromJSON is false if the text is no JSON object.
func fromJSON(s string) (outcome, bool) {
	r := reader{s: s}
	if r.next() != '{' {
		return outcome{}, false
	}
	o, ok := r.object("", nil, 0)
	if r.next(); !ok || r.at != len(s) {
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
	r.at++
	if r.next() == '}' {
		r.at++
		return outcome{}, true
	}
	for {
		key, ok := r.text()
		if !ok || r.next() != ':' {
			return outcome{}, false
		}
		r.at++
		switch r.next() {
		case '"':
			var value string
			if value, ok = r.text(); ok {
				r.offer(&own, outer, parent, key, value, depth)
			}
		case '{':
			if depth == maxDepth || isForeign(key) {
				ok = r.skip()
				break
			}
			var o outcome
			if o, ok = r.object(key, &own, depth+1); ok {
				inner.merge(o)
			}
		case '[':
			ok = r.skip()
		default:
			var value string
			if value, ok = r.literal(); ok {
				if id, ok := parseDecimal(value); ok {
					own.offerNumber(kindWithin(parent, key), id)
				}
			}
		}
		if !ok {
			return outcome{}, false
		}
		switch r.next() {
		case ',':
			r.at++
			r.next()
		case '}':
			r.at++
			if o := own.outcome(); o.state != nothing {
				return o, true
			}
			return inner, true
		default:
			return outcome{}, false
		}
	}
}

func (r *reader) offer(own, outer *clues, parent, key, value string, depth int) {
	of := kindWithin(parent, key)
	switch {
	case of != other:
		own.offer(of, value)
		if isID(key) {
			outer.offer(of, value)
		}
	case depth == 0 && isMessage(key):
		r.messages.merge(fromText(value))
	}
}

// skip passes over an object or a list. However deep it is, nothing in it is looked at but what nests.
func (r *reader) skip() bool {
	for depth := 0; r.at < len(r.s); {
		switch r.s[r.at] {
		case '"':
			if _, ok := r.text(); !ok {
				return false
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		r.at++
		if depth == 0 {
			return true
		}
	}
	return false
}

// text reads a string, and leaves its escapes as they are: no id and no name of one has any.
func (r *reader) text() (string, bool) {
	if r.at >= len(r.s) || r.s[r.at] != '"' {
		return "", false
	}
	start := r.at + 1
	for end := start; ; end++ {
		i := strings.IndexByte(r.s[end:], '"')
		if i < 0 {
			return "", false
		}
		end += i
		if value := r.s[start:end]; !isEscaped(value) {
			r.at = end + 1
			return value, true
		}
	}
}

// isEscaped says whether what follows the text is escaped by its last backslash.
func isEscaped(s string) bool {
	escaped := false
	for i := len(s) - 1; i >= 0 && s[i] == '\\'; i-- {
		escaped = !escaped
	}
	return escaped
}

func (r *reader) literal() (string, bool) {
	start := r.at
	for r.at < len(r.s) && (classes[r.s[r.at]]&valuePart != 0 || r.s[r.at] == '+' || r.s[r.at] == '.') {
		r.at++
	}
	return r.s[start:r.at], r.at > start
}

// next passes over space, and returns the byte behind it, 0 at the end.
func (r *reader) next() byte {
	for r.at < len(r.s) {
		switch c := r.s[r.at]; c {
		case ' ', '\t', '\n', '\r':
			r.at++
		default:
			return c
		}
	}
	return 0
}
