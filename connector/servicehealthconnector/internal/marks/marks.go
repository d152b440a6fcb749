// Package marks numbers what objectives say of spans, so that a held span needs one number for it: most spans of a service are
// the same events of the same objectives.
package marks

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/sli"
)

// Mark says that a span is an event of an objective.
type Mark struct {
	Objective, Group uint32
	Good             bool
}

// Set is all that objectives say of one span.
type Set struct {
	Marks []Mark
	// Good says that none of them is bad.
	Good bool
}

const (
	// None is the number of the empty set, and of all sets beyond the last bound.
	None uint32 = 0
	// mostGrouped bounds the sets that tell all groups apart. What goes beyond counts in the overflow groups of its objectives with
	// the most groups: in that of the first, and for each step of further sets, in that of one more, so that whose groups are few
	// keeps them apart.
	mostGrouped = 1 << 18
	step        = mostGrouped / 4
	// most bounds the sets in all. The last step is for those that tell no groups apart.
	most = 2 * mostGrouped
)

// Table numbers sets. A number never changes its meaning. It is safe for concurrent use.
type Table struct {
	mu      sync.Mutex
	numbers map[uint64][]uint32
	// widest is the largest group of each objective in any set.
	widest map[uint32]uint32
	sets   atomic.Pointer[[]Set]
}

// New returns a table that holds the empty set only.
func New() *Table {
	t := &Table{numbers: map[uint64][]uint32{}, widest: map[uint32]uint32{}}
	t.sets.Store(&[]Set{{Good: true}})
	return t
}

// Of returns the set with this number. It must not be changed.
func (t *Table) Of(number uint32) *Set { return &(*t.sets.Load())[number] }

// Number returns the number of a set, which it copies. It is false where there is no more room for one: such a span counts
// toward no objective.
func (t *Table) Number(marks []Mark) (uint32, bool) {
	if len(marks) == 0 {
		return None, true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	sets := *t.sets.Load()
	if number, ok := t.find(sets, marks); ok {
		return number, true
	}
	own := slices.Clone(marks)
	for room := mostGrouped; len(sets) >= room; room = min(room+step, most-step) {
		if !t.merge(own) {
			if len(sets) >= most {
				return None, false
			}
			break
		}
		if number, ok := t.find(sets, own); ok {
			return number, true
		}
	}
	number := uint32(len(sets))
	set := Set{Marks: own, Good: !slices.ContainsFunc(own, func(m Mark) bool { return !m.Good })}
	// Whoever looks at the former list does not see behind its end.
	sets = append(sets, set)
	t.sets.Store(&sets)
	hash := hashOf(own)
	t.numbers[hash] = append(t.numbers[hash], number)
	for _, m := range own {
		t.widest[m.Objective] = max(t.widest[m.Objective], m.Group)
	}
	return number, true
}

// merge moves the mark whose objective has the most groups to the overflow group. It is false if no mark has a group of its own.
func (t *Table) merge(marks []Mark) bool {
	var widest *Mark
	for i := range marks {
		m := &marks[i]
		if m.Group > sli.OverflowGroup && (widest == nil || t.widest[m.Objective] > t.widest[widest.Objective]) {
			widest = m
		}
	}
	if widest == nil {
		return false
	}
	widest.Group = sli.OverflowGroup
	return true
}

func (t *Table) find(sets []Set, marks []Mark) (uint32, bool) {
	for _, number := range t.numbers[hashOf(marks)] {
		if slices.Equal(sets[number].Marks, marks) {
			return number, true
		}
	}
	return None, false
}

// hashOf needs no seed: no stranger chooses the numbers of objectives and groups.
func hashOf(marks []Mark) uint64 {
	hash := uint64(len(marks))
	for _, m := range marks {
		word := uint64(m.Objective)<<33 | uint64(m.Group)<<1
		if m.Good {
			word |= 1
		}
		hash = (hash ^ word) * 0x9E3779B97F4A7C15
		hash ^= hash >> 29
	}
	return hash
}

// Cache remembers numbers, so that the table is asked only for new ones. It is not safe for concurrent use.
type Cache struct {
	table   *Table
	entries [cacheSize]entry
}

const cacheSize = 512

type entry struct {
	hash   uint64
	number uint32
}

// NewCache returns a cache of a table.
func NewCache(table *Table) *Cache { return &Cache{table: table} }

// Number is that of the table.
func (c *Cache) Number(marks []Mark) (uint32, bool) {
	if len(marks) == 0 {
		return None, true
	}
	hash := hashOf(marks)
	e := &c.entries[hash%cacheSize]
	if e.number != None && e.hash == hash && slices.Equal(c.table.Of(e.number).Marks, marks) {
		return e.number, true
	}
	number, ok := c.table.Number(marks)
	*e = entry{hash, number}
	return number, ok
}
