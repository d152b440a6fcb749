package hold

const (
	chunkBits = 12
	chunkSize = 1 << chunkBits
)

// slab hands out numbered places from 1 on. It grows by chunks, so that growth copies nothing and blocks nobody. What a place
// held stays in it until it is given out again, and then is overwritten.
type slab[T any] struct {
	chunks [][]T
	used   uint32
	idle   []uint32
}

func (s *slab[T]) take() uint32 {
	if n := len(s.idle); n > 0 {
		number := s.idle[n-1]
		s.idle = s.idle[:n-1]
		return number
	}
	s.used++
	if int(s.used>>chunkBits) >= len(s.chunks) {
		s.chunks = append(s.chunks, make([]T, chunkSize))
	}
	return s.used
}

func (s *slab[T]) at(number uint32) *T {
	return &s.chunks[number>>chunkBits][number&(chunkSize-1)]
}

func (s *slab[T]) free(number uint32) { s.idle = append(s.idle, number) }

// fifo is a queue over a ring that grows when it is full. Its length is a power of two.
type fifo struct {
	ring []uint32
	head int
	size int
}

func (q *fifo) push(v uint32) {
	if q.size == len(q.ring) {
		grown := make([]uint32, max(16, 2*len(q.ring)))
		n := copy(grown, q.ring[q.head:])
		copy(grown[n:], q.ring[:q.head])
		q.ring, q.head = grown, 0
	}
	q.ring[(q.head+q.size)&(len(q.ring)-1)] = v
	q.size++
}

func (q *fifo) peek() (uint32, bool) {
	if q.size == 0 {
		return 0, false
	}
	return q.ring[q.head], true
}

func (q *fifo) pop() {
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.size--
}
