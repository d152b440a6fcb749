// Package dimension numbers what spans say of extra dimensions, attributes that somebody wants to see calls by, so that a held span
// needs one small number for all of them.
package dimension

import (
	"strconv"
	"strings"
	"sync"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
)

const (
	// Most is how many dimensions there may be.
	Most = 4
	// MaxValues bounds the values of one dimension that are told apart: all others are names.Overflow.
	MaxValues = 100
	// maxSets bounds the sets of values that are told apart. A number fits into 16 bits.
	maxSets = 1 << 16
)

// The numbers of the first sets.
const (
	// None is the set without any value.
	None uint16 = 0
	// Other has names.Overflow for each dimension: it stands for all sets beyond a bound.
	Other uint16 = 1
)

// set holds the number of each dimension's value: absent, other, or one more than its place among the values.
type set [Most]uint8

const (
	absent uint8 = iota
	other
	first
)

// Table numbers sets of values. A number never changes its meaning. It is safe for concurrent use.
type Table struct {
	names []string

	mu     sync.RWMutex
	known  [Most]map[string]uint8
	values [Most][]string
	// numbers has the number of each set, and sets their reverse.
	numbers map[set]uint16
	sets    []set
}

// New returns a table for up to Most attributes.
func New(attributes []string) *Table {
	t := &Table{names: attributes, numbers: map[set]uint16{}}
	var all set
	for i := range attributes {
		t.known[i] = map[string]uint8{names.Overflow: other}
		t.values[i] = []string{absent: "", other: names.Overflow}
		all[i] = other
	}
	t.number(set{})
	t.number(all)
	return t
}

// Names are the attributes.
func (t *Table) Names() []string { return t.names }

// Each calls f with each attribute that a set has, and its value.
func (t *Table) Each(number uint16, f func(name, value string)) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for i, value := range t.sets[number] {
		if value != absent {
			f(t.names[i], t.values[i][value])
		}
	}
}

// value numbers a text. Once there is no more room, it costs no memory, though a text that only looks like a known one once it is
// clean is not found then.
func (t *Table) value(i int, text string) uint8 {
	t.mu.RLock()
	number, ok := t.known[i][text]
	full := len(t.values[i]) >= MaxValues+int(first)
	t.mu.RUnlock()
	switch {
	case ok:
		return number
	case full:
		return other
	case names.Clean(text) == "":
		return absent
	}
	text = names.Clean(text)
	t.mu.Lock()
	defer t.mu.Unlock()
	if number, ok = t.known[i][text]; ok {
		return number
	}
	if len(t.values[i]) >= MaxValues+int(first) {
		return other
	}
	number = uint8(len(t.values[i]))
	t.values[i] = append(t.values[i], text)
	t.known[i][text] = number
	return number
}

func (t *Table) number(s set) uint16 {
	t.mu.Lock()
	defer t.mu.Unlock()
	number, ok := t.numbers[s]
	if !ok {
		if len(t.sets) >= maxSets {
			return Other
		}
		number = uint16(len(t.sets))
		t.sets = append(t.sets, s)
		t.numbers[s] = number
	}
	return number
}

// Reader reads sets from attributes. It remembers what it knows, so that the table is asked only for what is new. It is not safe for
// concurrent use.
type Reader struct {
	table *Table
	texts [Most]map[string]uint8
	whole [Most]map[int64]uint8
	sets  map[set]uint16
}

// NewReader returns a reader over a table.
func NewReader(t *Table) *Reader {
	r := &Reader{table: t, sets: map[set]uint16{}}
	for i := range t.names {
		r.texts[i], r.whole[i] = map[string]uint8{}, map[int64]uint8{}
	}
	return r
}

// Of returns the number of what a span says, and, where that says nothing, its resource. Only texts, whole numbers and truth values
// count: lists and maps have no one text that people would write.
func (r *Reader) Of(span, resource pcommon.Map) uint16 {
	var s set
	for i, name := range r.table.names {
		value, ok := span.Get(name)
		if !ok {
			if value, ok = resource.Get(name); !ok {
				continue
			}
		}
		switch value.Type() {
		case pcommon.ValueTypeStr:
			s[i] = r.text(i, value.Str())
		case pcommon.ValueTypeInt:
			s[i] = r.integer(i, value.Int())
		case pcommon.ValueTypeBool:
			s[i] = r.text(i, strconv.FormatBool(value.Bool()))
		default:
		}
	}
	if s == (set{}) {
		return None
	}
	number, ok := r.sets[s]
	if !ok {
		if number = r.table.number(s); number != Other {
			r.sets[s] = number
		}
	}
	return number
}

// text is the number of a text. Of those beyond the bound, which strangers may make without number, none is remembered.
func (r *Reader) text(i int, text string) uint8 {
	number, ok := r.texts[i][text]
	if !ok {
		if number = r.table.value(i, text); number >= first && len(text) <= maxRemembered {
			remember(r.texts[i], strings.Clone(text), number)
		}
	}
	return number
}

func (r *Reader) integer(i int, whole int64) uint8 {
	number, ok := r.whole[i][whole]
	if !ok {
		if number = r.table.value(i, strconv.FormatInt(whole, 10)); number >= first {
			remember(r.whole[i], whole, number)
		}
	}
	return number
}

// maxRemembered bounds the texts that a reader remembers, in bytes.
const maxRemembered = 256

func remember[K comparable](known map[K]uint8, value K, number uint8) {
	if len(known) >= 2*MaxValues {
		clear(known) // One value may be spelled in many ways.
	}
	known[value] = number
}
