package store

import "unsafe"

const (
	// segmentLength makes a segment as large as a page.
	segmentLength = 511
	// segmentFull is when a segment splits: searches get long from there on.
	segmentFull = segmentLength * 5 / 8
	// segmentSparse is when two of them are as good as one, even if it grows again.
	segmentSparse = segmentFull / 4
	segmentBytes  = int64(unsafe.Sizeof(segment{}))
	// maxDepth leaves bits of the hash for the place in the segment.
	maxDepth = 20
	// maxEqual bounds how many links there are with one hash: a stranger can make as many traces as he likes end in the
	// same half.
	maxEqual = 64
)

// index finds links by hash. A link is a place plus one; zero is none. It grows by splitting one segment at a time
// (Fagin et al., Extendible Hashing, 1979), so that no growth takes long, and shrinks likewise. Hashes stand beside the
// links, so that nothing else is looked at before one is found.
type index struct {
	// directory has the segment for each value of the last bits of a hash.
	directory []*segment
	bytes     int64
}

// segment holds its links where their hashes want to be, or in the next free slots from there.
type segment struct {
	slots [segmentLength]slot
	used  uint32
	// depth is how many last bits all hashes in here have in common.
	depth uint32
}

type slot struct {
	hash, link uint32
}

func newIndex() index {
	x := index{directory: []*segment{new(segment)}}
	x.bytes = segmentBytes + int64(unsafe.Sizeof(x.directory[0]))
	return x
}

func (x *index) segment(hash uint32) *segment {
	return x.directory[hash&uint32(len(x.directory)-1)]
}

// at returns the first slot that can have the hash.
func (x *index) at(hash uint32) slot {
	return x.segment(hash).slots[home(hash)]
}

// add is false where there are too many of the hash.
func (x *index) add(hash, link uint32) bool {
	for x.segment(hash).used >= segmentFull {
		if x.segment(hash).depth == maxDepth {
			return false
		}
		x.split(hash)
	}
	return x.segment(hash).add(hash, link)
}

// remove takes out what is there.
func (x *index) remove(hash, link uint32) {
	s := x.segment(hash)
	s.remove(hash, link)
	if s.used <= segmentSparse && s.depth > 0 {
		x.merge(hash)
	}
}

// search goes through the slots of a hash.
func (x *index) search(hash uint32) search {
	return search{segment: x.segment(hash), hash: hash, place: home(hash)}
}

type search struct {
	segment     *segment
	hash, place uint32
}

// next is nil after the last slot.
func (s *search) next() *slot {
	for {
		found := &s.segment.slots[s.place]
		if found.link == 0 {
			return nil
		}
		s.place = after(s.place)
		if found.hash == s.hash {
			return found
		}
	}
}

func (x *index) split(hash uint32) {
	former := x.segment(hash)
	bit := uint32(1) << former.depth
	if int(bit) == len(x.directory) {
		x.bytes += int64(len(x.directory)) * int64(unsafe.Sizeof(x.directory[0]))
		x.directory = append(append(make([]*segment, 0, 2*len(x.directory)), x.directory...), x.directory...)
	}
	slots := former.slots
	*former = segment{depth: former.depth + 1}
	added := &segment{depth: former.depth}
	x.bytes += segmentBytes
	for i := hash&(bit-1) | bit; int(i) < len(x.directory); i += 2 * bit {
		x.directory[i] = added
	}
	for _, moved := range slots {
		if moved.link != 0 {
			x.segment(moved.hash).add(moved.hash, moved.link)
		}
	}
}

// merge undoes a split if the other half is sparse too.
func (x *index) merge(hash uint32) {
	s := x.segment(hash)
	bit := uint32(1) << (s.depth - 1)
	other := x.segment(hash ^ bit)
	if other.depth != s.depth || other.used > segmentSparse {
		return
	}
	for _, moved := range other.slots {
		if moved.link != 0 {
			s.add(moved.hash, moved.link)
		}
	}
	s.depth--
	for i := (hash ^ bit) & (2*bit - 1); int(i) < len(x.directory); i += 2 * bit {
		x.directory[i] = s
	}
	x.bytes -= segmentBytes
}

func (s *segment) add(hash, link uint32) bool {
	place, equal := home(hash), 0
	for ; s.slots[place].link != 0; place = after(place) {
		if s.slots[place].hash == hash {
			if equal++; equal == maxEqual {
				return false
			}
		}
	}
	s.slots[place] = slot{hash, link}
	s.used++
	return true
}

// remove closes the gap that it leaves, so that no search ends too early.
func (s *segment) remove(hash, link uint32) {
	gap := home(hash)
	for s.slots[gap].link != link {
		gap = after(gap)
	}
	for place := after(gap); s.slots[place].link != 0; place = after(place) {
		if distance(home(s.slots[place].hash), place) >= distance(gap, place) {
			s.slots[gap], gap = s.slots[place], place
		}
	}
	s.slots[gap] = slot{}
	s.used--
}

// home looks at the first bits of the hash, because those in a segment have the last ones in common.
func home(hash uint32) uint32 {
	return uint32(uint64(hash) * segmentLength >> 32)
}

func after(place uint32) uint32 {
	if place++; place == segmentLength {
		return 0
	}
	return place
}

func distance(from, to uint32) uint32 {
	if to < from {
		to += segmentLength
	}
	return to - from
}
