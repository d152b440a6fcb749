package openslo

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// reader collects what is wrong while documents are read, so that all of it can be said at once.
type reader struct {
	problems Errors
	// idle are the documents that describe something to which nothing refers.
	idle Errors
}

// maxList is more than one SLO has of anything. It bounds what aliases of lists in lists could amount to.
const maxList = 100

func (r *reader) refuse(at Source, format string, values ...any) {
	r.problems = append(r.problems, &Error{Source: at, Reason: fmt.Sprintf(format, values...)})
}

// refuseOnce is refuse, unless something at the same place was refused already and says more.
func (r *reader) refuseOnce(at Source, format string, values ...any) {
	for _, problem := range r.problems {
		if problem.Source == at {
			return
		}
	}
	r.refuse(at, format, values...)
}

// mapping is a YAML mapping of which every key has to be asked for: what nobody asked for is unknown, and refused.
type mapping struct {
	*reader
	at     Source
	fields map[string]*yaml.Node
	keys   []*yaml.Node
	known  []string
	lined  bool
}

// open reads a node as a mapping. It is nil, and the problem noted, if the node is something else; a nil mapping answers every
// question with nothing and notes no further problem.
func (r *reader) open(node *yaml.Node, at Source, lined bool) *mapping {
	node = resolve(node)
	if node.Kind != yaml.MappingNode {
		r.refuse(at, "must be a mapping, not %s", describe(node))
		return nil
	}
	m := &mapping{reader: r, at: at, fields: make(map[string]*yaml.Node, len(node.Content)/2), lined: lined}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			r.refuse(m.place(key, "?"), "a key must be a word")
			continue
		}
		if key.Tag == "!!merge" {
			r.refuse(m.place(key, "<<"), "merge keys are not part of OpenSLO; write the keys out")
			continue
		}
		if _, twice := m.fields[key.Value]; twice {
			r.refuse(m.place(key, readable(key.Value)), "is there twice")
			continue
		}
		m.fields[key.Value] = value
		m.keys = append(m.keys, key)
	}
	return m
}

func (m *mapping) place(node *yaml.Node, key string) Source {
	at := Source{File: m.at.File, Line: m.at.Line, Key: key}
	if m.at.Key != "" {
		at.Key = m.at.Key + "." + key
	}
	if m.lined {
		at.Line = node.Line
	}
	return at
}

// where is the place of a key, or of the mapping that lacks it.
func (m *mapping) where(key string) Source {
	for _, node := range m.keys {
		if node.Value == key {
			return m.place(node, readable(key))
		}
	}
	at := m.at
	at.Key = key
	if m.at.Key != "" {
		at.Key = m.at.Key + "." + key
	}
	return at
}

func (m *mapping) take(key string) (*yaml.Node, Source, bool) {
	if m == nil {
		return nil, Source{}, false
	}
	if !slices.Contains(m.known, key) {
		m.known = append(m.known, key)
	}
	node, ok := m.fields[key]
	if !ok {
		return nil, m.where(key), false
	}
	node = resolve(node)
	if node.Tag == "!!null" {
		return nil, m.where(key), false
	}
	return node, m.where(key), true
}

func (m *mapping) has(key string) bool {
	if m == nil {
		return false
	}
	node, ok := m.fields[key]
	return ok && resolve(node).Tag != "!!null"
}

// done refuses the keys that nobody asked for.
func (m *mapping) done() {
	if m == nil {
		return
	}
	for _, key := range m.keys {
		if !slices.Contains(m.known, key.Value) {
			m.refuse(m.place(key, readable(key.Value)), "is not known here; known are %s", strings.Join(m.known, ", "))
		}
	}
}

// cannot refuse a key that OpenSLO knows and this implementation can't honour.
func (m *mapping) cannot(key, reason string) {
	if _, at, ok := m.take(key); ok {
		m.refuse(at, "%s", reason)
	}
}

// require notes that a key is missing; it is quiet if the mapping itself was wrong.
func (m *mapping) require(key, what string) {
	if m == nil {
		return
	}
	m.refuse(m.where(key), "is missing: %s", what)
}

