package dependency

import (
	"cmp"
	"container/heap"
	"slices"
)

// mostWaiting is how many of the edges that found no room are counted one by one: whoever has more than one in so many of all their
// calls is among them.
const mostWaiting = maxDisplaced

// summary finds the busiest of more edges than it has room for: the algorithm Space-Saving, by which a newcomer takes the place and
// the count of the one with the least. A. Metwally, D. Agrawal and A. El Abbadi, Efficient computation of frequent and top-k
// elements in data streams, ICDT (2005).
type summary struct {
	// counters are a heap with the least count first, known the same by their edges' numbers.
	counters []*counter
	known    map[uint64]*counter
	most     int
}

// counter is how often an edge was seen since it took its place, and how often another one may have been before.
type counter struct {
	edge        Edge
	count, over uint64
	place       int
}

func newSummary(most int) summary { return summary{known: map[uint64]*counter{}, most: most} }

func (s *summary) add(e Edge) {
	c := s.known[e.number()]
	switch {
	case c != nil:
		c.count++
	case len(s.counters) < s.most:
		heap.Push((*byCount)(s), &counter{edge: e, count: 1})
		return
	default:
		c = s.counters[0]
		delete(s.known, c.edge.number())
		c.edge, c.over = e, c.count
		c.count++
		s.known[e.number()] = c
	}
	heap.Fix((*byCount)(s), c.place)
}

// busiest returns up to most edges with the number of calls that each has had at the least, the busiest first.
func (s *summary) busiest(most int) []Activity {
	all := make([]Activity, 0, len(s.counters))
	for _, c := range s.counters {
		all = append(all, Activity{c.edge, float64(c.count - c.over)})
	}
	slices.SortFunc(all, func(x, y Activity) int {
		return cmp.Or(cmp.Compare(y.Calls, x.Calls), cmp.Compare(x.number(), y.number()))
	})
	return all[:min(most, len(all))]
}

func (s *summary) remove(e Edge) {
	if c := s.known[e.number()]; c != nil {
		heap.Remove((*byCount)(s), c.place)
	}
}

// halve makes calls count half, so that what was busy long ago makes room.
func (s *summary) halve() {
	for _, c := range s.counters {
		c.count /= 2 // Which keeps their order.
		c.over /= 2
	}
}

// byCount is a summary as a heap.
type byCount summary

func (s *byCount) Len() int           { return len(s.counters) }
func (s *byCount) Less(i, j int) bool { return s.counters[i].count < s.counters[j].count }

func (s *byCount) Swap(i, j int) {
	s.counters[i], s.counters[j] = s.counters[j], s.counters[i]
	s.counters[i].place, s.counters[j].place = i, j
}

func (s *byCount) Push(added any) {
	c, _ := added.(*counter)
	c.place = len(s.counters)
	s.known[c.edge.number()] = c
	s.counters = append(s.counters, c)
}

func (s *byCount) Pop() any {
	last := s.counters[len(s.counters)-1]
	s.counters = s.counters[:len(s.counters)-1]
	delete(s.known, last.edge.number())
	return last
}
