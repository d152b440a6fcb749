package diagnosis

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/evidence"
)

// All of many services deviate at once, as in the worst of outages.
func BenchmarkRankOfManyServices(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	var found []evidence.Finding
	var ways []evidence.Way
	const n = 500
	for s := range uint32(n) {
		found = append(found, evidence.Finding{Kind: evidence.Errors, Service: 10 + s, Weight: 10})
		for range 10 {
			ways = append(ways, evidence.Way{Edge: evidence.Edge{Caller: 10 + s, Callee: 10 + r.Uint32N(n)}})
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		Rank(found, ways, never, rests)
	}
}

// searched is the largest weight of any other that a search from an entity meets.
func searched(entity uint32, callees map[uint32][]uint32, nodes map[uint32]*node) float64 {
	seen := map[uint32]bool{entity: true}
	level := []uint32{entity}
	var most float64
	for len(level) > 0 {
		var next []uint32
		for _, at := range level {
			for _, callee := range callees[at] {
				if seen[callee] {
					continue
				}
				seen[callee] = true
				next = append(next, callee)
				if n := nodes[callee]; n != nil {
					most = max(most, n.weight())
				}
			}
		}
		level = next
	}
	return most
}

func TestBelowIsWhatASearchFromEachFinds(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		n := 2 + r.Uint32N(12)
		nodes, callees := map[uint32]*node{}, map[uint32][]uint32{}
		var edges []evidence.Way
		for range r.IntN(30) {
			caller, callee := 1+r.Uint32N(n), 1+r.Uint32N(n)
			edges = append(edges, evidence.Way{Edge: evidence.Edge{Caller: caller, Callee: callee}})
			callees[caller] = append(callees[caller], callee)
		}
		for e := range n {
			if r.IntN(2) == 0 {
				nodes[e+1] = &node{entity: e + 1, shape: evidence.Finding{Weight: float64(r.IntN(6))}}
			}
		}
		all := below(nodes, edges)
		for e := range n {
			assert.InDelta(t, searched(e+1, callees, nodes), all[e+1].most, 0)
		}
	}
}
