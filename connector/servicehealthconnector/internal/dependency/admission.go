package dependency

import (
	"cmp"
	"slices"
	"sync"
)

const (
	// maxErrorTypes bounds the kinds of failure of one edge that are told apart.
	maxErrorTypes = 16
	// maxSets bounds the sets of values of the extra dimensions that are told apart along one edge.
	maxSets = 64
	// maxDisplaced bounds the edges that are displaced at a time.
	maxDisplaced = 256
	// displaces is how many times as busy a newcomer has to be as the edge that it displaces, and ahead by how many calls, so that
	// two that are about as busy do not take turns.
	displaces, ahead = 2, 10
)

// Admission decides which edges, kinds of their failures and sets of dimensions are told apart. All books of an engine share it;
// it is safe for concurrent use.
type Admission struct {
	mu       sync.Mutex
	edges    map[Edge]*room
	ofCaller map[uint32]int
	most     int
	// mostOfCaller bounds the edges of one caller, so that none takes the room of the others.
	mostOfCaller int
	// sets is the number of sets of dimensions along all edges, which most bounds, too.
	sets    int
	fresh   []Edge
	refused uint64
	// waiting are the busiest of those that found no room, but for those that are coming, in the place of others.
	waiting summary
	coming  map[Edge]bool
}

// room is what an admitted edge has.
type room struct {
	errors []uint16
	sets   []Sets
	// leaving says that it is being displaced by a newcomer.
	leaving  bool
	newcomer Edge
}

// NewAdmission returns an admission of at most the given number of edges, in all and for each caller.
func NewAdmission(most, mostOfCaller int) *Admission {
	return &Admission{
		edges: map[Edge]*room{}, ofCaller: map[uint32]int{}, most: most, mostOfCaller: mostOfCaller,
		waiting: newSummary(mostWaiting), coming: map[Edge]bool{},
	}
}

func (a *Admission) admit(e Edge) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r, ok := a.edges[e]; ok {
		if r.leaving {
			a.refused++
		}
		return !r.leaving
	}
	if a.add(e) {
		return true
	}
	if a.refused++; !a.coming[e] {
		a.waiting.add(e)
	}
	return false
}

// add admits a new edge if there is room. a is locked.
func (a *Admission) add(e Edge) bool {
	if a.edges[e] != nil || len(a.edges) >= a.most || a.ofCaller[e.Caller] >= a.mostOfCaller {
		return false
	}
	a.edges[e] = &room{}
	a.ofCaller[e.Caller]++
	a.fresh = append(a.fresh, e)
	a.waiting.remove(e)
	return true
}

func (a *Admission) admitError(e Edge, errorType uint16) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.edges[e]
	switch {
	case r == nil:
		return false
	case slices.Contains(r.errors, errorType):
		return true
	case len(r.errors) == maxErrorTypes:
		return false
	}
	r.errors = append(r.errors, errorType)
	return true
}

func (a *Admission) admitSets(e Edge, sets Sets) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.edges[e]
	switch {
	case r == nil:
		return false
	case slices.Contains(r.sets, sets):
		return true
	case len(r.sets) == maxSets || a.sets >= a.most:
		return false
	}
	r.sets = append(r.sets, sets)
	a.sets++
	return true
}

// Dismiss gives back the room of an edge, to the newcomer that displaces it if there is one.
func (a *Admission) Dismiss(e Edge) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r, ok := a.edges[e]
	if !ok {
		return
	}
	delete(a.edges, e)
	a.sets -= len(r.sets)
	if a.ofCaller[e.Caller]--; a.ofCaller[e.Caller] == 0 {
		delete(a.ofCaller, e.Caller)
	}
	if r.leaving {
		delete(a.coming, r.newcomer)
		a.add(r.newcomer)
	}
}

// Activity is how many calls along an edge were seen of late.
type Activity struct {
	Edge
	Calls float64
}

// Displace chooses the edges that are to leave because others, which find no room, are much busier. admitted are those that may be
// displaced. Calls of both count half after each call of Displace. From now on the calls of those that leave count toward
// names.Other, and their room is kept for the newcomer until they are dismissed: what was counted along them is to be told first.
func (a *Admission) Displace(admitted []Activity) (leaving []Edge) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.waiting.counters) == 0 {
		return nil
	}
	slices.SortFunc(admitted, func(x, y Activity) int {
		return cmp.Or(cmp.Compare(x.Calls, y.Calls), cmp.Compare(x.number(), y.number()))
	})
	ofCaller := map[uint32][]Activity{}
	for _, x := range admitted {
		ofCaller[x.Caller] = append(ofCaller[x.Caller], x)
	}
	for _, w := range a.waiting.busiest(maxDisplaced) {
		from := admitted
		if a.ofCaller[w.Caller] >= a.mostOfCaller {
			from = ofCaller[w.Caller]
		}
		at := slices.IndexFunc(from, func(x Activity) bool { r := a.edges[x.Edge]; return r != nil && !r.leaving })
		if at < 0 || w.Calls < displaces*from[at].Calls+ahead {
			continue
		}
		r := a.edges[from[at].Edge]
		r.leaving, r.newcomer = true, w.Edge
		leaving = append(leaving, from[at].Edge)
		a.waiting.remove(w.Edge)
		a.coming[w.Edge] = true
	}
	a.waiting.halve()
	return leaving
}

// Fresh returns the edges that were admitted since the last call of Fresh.
func (a *Admission) Fresh() []Edge {
	a.mu.Lock()
	defer a.mu.Unlock()
	fresh := a.fresh
	a.fresh = nil
	return fresh
}

// Refused is the number of calls along edges that found no room.
func (a *Admission) Refused() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.refused
}
