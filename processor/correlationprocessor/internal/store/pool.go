package store

import (
	"math/bits"
	"unsafe"
)

// groupLength is as many values as a word has bits.
const groupLength = 64

// pool keeps values of one kind, and gives the memory of what is removed back. A link is the place of a value plus one,
// where it stays.
type pool[T any] struct {
	groups []group[T]
	// Numbers of groups plus one: of the first with room for more values. Those without any are nil; vacant are their
	// numbers.
	open   uint32
	vacant []uint32
	// size is what a group takes.
	size, bytes int64
}

// group is a piece of a pool. Its neighbours are those in the list of open groups. Its values stand apart, so that those
// of a size that the allocator has are as large as they look.
type group[T any] struct {
	values         *[groupLength]T
	free           uint64
	next, previous uint32
}

func (p *pool[T]) at(link uint32) *T {
	return &p.groups[(link-1)/groupLength].values[(link-1)%groupLength]
}

// full says that add takes groupBytes.
func (p *pool[T]) full() bool {
	return p.open == 0
}

func (p *pool[T]) groupBytes() int64 {
	if p.size == 0 {
		p.size = allocated(int(unsafe.Sizeof([groupLength]T{})))
	}
	return p.size
}

// add returns a new zero value.
func (p *pool[T]) add() (uint32, *T) {
	if p.open == 0 {
		p.addGroup()
	}
	number := p.open
	g := &p.groups[number-1]
	place := bits.TrailingZeros64(g.free)
	g.free &^= 1 << place
	if g.free == 0 {
		p.unlink(number)
	}
	return (number-1)*groupLength + uint32(place) + 1, &g.values[place]
}

func (p *pool[T]) remove(link uint32) {
	*p.at(link) = *new(T)
	number := (link-1)/groupLength + 1
	g := &p.groups[number-1]
	if g.free == 0 {
		p.link(number)
	}
	g.free |= 1 << ((link - 1) % groupLength)
	// The last open group stays, or it would have to be made again for the next value.
	if g.free == ^uint64(0) && (p.open != number || g.next != 0) {
		p.unlink(number)
		p.groups[number-1] = group[T]{}
		before := cap(p.vacant)
		p.vacant = append(p.vacant, number)
		p.bytes += int64(cap(p.vacant)-before)*int64(unsafe.Sizeof(number)) - p.groupBytes()
	}
}

func (p *pool[T]) addGroup() {
	if len(p.vacant) == 0 {
		before := cap(p.groups)
		p.groups = append(p.groups, group[T]{})
		p.bytes += int64(cap(p.groups)-before) * int64(unsafe.Sizeof(p.groups[0]))
		p.vacant = append(p.vacant, uint32(len(p.groups)))
	}
	number := p.vacant[len(p.vacant)-1]
	p.vacant = p.vacant[:len(p.vacant)-1]
	p.groups[number-1] = group[T]{values: new([groupLength]T), free: ^uint64(0)}
	p.bytes += p.groupBytes()
	p.link(number)
}

func (p *pool[T]) link(number uint32) {
	g := &p.groups[number-1]
	g.next, g.previous = p.open, 0
	if p.open != 0 {
		p.groups[p.open-1].previous = number
	}
	p.open = number
}

func (p *pool[T]) unlink(number uint32) {
	g := &p.groups[number-1]
	if g.previous != 0 {
		p.groups[g.previous-1].next = g.next
	} else {
		p.open = g.next
	}
	if g.next != 0 {
		p.groups[g.next-1].previous = g.previous
	}
}

// allocated is how many bytes the allocator takes for so many.
func allocated(bytes int) int64 {
	return int64(cap(append([]byte(nil), make([]byte, bytes)...)))
}
