package dependency

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/dimension"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/tracetest"
)

// counterKey tells a counter from an earlier one of the same series.
type counterKey struct {
	Key
	start int64
}

// stream counts calls of several callers to many peers, and flushes as an engine does.
type stream struct {
	random    *rand.Rand
	books     []*Book
	totals    *Totals
	admission *Admission
	activity  map[Edge]float64
	flushes   map[Edge]int
	now       int64
	counted   float64
	displaced int
	// told is the latest value of each counter.
	told map[counterKey]float64
	// edges are those of the latest flush.
	edges map[Edge]bool
	call  func(caller, peer int)
}

func newStream(seed uint64, most, mostOfCaller int, delta bool) *stream {
	table := names.New()
	tree := tracetest.Build(table, "a - front client 0-10 peer=p")
	calls := Calls(tree, table, nil)
	s := &stream{
		random: rand.New(rand.NewPCG(seed, 1)), totals: NewTotals(0, math.MaxInt64, delta), admission: NewAdmission(most, mostOfCaller),
		activity: map[Edge]float64{}, flushes: map[Edge]int{}, told: map[counterKey]float64{},
	}
	s.books = []*Book{NewBook(s.admission, nil), NewBook(s.admission, nil)}
	s.call = func(caller, peer int) {
		call := calls[0]
		call.Caller, call.Callee = uint32(2+caller), uint32(100+peer)
		s.books[s.random.IntN(2)].Count(tree, call)
		s.counted++
	}
	return s
}

func (s *stream) flush(count func()) {
	s.now += 10
	for _, b := range s.books {
		b.Recents(func(e Edge, r *Recent) { s.activity[e] += float64(r.Calls) })
		b.MoveTo(s.totals, s.now, 1e6)
		count() // What comes between two steps is lost no more than anything else.
	}
	s.edges = map[Edge]bool{}
	left := s.totals.Tell(s.now, func(k Key, series *Series) {
		at := counterKey{k, series.Start}
		if series.Calls < s.told[at] {
			panic("a counter went back")
		}
		s.told[at] = series.Calls
		s.edges[k.Edge] = true
	})
	for _, e := range left {
		s.admission.Dismiss(e)
		delete(s.activity, e)
		delete(s.flushes, e)
	}
	var quiet []Activity
	for e, calls := range s.activity {
		if s.flushes[e]++; s.flushes[e] > 4 {
			quiet = append(quiet, Activity{e, calls})
		}
		s.activity[e] = calls / 2
	}
	leaving := s.admission.Displace(quiet)
	s.displaced += len(leaving)
	s.totals.Retire(leaving)
	count()
	for _, b := range s.books {
		b.Forget(append(left, leaving...))
	}
}

func (s *stream) sum() (sum float64) {
	for _, calls := range s.told {
		sum += calls
	}
	return sum
}

func TestEachCallIsToldOnceWhateverLeaves(t *testing.T) {
	for _, delta := range []bool{false, true} {
		for seed := range uint64(4) {
			s := newStream(seed, 30, 12, delta)
			most := 30
			if seed > 0 {
				// Less than two flushes. Those that leave may be called once more before they are closed.
				s.totals.silence, most = 15, 2*most
			}
			for flush := range 60 {
				zipf := rand.NewZipf(s.random, 1.3, 1, 200)
				some := func() {
					for range 200 {
						// What is popular moves on.
						s.call(s.random.IntN(4), (int(zipf.Uint64())+flush/10*17)%200)
					}
				}
				some()
				s.flush(some)
				overflow := 0
				for e := range s.edges {
					if e.Callee == names.Other {
						overflow++
					}
				}
				assert.LessOrEqual(t, len(s.edges)-overflow, most)
				assert.LessOrEqual(t, len(s.admission.edges), 30)
			}
			for range 3 {
				s.flush(func() {})
			}
			assert.InDelta(t, s.counted, s.sum(), 1e-6)
			assert.Positive(t, s.displaced)
		}
	}
}

func TestTheBusiestFindRoom(t *testing.T) {
	s := newStream(1, 10, 10, false)
	for peer := range 10 {
		s.call(0, 100+peer) // They come first, and hardly ever again.
	}
	for range 20 {
		s.flush(func() {
			for peer := range 9 {
				for range 10 * (peer + 1) {
					s.call(0, peer)
				}
			}
			s.call(0, 200+s.random.IntN(1000))
		})
	}
	assert.LessOrEqual(t, s.displaced, 10)
	var busy int
	for e := range s.edges {
		if s.activity[e] > 20 {
			busy++
		}
	}
	assert.Equal(t, 9, busy)
}

