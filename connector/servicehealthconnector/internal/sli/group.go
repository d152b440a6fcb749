package sli

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/openslo"
)

const (
	// MaxGroups is how many groups of one objective are kept apart. The items of all others count in [OverflowGroup].
	MaxGroups = 1000
	// OverflowGroup has the value [OverflowValue] for each attribute.
	OverflowGroup = 1
	// OverflowValue is not to be had as an ordinary value: items that have it of their own belong to the overflow too.
	OverflowValue = "other"
	// MaxGroupValue is how many bytes of an attribute's value tell one group from another.
	MaxGroupValue = 256
)

// firstGroup is the number of the first group that has values of its own.
const firstGroup = OverflowGroup + 1

// key is what items of a group have in common. It is comparable, so that looking for a group needs no memory.
type key struct {
	texts [openslo.MaxGroupBy]string
	// whole are attributes that are whole numbers. They are not made texts before their group is found to be new.
	whole   [openslo.MaxGroupBy]int64
	isWhole [openslo.MaxGroupBy]bool
}

func (k *key) hasWhole() bool { return k.isWhole != [openslo.MaxGroupBy]bool{} }

// read makes a value of a stranger harmless: it becomes an attribute of metrics and a part of events and pages.
func (k *key) read(i int, value pcommon.Value) {
	switch value.Type() {
	case pcommon.ValueTypeStr:
		k.texts[i] = clean(value.Str())
	case pcommon.ValueTypeInt:
		k.whole[i], k.isWhole[i] = value.Int(), true
	case pcommon.ValueTypeBool:
		k.texts[i] = strconv.FormatBool(value.Bool())
	case pcommon.ValueTypeDouble:
		k.texts[i] = value.AsString()
	default:
		// Lists, maps and bytes have no one text that people would write; such an attribute tells no groups apart.
	}
}

// own is the key with texts only, and with texts of its own: an attribute's may share its memory with the whole batch.
func (k *key) own() key {
	var own key
	for i, text := range k.texts {
		if k.isWhole[i] {
			text = strconv.FormatInt(k.whole[i], 10)
		}
		own.texts[i] = strings.Clone(text)
	}
	return own
}

// groups numbers the groups of one objective in the order in which they were first seen.
type groups struct {
	by       []string
	overflow []string

	mu sync.RWMutex
	// known has an entry for each text and each number that were seen, and two keys may be one group: "200" and 200.
	known map[key]uint32
	all   [][]string
}

func newGroups(by []string) *groups {
	g := &groups{by: by, known: map[key]uint32{}, overflow: make([]string, len(by))}
	var k key
	for i := range g.overflow {
		g.overflow[i] = OverflowValue
		k.texts[i] = OverflowValue
	}
	g.known[k] = OverflowGroup
	return g
}

// of is the number of the group that the attributes belong to. The span's own attributes go before those of its resource.
func (g *groups) of(span, resource pcommon.Map) uint32 {
	var k key
	for i, name := range g.by {
		value, ok := span.Get(name)
		if !ok {
			value, ok = resource.Get(name)
		}
		if ok {
			k.read(i, value)
		}
	}
	g.mu.RLock()
	number, ok := g.known[k]
	full := len(g.all) >= MaxGroups
	g.mu.RUnlock()
	switch {
	case ok:
		return number
	case full && !k.hasWhole():
		return OverflowGroup
	default:
		return g.add(k)
	}
}

// add gives a group that was not known by this key its number.
func (g *groups) add(k key) uint32 {
	own := k.own()
	g.mu.Lock()
	defer g.mu.Unlock()
	number, ok := g.known[own]
	if !ok {
		if len(g.all) >= MaxGroups {
			return OverflowGroup
		}
		number = uint32(len(g.all)) + firstGroup // at most MaxGroups
		g.all = append(g.all, slices.Clone(own.texts[:len(g.by)]))
		g.known[own] = number
	}
	// Other spellings of groups are bounded too; those beyond only take longer to find.
	if k.hasWhole() && len(g.known) < 2*MaxGroups {
		for i := range k.texts {
			if !k.isWhole[i] {
				k.texts[i] = own.texts[i]
			}
		}
		g.known[k] = number
	}
	return number
}

// number is that of the group with these values, if there is room for it.
func (g *groups) number(values []string) (uint32, bool) {
	if len(values) != len(g.by) {
		return 0, false
	}
	if len(values) == 0 {
		return 0, true
	}
	var k key
	for i, value := range values {
		k.texts[i] = clean(value)
	}
	g.mu.RLock()
	number, ok := g.known[k]
	g.mu.RUnlock()
	if !ok {
		number = g.add(k)
	}
	return number, ok || number != OverflowGroup
}

// values of a group. Nil if there is no such group.
func (g *groups) values(number uint32) []string {
	switch {
	case len(g.by) == 0:
		return nil
	case number == OverflowGroup:
		return g.overflow
	case number < firstGroup:
		return nil
	}
	g.mu.RLock()
	defer g.mu.RUnlock()
	if at := int(number - firstGroup); at < len(g.all) {
		return g.all[at]
	}
	return nil
}

// clean is the text itself, without an allocation, if nothing is wrong with it.
func clean(value string) string {
	if len(value) <= MaxGroupValue && harmless(value) {
		return value
	}
	value = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '_'
		}
		return r
	}, value[:min(len(value), 4*MaxGroupValue)])
	for len(value) > MaxGroupValue {
		_, size := utf8.DecodeLastRuneInString(value)
		value = value[:len(value)-size]
	}
	return value
}

func harmless(value string) bool {
	plain := true
	for i := range len(value) {
		plain = plain && value[i] >= ' ' && value[i] <= '~'
	}
	if plain {
		return true
	}
	for _, r := range value {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}
