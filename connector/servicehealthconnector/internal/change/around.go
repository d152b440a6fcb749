package change

import (
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/dependency"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
)

// around knows whom a service calls and is called by, directly or through others, as of a tick. It looks only if it is asked.
type around struct {
	edges []dependency.Edge
	// callees and callers are nil until somebody asks.
	callees, callers map[uint32][]uint32
	// of are the services around those that were asked about.
	of map[uint32]map[uint32]bool
}

func newAround() around { return around{of: map[uint32]map[uint32]bool{}} }

// begin forgets what was found. The edges stay as they are until the next call.
func (a *around) begin(edges []dependency.Edge) {
	a.edges = edges
	a.callees, a.callers = nil, nil
	clear(a.of)
}

// has says whether a service is around another one.
func (a *around) has(service, other uint32) bool {
	if service <= names.Other {
		return false
	}
	found := a.of[service]
	if found == nil {
		a.link()
		found = map[uint32]bool{service: true}
		reach(service, a.callees, found)
		// Both ways begin at the service: who calls what it calls is not around it.
		callers := map[uint32]bool{service: true}
		reach(service, a.callers, callers)
		for caller := range callers {
			found[caller] = true
		}
		a.of[service] = found
	}
	return found[other]
}

func (a *around) link() {
	if a.callees != nil {
		return
	}
	a.callees, a.callers = map[uint32][]uint32{}, map[uint32][]uint32{}
	for _, e := range a.edges {
		if e.Caller > names.Other && e.Callee > names.Other {
			a.callees[e.Caller] = append(a.callees[e.Caller], e.Callee)
			a.callers[e.Callee] = append(a.callers[e.Callee], e.Caller)
		}
	}
}

// reach adds to found whatever can be reached.
func reach(from uint32, next map[uint32][]uint32, found map[uint32]bool) {
	for level := []uint32{from}; len(level) > 0; {
		var further []uint32
		for _, at := range level {
			for _, to := range next[at] {
				if !found[to] {
					found[to] = true
					further = append(further, to)
				}
			}
		}
		level = further
	}
}
