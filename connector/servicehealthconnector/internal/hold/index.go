package hold

import (
	"hash/maphash"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// index finds the entry of a trace by open addressing. A slot is small and holds a part of the hash, so that a look-up is
// one miss of the cache, and a deletion moves its neighbours without looking at their entries. The hash is seeded: trace IDs
// come from strangers.
type index struct {
	seed  maphash.Seed
	slots []slot
	size  int
}

type slot struct{ hash, entry uint32 }

const leastSlots = 64

func newIndex() index {
	return index{seed: maphash.MakeSeed(), slots: make([]slot, leastSlots)}
}

func (x *index) hash(id pcommon.TraceID) uint32 { return uint32(maphash.Bytes(x.seed, id[:])) }

// next is the slot to look at after another.
func (x *index) next(at uint32) uint32 { return (at + 1) & uint32(len(x.slots)-1) }

func (x *index) home(hash uint32) uint32 { return hash & uint32(len(x.slots)-1) }

// get returns the first entry of that hash for which is says that it is the one, or 0.
func (x *index) get(hash uint32, is func(entry uint32) bool) uint32 {
	for at := x.home(hash); x.slots[at].entry != 0; at = x.next(at) {
		if s := x.slots[at]; s.hash == hash && is(s.entry) {
			return s.entry
		}
	}
	return 0
}

// put adds an entry that is not there yet. entry is not 0.
func (x *index) put(hash, entry uint32) {
	if x.size++; 2*x.size > len(x.slots) {
		old := x.slots
		x.slots = make([]slot, 2*len(old))
		for _, s := range old {
			if s.entry != 0 {
				x.insert(s)
			}
		}
	}
	x.insert(slot{hash, entry})
}

func (x *index) insert(s slot) {
	at := x.home(s.hash)
	for x.slots[at].entry != 0 {
		at = x.next(at)
	}
	x.slots[at] = s
}

// remove takes out an entry that is there. What stands behind it moves up, as far as that is nearer to where it belongs.
func (x *index) remove(hash, entry uint32) {
	gap := x.home(hash)
	for x.slots[gap].entry != entry {
		gap = x.next(gap)
	}
	mask := uint32(len(x.slots) - 1)
	for at := x.next(gap); x.slots[at].entry != 0; at = x.next(at) {
		if (at-x.home(x.slots[at].hash))&mask >= (at-gap)&mask {
			x.slots[gap] = x.slots[at]
			gap = at
		}
	}
	x.slots[gap] = slot{}
	x.size--
}
