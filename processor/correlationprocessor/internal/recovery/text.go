package recovery

import "strings"

// shortest is how many digits an id in a text has at least. All formats but Datadog's and Jaeger's have a fixed length of 16
// or more, and theirs are random numbers of 64 bits, of which one in two thousand million is shorter.
const shortest = 10

// maxField bounds what is looked at beside an id: the service in brackets, a project's name.
const maxField = 256

// fromString looks into a text that may be JSON.
func fromString(s string) outcome {
	start, end := digits(s, 0)
	if end == 0 {
		// Whatever the text is, most have nothing that could be an id.
		return outcome{}
	}
	if o, ok := fromJSON(s); ok {
		return o
	}
	return fromDigits(s, start, end)
}

// fromText looks into a text that is nothing else.
func fromText(s string) outcome {
	start, end := digits(s, 0)
	if end == 0 {
		return outcome{}
	}
	return fromDigits(s, start, end)
}

// fromDigits looks at everything in a text that could be an id, from its first digits on, and for the name that stands before
// it.
func fromDigits(s string, start, end int) outcome {
	var c clues
	for end > 0 {
		at := c.offerDigits(s, start, end)
		start, end = digits(s, at)
	}
	return c.outcome()
}

// digits finds the next hexadecimal digits that are as many as an id has at least. No more than one byte in so many is looked
// at to see where there are none. It returns zeros if there are no more.
func digits(s string, from int) (start, end int) {
	for probe := from + shortest - 1; probe < len(s); probe += shortest {
		if classes[s[probe]]&hexDigit == 0 {
			continue
		}
		for start = probe; start > from && classes[s[start-1]]&hexDigit != 0; {
			start--
		}
		for end = probe + 1; end < len(s) && classes[s[end]]&hexDigit != 0; {
			end++
		}
		if end-start >= shortest {
			return start, end
		}
		from, probe = end, end
	}
	return 0, 0
}

// offerDigits offers the value that the digits are part of, and returns its end, from where to look on. As a value ends where
// no other byte belongs to one, none is walked twice.
func (c *clues) offerDigits(s string, start, end int) int {
	for start > 0 && classes[s[start-1]]&valuePart != 0 {
		start--
	}
	for end < len(s) && classes[s[end]]&valuePart != 0 {
		end++
	}
	var of kind
	if strings.HasSuffix(s[:start], "Root=") && strings.HasPrefix(s[start:end], "1-") {
		// The one field of X-Ray's header that is known wherever it stands.
		of, start = xray, start-len("Root=")
	} else {
		start = projectBefore(s, start)
		of = kindOf(nameBefore(s, start))
	}
	switch of {
	case other:
		return c.offerBracket(s, start, end)
	case xray, jaeger, googleHeader:
		for end < len(s) && classes[s[end]]&(valuePart|joint) != 0 {
			end++
		}
		for classes[s[end-1]]&joint != 0 {
			end--
		}
	}
	c.offer(of, s[start:end])
	return end
}

// nameBefore is the name that stands before a value, with nothing but separators between.
func nameBefore(s string, start int) string {
	end := start
	for end > 0 && start-end <= maxSeparators && classes[s[end-1]]&separator != 0 {
		end--
	}
	if end == start || start-end > maxSeparators {
		return ""
	}
	first := wordBefore(s, end)
	// People write "Trace ID" as well.
	if isID(s[first:end]) && first > 0 && s[first-1] == ' ' {
		first = wordBefore(s, first-1)
	}
	if first > 0 && isPromising(s[first:end]) {
		switch s[first-1] {
		case '?', '&':
			// What is in the query of a URL is about something else.
			return ""
		case ' ':
			if isForeign(s[wordBefore(s, first-1) : first-1]) {
				return ""
			}
		}
	}
	return s[first:end]
}

// maxSeparators is how many separators may be between a name and its value: "\": \"" has five.
const maxSeparators = 8

// wordBefore is where the name that ends at end begins, or a place before which it is too long to be one.
func wordBefore(s string, end int) int {
	start := end
	for start > 0 && end-start <= maxName && classes[s[start-1]]&namePart != 0 {
		start--
	}
	return start
}

// projectBefore is where projects/project/traces/ begins, if that stands before start, and else start.
func projectBefore(s string, start int) int {
	if !strings.HasSuffix(s[:start], googleTraces) {
		return start
	}
	low := max(0, start-maxField)
	if i := strings.LastIndex(s[low:start], googleProjects); i >= 0 {
		return low + i
	}
	return start
}

// offerBracket offers the ids that Java's tracers put into brackets without names, [service,trace,span] and [trace-span], and
// returns where to look on.
func (c *clues) offerBracket(s string, start, end int) int {
	const short, trace, pair = 16, 32, 32 + 1 + 16
	switch end - start {
	case short, trace:
	case pair:
		if s[start+trace] == '-' && start > 0 && s[start-1] == '[' && end < len(s) && s[end] == ']' {
			c.offerPair(s[start:start+trace], s[start+trace+1:end])
		}
		return end
	default:
		return end
	}
	before := strings.TrimRight(s[max(0, start-maxField):start], " ")
	if before == "" || before[len(before)-1] != ',' {
		return end
	}
	before = before[:len(before)-1]
	if i := strings.LastIndexAny(before, "[],"); i < 0 || before[i] != '[' {
		return end
	}
	after := s[end:min(len(s), end+maxField)]
	closing := strings.IndexByte(after, ']')
	if closing < 0 || after[0] != ',' {
		return end
	}
	span, sampled, more := strings.Cut(after[1:closing], ",")
	if !more || sampled == "" || sampled == "true" || sampled == "false" {
		c.offerPair(s[start:end], strings.TrimSpace(span))
	}
	return end + closing
}

func (c *clues) offerPair(trace, span string) {
	t, traceOK := parseTrace(trace)
	s, spanOK := parseSpan(span)
	if traceOK && spanOK {
		c.trace.offer(t)
		c.span.offer(s)
	}
}

// class says what a byte can be part of.
type class uint8

const (
	hexDigit class = 1 << iota
	// valuePart is what an id consists of, and namePart what a name does.
	valuePart
	namePart
	// separator stands between a name and its value, joint between the parts of some values.
	separator
	joint
)

const joints = ":;=@/"

var classes = func() (of [256]class) {
	add := func(bytes string, c class) {
		for i := range len(bytes) {
			of[bytes[i]] |= c
		}
	}
	add("0123456789abcdefABCDEF", hexDigit)
	for c := range of {
		if '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c == '-' {
			of[c] |= valuePart | namePart
		}
	}
	add("./@", namePart)
	add(" \t\"'\\:=([<{>", separator)
	add(joints, joint)
	return of
}()
