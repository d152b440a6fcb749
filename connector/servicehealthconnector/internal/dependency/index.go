package dependency

import (
	"math/bits"
	"math/rand/v2"
)

// index finds the account of an edge by open addressing, with one miss of the processor's cache where a Go map has two or three. The
// hash is seeded: strangers choose who calls whom.
type index struct {
	seed  [2]uint64
	slots []slot
	size  int
}

// slot is empty if it has no account.
type slot struct {
	edge    uint64
	account *account
}

const leastSlots = 16

func newIndex() index {
	return index{seed: [2]uint64{rand.Uint64(), rand.Uint64()}, slots: make([]slot, leastSlots)}
}

func (x *index) home(edge uint64) uint64 {
	high, low := bits.Mul64(edge^x.seed[0], x.seed[1])
	return (high ^ low) & uint64(len(x.slots)-1)
}

func (x *index) next(at uint64) uint64 { return (at + 1) & uint64(len(x.slots)-1) }

// place is where an edge is, or, if it is not there, an empty slot.
func (x *index) place(edge uint64) uint64 {
	at := x.home(edge)
	for x.slots[at].account != nil && x.slots[at].edge != edge {
		at = x.next(at)
	}
	return at
}

func (x *index) get(edge uint64) *account { return x.slots[x.place(edge)].account }

// put adds the account of an edge that has none.
func (x *index) put(edge uint64, a *account) {
	if x.size++; 2*x.size > len(x.slots) {
		old := x.slots
		x.slots = make([]slot, 2*len(old))
		for _, s := range old {
			if s.account != nil {
				x.slots[x.place(s.edge)] = s
			}
		}
	}
	x.slots[x.place(edge)] = slot{edge, a}
}

// remove takes out an edge that is there. What stands behind it moves up, as far as that is nearer to where it belongs.
func (x *index) remove(edge uint64) {
	gap, mask := x.place(edge), uint64(len(x.slots)-1)
	for at := x.next(gap); x.slots[at].account != nil; at = x.next(at) {
		if (at-x.home(x.slots[at].edge))&mask >= (at-gap)&mask {
			x.slots[gap] = x.slots[at]
			gap = at
		}
	}
	x.slots[gap] = slot{}
	x.size--
}