func (m *mapping) text(key string, longest int) (string, Source) {
	node, at, ok := m.take(key)
	if !ok {
		return "", at
	}
	if node.Kind != yaml.ScalarNode {
		m.refuse(at, "must be a text, not %s", describe(node))
		return "", at
	}
	if err := checkText(node.Value, longest); err != nil {
		m.refuse(at, "%s", err)
		return "", at
	}
	return node.Value, at
}

// nonEmpty notes that a key is there and has nothing to say, if nothing worse is known of it.
func (m *mapping) nonEmpty(key string, at Source) {
	if m.has(key) {
		m.refuseOnce(at, "is empty")
	}
}

func (m *mapping) name(key string) (string, Source) {
	text, at := m.text(key, maxName)
	if text == "" {
		m.nonEmpty(key, at)
		return "", at
	}
	if err := checkName(text); err != nil {
		m.refuse(at, "%q %s", text, err)
		return "", at
	}
	return text, at
}

func (m *mapping) boolean(key string, otherwise bool) (bool, Source) {
	node, at, ok := m.take(key)
	if !ok {
		return otherwise, at
	}
	value, err := strconv.ParseBool(node.Value)
	if node.Kind != yaml.ScalarNode || node.Tag != "!!bool" || err != nil {
		m.refuse(at, "must be true or false, not %s", describe(node))
		return otherwise, at
	}
	return value, at
}

// number is nil if there is none, or none that can be read.
func (m *mapping) number(key string) (*big.Rat, Source) {
	node, at, ok := m.take(key)
	if !ok {
		return nil, at
	}
	if node.Kind != yaml.ScalarNode || (node.Tag != "!!int" && node.Tag != "!!float") {
		m.refuse(at, "must be a number, not %s", describe(node))
		return nil, at
	}
	number, err := parseDecimal(node.Value)
	if err != nil {
		m.refuse(at, "%s", err)
		return nil, at
	}
	return number, at
}

// duration is 0 if there is none, or none that can be read.
func (m *mapping) duration(key string) (time.Duration, Source, bool) {
	text, at := m.text(key, maxName)
	if text == "" {
		m.nonEmpty(key, at)
		return 0, at, false
	}
	value, err := ParseDuration(text)
	if err != nil {
		m.refuse(at, "%s", err)
		return 0, at, false
	}
	return value, at, true
}

func (m *mapping) child(key string) *mapping {
	node, at, ok := m.take(key)
	if !ok {
		return nil
	}
	return m.open(node, at, m.lined)
}

// list gives the elements of a sequence, each with its place.
func (m *mapping) list(key string) []element {
	node, at, ok := m.take(key)
	if !ok {
		return nil
	}
	if node.Kind != yaml.SequenceNode {
		m.refuse(at, "must be a list, not %s", describe(node))
		return nil
	}
	if len(node.Content) > maxList {
		m.refuse(at, "has more than %d elements", maxList)
		return nil
	}
	elements := make([]element, len(node.Content))
	for i, content := range node.Content {
		place := Source{File: at.File, Line: at.Line, Key: at.Key + "[" + strconv.Itoa(i) + "]"}
		if m.lined {
			place.Line = content.Line
		}
		elements[i] = element{node: resolve(content), at: place}
	}
	return elements
}

type element struct {
	node *yaml.Node
	at   Source
}

// resolve follows an alias. An alias to an alias does not exist in YAML, so that once is enough.
func resolve(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode && node.Alias != nil {
		return node.Alias
	}
	return node
}

func describe(node *yaml.Node) string {
	switch node.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.ScalarNode:
		if node.Tag == "!!null" {
			return "nothing"
		}
		return strconv.Quote(shorten(node.Value))
	default:
		return "nothing"
	}
}

// readable is a key that anybody may have written, as it is told.
func readable(key string) string {
	if key = shorten(key); checkName(key) != nil {
		return strconv.Quote(key)
	}
	return key
}

func shorten(text string) string {
	const longest = 60
	return cut(text, longest)
}

// cut keeps so many bytes of a text.
func cut(text string, longest int) string {
	if len(text) <= longest {
		return text
	}
	return strings.ToValidUTF8(text[:longest], "") + "…"
}
