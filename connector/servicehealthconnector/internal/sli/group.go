package sli

import (
	"slices"
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

// key is a group's values. It is comparable, so that looking for a group needs no memory.
type key [openslo.MaxGroupBy]string

// groups numbers the groups of one objective in the order in which they were first seen.
type groups struct {
	by       []string
	overflow []string

	mu    sync.RWMutex
	known map[key]uint32
	all   [][]string
}

func newGroups(by []string) *groups {
	g := &groups{by: by, known: map[key]uint32{}, overflow: make([]string, len(by))}
	for i := range g.overflow {
		g.overflow[i] = OverflowValue
	}
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
			k[i] = text(value)
		}
	}
	g.mu.RLock()
	number, ok := g.known[k]
	full := len(g.all) >= MaxGroups
	g.mu.RUnlock()
	switch {
	case ok:
		return number
	case full:
		return OverflowGroup
	default:
		return g.add(k)
	}
}

func (g *groups) add(k key) uint32 {
	values := make([]string, len(g.by))
	for i := range values {
		// The attribute's text may share its memory with the whole batch that it came in.
		values[i] = strings.Clone(k[i])
		k[i] = values[i]
	}
	if slices.Equal(values, g.overflow) {
		return OverflowGroup
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if number, ok := g.known[k]; ok {
		return number
	}
	if len(g.all) >= MaxGroups {
		return OverflowGroup
	}
	number := uint32(len(g.all)) + firstGroup //nolint:gosec // at most MaxGroups
	g.all = append(g.all, values)
	g.known[k] = number
	return number
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

// text makes a value of a stranger harmless: it becomes an attribute of metrics and a part of events and pages.
func text(value pcommon.Value) string {
	switch value.Type() {
	case pcommon.ValueTypeStr:
		return clean(value.Str())
	case pcommon.ValueTypeInt, pcommon.ValueTypeBool, pcommon.ValueTypeDouble:
		return value.AsString()
	default:
		// Lists, maps and bytes have no one text that people would write; such an attribute tells no groups apart.
		return ""
	}
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
	for _, r := range value {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}
