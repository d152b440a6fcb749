// Package template sorts the bodies of log records into templates: what the program wrote, without what it filled in.
//
// It is Drain (P. He, J. Zhu, Z. Zheng and M. R. Lyu, "Drain: An Online Log Parsing Approach with Fixed Depth Tree", ICWS 2017) with
// a tree of one level, the source, its severity, its place in the code if it has one and the number of tokens, and a memory of what
// came lately.
package template

import (
	"hash/maphash"
	"strings"
)

const (
	// maxTokens are the tokens of a body that are looked at. What a program says stands at the start; lists and stacks follow.
	maxTokens = 16
	// maxBytes bounds how much of a body is read.
	maxBytes = 512
	// similar is the share of fixed tokens that two bodies of one template have in common: Drain's threshold.
	similar = 0.5
	// maxTemplates bounds all templates, and maxInGroup those of one source and length.
	maxTemplates = 20_000
	maxInGroup   = 200
	// maxRecent bounds the memory of bodies, by the hash of their tokens.
	maxRecent = 50_000
	// maxText bounds the text that stands for a template, in bytes.
	maxText = 96
)

// None is the template of records beyond the bounds.
const None uint32 = 0

// variable is the token that stands for any.
const variable uint64 = 0

// Miner finds templates. It is not safe for concurrent use.
type Miner struct {
	seed      maphash.Seed
	groups    map[group][]uint32
	templates []template
	recent    map[recent]uint32
	tokens    []uint64
	// place is the hash of the first word of the present body that names a place in the code, or 0.
	place uint64
}

// group holds the templates of one source, severity, place in the code and number of tokens.
type group struct {
	place    uint64
	source   uint32
	severity int32
	tokens   int
}

type recent struct {
	source   uint32
	severity int32
	hash     uint64
}

type template struct {
	tokens []uint64
	text   string
}

// New returns a miner without templates.
func New() *Miner {
	return &Miner{
		seed: maphash.MakeSeed(), groups: map[group][]uint32{}, templates: make([]template, 1), recent: map[recent]uint32{},
	}
}

// Of returns the number of the template of a body from a source, with a severity number; the same number always for bodies that were
// found alike.
func (m *Miner) Of(source uint32, severity int32, body string) uint32 {
	body = body[:min(len(body), maxBytes)]
	hash := m.split(body)
	key := recent{source, severity, hash}
	if number, ok := m.recent[key]; ok {
		return number
	}
	number := m.find(group{m.place, source, severity, len(m.tokens)}, body)
	if len(m.recent) >= maxRecent {
		clear(m.recent)
	}
	m.recent[key] = number
	return number
}

// Text is an example of a template, shortened.
func (m *Miner) Text(number uint32) string { return m.templates[number].text }

// Len is the number of templates.
func (m *Miner) Len() int { return len(m.templates) - 1 }

// split reads the tokens of a body, and returns their hash.
func (m *Miner) split(body string) (hash uint64) {
	m.tokens, m.place = m.tokens[:0], 0
	for at := 0; at < len(body) && len(m.tokens) < maxTokens; {
		if isSeparator(body[at]) {
			at++
			continue
		}
		from := at
		for at < len(body) && !isSeparator(body[at]) {
			at++
		}
		token, word := variable, body[from:at]
		if m.place == 0 {
			if n := placeIn(body[from:], at-from); n > 0 {
				m.place = maphash.String(m.seed, body[from:from+n])
				// Mixed, since the token of the same word may have the same hash, and would take it out again.
				hash = mixed(hash, m.place)
			}
		}
		if !isFilledIn(word) {
			token = maphash.String(m.seed, word) | 1
		}
		m.tokens = append(m.tokens, token)
		hash = mixed(hash, token)
	}
	return hash
}

func mixed(hash, token uint64) uint64 {
	hash = (hash ^ token) * 0x9E3779B97F4A7C15
	return hash ^ hash>>29
}

func (m *Miner) find(key group, body string) uint32 {
	best, most := None, similar
	for _, number := range m.groups[key] {
		if s := similarity(m.templates[number].tokens, m.tokens); s >= most {
			best, most = number, s
		}
	}
	if best != None {
		for i, token := range m.templates[best].tokens {
			if token != m.tokens[i] {
				m.templates[best].tokens[i] = variable
			}
		}
		return best
	}
	if len(m.templates) > maxTemplates || len(m.groups[key]) >= maxInGroup {
		return None
	}
	number := uint32(len(m.templates))
	text := strings.ToValidUTF8(body[:min(len(body), maxText)], "")
	m.templates = append(m.templates, template{tokens: append([]uint64(nil), m.tokens...), text: strings.Clone(text)})
	m.groups[key] = append(m.groups[key], number)
	return number
}

// similarity is the share of the tokens that are fixed in both or in one of them, and the same.
func similarity(a, b []uint64) float64 {
	same, fixed := 0, 0
	for i := range a {
		switch {
		case a[i] == variable:
		case a[i] == b[i]:
			same++
			fixed++
		default:
			fixed++
		}
	}
	if fixed == 0 {
		return 1
	}
	return float64(same) / float64(fixed)
}

// placeIn is the length of the place in the code with which a text begins, such as Cart#115 or cart.go:115, or 0. word is the length
// of its first word. Behind a colon the word has to be the name of a file, with a dot and letters in it.
func placeIn(text string, word int) int {
	sign := strings.IndexByte(text[:word], '#')
	if sign < 0 && word < len(text) && text[word] == ':' && strings.IndexByte(text[:word], '.') > 0 {
		sign = word
	}
	if sign <= 0 || text[0]|0x20 < 'a' || text[0]|0x20 > 'z' {
		return 0
	}
	at := sign + 1
	for at < len(text) && text[at] >= '0' && text[at] <= '9' {
		at++
	}
	if at == sign+1 || at < len(text) && !isSeparator(text[at]) {
		return 0
	}
	return at
}

func isSeparator(c byte) bool {
	switch c {
	case ' ', '\t', '\n', '\r', '=', ',', ':', ';', '(', ')', '[', ']', '{', '}', '"', '\'', '|', '<', '>', '/', '?', '&':
		return true
	}
	return false
}

// isFilledIn says whether a word is a number, a time or an identifier: a third of it are digits.
func isFilledIn(word string) bool {
	digits := 0
	for i := range len(word) {
		if word[i] >= '0' && word[i] <= '9' {
			digits++
		}
	}
	return digits > 0 && 3*digits >= len(word)
}