func TestThoseAsBusyAsEachOtherDoNotTakeTurns(t *testing.T) {
	s := newStream(1, 10, 10, false)
	for range 50 {
		s.flush(func() {
			for range 1000 {
				s.call(0, s.random.IntN(20))
			}
		})
	}
	assert.Zero(t, s.displaced)
}

func TestACallerDisplacesOnlyItsOwnOnceItHasItsShare(t *testing.T) {
	s := newStream(1, 10, 2, false)
	for range 10 {
		s.flush(func() {
			s.call(1, 1)
			s.call(0, 2)
			s.call(0, 3)
			for range 100 {
				s.call(0, 4)
			}
		})
	}
	callers := map[uint32]int{}
	for e := range s.edges {
		if e.Callee != names.Other {
			callers[e.Caller]++
		}
	}
	assert.Equal(t, 1, s.displaced)
	assert.ElementsMatch(t, []int{1, 2}, slices.Collect(maps.Values(callers)))
}

// The bounds of the algorithm: no count is off by more than one in so many of all, and who has more than that is known.
func TestASummaryKnowsTheBusiest(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	zipf := rand.NewZipf(random, 1.1, 1, 5000)
	s, counts := newSummary(100), map[Edge]uint64{}
	const n = 50_000
	for range n {
		e := Edge{Caller: 2, Callee: uint32(zipf.Uint64()) + 2}
		counts[e]++
		s.add(e)
	}
	assert.Len(t, s.counters, 100)
	assert.Len(t, s.known, 100)
	for e, count := range counts {
		c := s.known[e.number()]
		if c == nil {
			assert.LessOrEqual(t, count, uint64(n/100))
			continue
		}
		assert.LessOrEqual(t, c.count-c.over, count)
		assert.GreaterOrEqual(t, c.count, count)
		assert.LessOrEqual(t, c.over, uint64(n/100))
	}
	busiest := s.busiest(10)
	for i := range busiest[1:] {
		assert.GreaterOrEqual(t, busiest[i].Calls, busiest[i+1].Calls)
	}
	s.remove(busiest[0].Edge)
	s.halve()
	assert.Len(t, s.known, 99)
	assert.NotEqual(t, busiest[0].Edge, s.busiest(1)[0].Edge)
	for i, c := range s.counters {
		assert.Equal(t, i, c.place)
		assert.Same(t, c, s.known[c.edge.number()])
	}
}

// Beyond the bounds, sets of dimensions are counted as others, and every call is.
func TestSetsOfDimensionsAreBounded(t *testing.T) {
	table := names.New()
	tree := tracetest.Build(table, "a - front client 0-10 peer=p")
	call := Calls(tree, table, nil)[0]
	book := NewBook(NewAdmission(100, 100), nil)
	for i := range 100 * maxSets {
		tree.Spans[0].Dimensions = dimension.Other + 1 + uint16(i%1000)
		call.Callee = tracetest.Peer(table, fmt.Sprint("p", i%2))
		book.Count(tree, call)
	}
	sum, sets, others := 0.0, 0, 0
	for key, s := range told(book) {
		sum += s.Calls
		if sets++; key.Sets == (Sets{Caller: dimension.Other}) {
			others++
		}
	}
	assert.InDelta(t, 100*maxSets, sum, 1e-9)
	assert.Equal(t, 2, others)
	assert.Equal(t, 100+2, sets, "as many as edges in all, and one more for each edge")
}

func BenchmarkRefused(b *testing.B) {
	s := newStream(1, 1, 1, false)
	s.call(0, 0)
	table := names.New()
	tree := tracetest.Build(table, "a - front client 0-10 peer=p")
	call := Calls(tree, table, nil)[0]
	b.ReportAllocs()
	i := uint32(0)
	for b.Loop() {
		i++
		call.Callee = 2 + i%5000
		s.books[0].Count(tree, call)
	}
}

// BenchmarkDimensions counts calls that have dimensions.
func BenchmarkDimensions(b *testing.B) {
	table := names.New()
	tree := tracetest.Build(table, "a - front client 0-10 peer=p")
	call := Calls(tree, table, nil)[0]
	book := NewBook(NewAdmission(100, 100), nil)
	b.ReportAllocs()
	i := uint16(0)
	for b.Loop() {
		i++
		tree.Spans[0].Dimensions = i % 10
		book.Count(tree, call)
	}
}
