package hold

const (
	chunkBits = 12
	chunkSize = 1 << chunkBits
)

// slab hands out numbered places from 1 on. It grows by chunks, so that growth copies nothing and blocks nobody.
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

func (s *slab[T]) free(number uint32) {
	var zero T
	*s.at(number) = zero
	s.idle = append(s.idle, number)
}

// fifo is a queue over a ring that grows when it is full.
type fifo struct {
	ring []uint32
	head int
	size int
}

func (q *fifo) push(v uint32) {
	if q.size == len(q.ring) {
		grown := make([]uint32, max(16, 2*len(q.ring)))
		for i := range q.size {
			grown[i] = q.ring[(q.head+i)%len(q.ring)]
		}
		q.ring, q.head = grown, 0
	}
	q.ring[(q.head+q.size)%len(q.ring)] = v
	q.size++
}

func (q *fifo) peek() (uint32, bool) {
	if q.size == 0 {
		return 0, false
	}
	return q.ring[q.head], true
}

func (q *fifo) pop() {
	q.head = (q.head + 1) % len(q.ring)
	q.size--
}
