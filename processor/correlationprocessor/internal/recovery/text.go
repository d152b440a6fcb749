package recovery

import "strings"

// shortest is the length of the shortest text that can hold an id under a name.
const shortest = len("b3=") + 16 + 1 + 16

// maxBracket is how long a pair of brackets with ids can be.
const maxBracket = 256

// fromString looks into a text that may be JSON.
func fromString(s string) outcome {
	if len(s) < len("ddtraceid:1") {
		return outcome{}
	}
	hints := hintsOf(s)
	if hints == (hint{}) {
		return outcome{}
	}
	if start := strings.TrimLeft(s, " \t\r\n"); start != "" && start[0] == '{' {
		if o, ok := fromJSON(start); ok {
			return o
		}
	}
	return hints.follow(s)
}

// fromText looks for ids behind their names, wherever in a text they stand.
func fromText(s string) outcome {
	return hintsOf(s).follow(s)
}

// hint says by which ways something may be found. Most texts have none.
type hint struct {
	trace, b3, root, bracket bool
}

func hintsOf(s string) hint {
	return hint{
		trace:   traceWord.index(s) >= 0,
		b3:      len(s) >= shortest && (strings.Contains(s, "b3") || strings.Contains(s, "B3")),
		root:    strings.Contains(s, xrayRoot),
		bracket: indexBracket(s) >= 0,
	}
}

func (h hint) follow(s string) outcome {
	var c clues
	if h.trace {
		scan(&c, s, traceWord)
	}
	if h.b3 {
		scan(&c, s, b3Word)
	}
	if h.root {
		c.offerRoots(s)
	}
	if h.bracket {
		c.offerBrackets(s)
	}
	if c.traceSeen || c.half != 0 || !c.datadog.IsEmpty() {
		scan(&c, s, spanWord)
	}
	return c.outcome()
}

// xrayRoot is how the only field of X-Ray's header begins that is known wherever it stands.
const xrayRoot = "Root=1-"

func (c *clues) offerRoots(s string) {
	for {
		i := strings.Index(s, xrayRoot)
		if i < 0 {
			return
		}
		s = s[i:]
		end := strings.IndexFunc(s, func(r rune) bool { return r == ',' || r == '"' || r == '\'' || r == ']' || r <= ' ' })
		if end < 0 {
			end = len(s)
		}
		c.offer(xray, s[:end])
		s = s[end:]
	}
}

func (c *clues) offerBrackets(s string) {
	for {
		i := indexBracket(s)
		if i < 0 {
			return
		}
		s = s[i+1:]
		c.offerBracket(s)
	}
}

// scan offers what stands behind every name that has the word in it.
func scan(c *clues, s string, word *word) {
	for at := 0; ; {
		i := word.index(s[at:])
		if i < 0 {
			return
		}
		start := at + i
		end := start + len(word.text)
		for start > at && isName(s[start-1]) {
			start--
		}
		for end < len(s) && isName(s[end]) {
			end++
		}
		// People write "Trace ID" as well.
		if end-start == len(word.text) && len(s) > end+3 && s[end] == ' ' && (s[end+1:end+3] == "ID" || s[end+1:end+3] == "id") && !isName(s[end+3]) {
			end += 3
		}
		of := kindOf(s[start:end])
		at = end
		if of == other {
			continue
		}
		value := skipSeparator(s[end:])
		at = len(s) - len(value)
		if at == end {
			continue
		}
		value = value[:valueLength(value, of)]
		c.offer(of, value)
		at += len(value)
	}
}

// skipSeparator passes over what stands between a name and its value.
func skipSeparator(s string) string {
	for i := range len(s) {
		if i == 8 || strings.IndexByte(" \t\"'\\:=([<{>", s[i]) < 0 {
			return s[i:]
		}
	}
	return ""
}

func valueLength(s string, of kind) int {
	for i := range len(s) {
		c := s[i]
		if isName(c) && c != '.' && c != '/' || of == xray && (c == '=' || c == ';' || c == ':') {
			continue
		}
		return i
	}
	return len(s)
}

// indexBracket finds what looks like the brackets into which Java's tracers put ids without names:
// [service,trace,span] and [trace-span].
func indexBracket(s string) int {
	for at := 0; ; {
		i := strings.IndexByte(s[at:], '[')
		if i < 0 {
			return -1
		}
		at += i
		// However far away the next closing bracket is, it is not looked for again and again.
		if end := strings.IndexByte(s[at:min(len(s), at+maxBracket)], ']'); end > 32 {
			var c clues
			if c.offerBracket(s[at+1:]); c.traceSeen {
				return at
			}
		}
		at++
	}
}

func (c *clues) offerBracket(s string) {
	end := strings.IndexByte(s, ']')
	if end < 0 {
		return
	}
	s = s[:end]
	if len(s) == 32+1+16 && s[32] == '-' {
		c.offerPair(s[:32], s[33:])
		return
	}
	_, rest, _ := strings.Cut(s, ",")
	trace, rest, _ := strings.Cut(rest, ",")
	span, sampled, more := strings.Cut(rest, ",")
	if !more || sampled == "" || sampled == "true" || sampled == "false" {
		c.offerPair(strings.TrimSpace(trace), strings.TrimSpace(span))
	}
}

func (c *clues) offerPair(trace, span string) {
	t, traceOK := parseTrace(trace)
	s, spanOK := parseSpan(span)
	if traceOK && spanOK && strings.IndexByte(trace, '-') < 0 {
		c.offerTrace(t)
		c.offerSpan(s)
	}
}

func isName(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c == '-' || c == '.' || c == '/'
}

// word is one that is looked for in any case.
type word struct {
	text string
	// leap says for each byte how far on the end of the word may be, if the byte stands where its end could have been.
	leap [256]uint8
}

var (
	traceWord = newWord("trace")
	spanWord  = newWord("span")
	b3Word    = newWord("b3")
)

func newWord(text string) *word {
	w := &word{text: text}
	for i := range w.leap {
		w.leap[i] = uint8(len(text))
	}
	for i := range len(text) {
		w.leap[text[i]] = uint8(len(text) - 1 - i)
		if 'a' <= text[i] && text[i] <= 'z' {
			w.leap[text[i]-'a'+'A'] = uint8(len(text) - 1 - i)
		}
	}
	return w
}

func (w *word) index(s string) int {
	last := len(w.text) - 1
	for i := last; i < len(s); {
		if leap := w.leap[s[i]]; leap > 0 {
			i += int(leap)
			continue
		}
		j := 1
		for j <= last && w.is(s[i-j], last-j) {
			j++
		}
		if j > last {
			return i - last
		}
		i++
	}
	return -1
}

func (w *word) is(c byte, at int) bool {
	return c == w.text[at] || 'A' <= c && c <= 'Z' && c-'A'+'a' == w.text[at]
}
