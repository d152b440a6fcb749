// Package diagnosis makes one ranking of suspects out of all evidence, and decides when there is something to say.
// It is pure: it gets findings, who calls whom, and the time.
//
// docs/diagnosis.md has the formulae and where they come from.
package diagnosis

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/evidence"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/gauge"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
)

const (
	// certain is the weight in nats at which a deviation is beyond doubt: more adds nothing.
	certain = 30.0
	// byCaller is how much less it is the caller's way than the callee's, all else being equal: who is called has the queue.
	byCaller = 0.9
	// byChange is what speaks in nats against who changed just before: seven of ten outages are due to a change (B. Beyer et al., Site
	// Reliability Engineering, 2016, chapter 1).
	byChange = 0.85
	// byStrain is the most in nats that what is measured of where a service runs says against it: who works harder may be whom the
	// trouble of others gives more work.
	byStrain = 1.5
)

// Suspect is a service or peer in which trouble may have begun.
type Suspect struct {
	Entity uint32
	// Score is from 0 to 1.
	Score float64
	// Weight is what speaks against it in nats, without what it suffers from others.
	Weight float64
	// Finding is what speaks most against it.
	Finding evidence.Finding
	// Gap says that it is not the service but the way to it or from it.
	Gap bool
	// Since is when the first deviation began, in nanoseconds since the epoch.
	Since int64
	// Strain is what stands out of where it runs, if anything does.
	Strain gauge.Strain
}

// node is what speaks against one service.
type node struct {
	entity uint32
	// shape is the heaviest finding about what it does, latency the heaviest about how long it takes.
	shape, latency, gap evidence.Finding
	// own is the time beyond the usual one in its own work.
	own     float64
	in, out side
	since   int64
}

// side is one side of a node: the calls to it, or those that it makes.
type side struct {
	// excess is the time beyond the usual one that is lost there, weight what speaks for that in nats.
	excess, weight float64
	// deviating are the edges with a gap, of all that were compared.
	deviating, edges int
}

// covered is the share of the edges of a side that have a gap: where the node's own way is slow, all have.
func (s *side) covered() float64 {
	if s.deviating == 0 {
		return 0
	}
	return min(1, float64(s.deviating)/float64(max(1, s.edges)))
}

func (n *node) latencyWeight() float64 {
	return max(n.latency.Weight, n.in.weight*n.in.covered(), n.out.weight*n.out.covered()*byCaller)
}

// weight is the largest that speaks against a node.
func (n *node) weight() float64 { return max(n.shape.Weight, n.latencyWeight()) }

// lost is the time for which a node answers.
func (n *node) lost() float64 {
	return n.own + n.ways()
}

func (n *node) ways() float64 {
	return n.in.covered()*n.in.excess + byCaller*n.out.covered()*n.out.excess
}

// Rank returns the suspects, the likeliest first, and the largest weight of any finding. changed says whether a service changed shortly
// before a time, strain what stands out of where it runs. Neither of these makes a suspect.
func Rank(
	found []evidence.Finding, edges []evidence.Way,
	changed func(service uint32, before int64) bool, strain func(service uint32) (gauge.Strain, bool),
) (suspects []Suspect, most float64) {
	nodes := map[uint32]*node{}
	at := func(entity uint32) *node {
		n := nodes[entity]
		if n == nil {
			n = &node{entity: entity, since: math.MaxInt64}
			nodes[entity] = n
		}
		return n
	}
	gaps := map[evidence.Edge]gap{}
	for i := range found {
		f := found[i]
		f.Weight = min(f.Weight, certain)
		most = max(most, f.Weight)
		switch f.Kind {
		case evidence.Gap:
			e := evidence.Edge{Caller: f.Service, Callee: f.Callee}
			g := gaps[e]
			gaps[e] = gap{g.excess + f.Excess*f.Weight, max(g.weight, f.Weight)}
			for _, end := range []uint32{f.Service, f.Callee} {
				n := at(end)
				if f.Weight > n.gap.Weight {
					n.gap = f
				}
				n.since = min(n.since, f.Since)
			}
		case evidence.Slow:
			n := at(f.Service)
			n.own += f.Excess * f.Weight
			if f.Weight > n.latency.Weight {
				n.latency = f
			}
			n.since = min(n.since, f.Since)
		default:
			n := at(f.Service)
			if f.Weight > n.shape.Weight {
				n.shape = f
			}
			n.since = min(n.since, f.Since)
		}
	}
	// In an order of their own, sums are the same to the last bit whenever a stream is replayed.
	entities := slices.Sorted(maps.Keys(nodes))
	var total float64
	for _, entity := range entities {
		total += nodes[entity].own
	}
	for _, e := range slices.SortedFunc(maps.Keys(gaps), evidence.Edge.Compare) {
		g := gaps[e]
		total += g.excess
		nodes[e.Caller].out.deviate(g)
		nodes[e.Callee].in.deviate(g)
	}
	for _, e := range edges {
		if !e.Compared {
			continue
		}
		if n := nodes[e.Caller]; n != nil {
			n.out.edges++
		}
		if n := nodes[e.Callee]; n != nil {
			n.in.edges++
		}
	}
	others := below(nodes, edges)
	for _, entity := range entities {
		n := nodes[entity]
		most = max(most, n.latencyWeight())
		s := n.suspect(total, others[n.entity].most)
		if s.Weight > 0 {
			if changed(s.Entity, s.Since) {
				s.Weight = min(certain, s.Weight+byChange)
			}
			if strained, ok := strain(s.Entity); ok {
				s.Strain = strained
				s.Weight = min(certain, s.Weight+min(byStrain, strained.Weight))
			}
			suspects = append(suspects, s)
		}
	}
	slices.SortFunc(suspects, func(a, b Suspect) int {
		return cmp.Or(cmp.Compare(b.Weight, a.Weight), cmp.Compare(a.Since, b.Since), cmp.Compare(a.Entity, b.Entity))
	})
	for i := range suspects {
		suspects[i].Score = suspects[i].Weight / certain
	}
	return suspects, most
}

// gap is the time that is lost between two services.
type gap struct{ excess, weight float64 }

// deviate adds an edge with a gap. Those of several edges come from different calls, so that they are witnesses of their own.
func (s *side) deviate(g gap) {
	s.excess += g.excess
	s.weight = min(certain, s.weight+g.weight)
	s.deviating++
}

// suspect weighs what speaks against a node. What it does otherwise than usual may be due to those whom it calls: below is what
// speaks against these. Of lost time, it answers for its share.
func (n *node) suspect(total, below float64) Suspect {
	s := Suspect{Entity: n.entity, Since: n.since, Finding: n.shape}
	s.Weight = max(0, n.shape.Weight-below)
	if total > 0 {
		if w := n.lost() / total * n.latencyWeight(); w > s.Weight {
			s.Weight, s.Finding = w, n.latency
			if n.own < n.ways() {
				s.Finding, s.Gap = n.gap, true
			}
		}
	}
	return s
}

// Reached are a service and all that it calls, directly or through others.
func Reached(from uint32, edges []evidence.Way) map[uint32]bool {
	callees := map[uint32][]uint32{}
	for _, e := range edges {
		callees[e.Caller] = append(callees[e.Caller], e.Callee)
	}
	reached := map[uint32]bool{from: true}
	for level := []uint32{from}; len(level) > 0; {
		var next []uint32
		for _, at := range level {
			for _, callee := range callees[at] {
				if !reached[callee] && callee != names.None {
					reached[callee] = true
					next = append(next, callee)
				}
			}
		}
		level = next
	}
	return reached
}

// behind is what is known of the others that an entity calls, directly or through others.
type behind struct {
	// origins is how many of them were met, up to two, of which one may be itself; latest is the last one.
	origins int
	latest  uint32
	// most is the largest weight that speaks against any other.
	most float64
}

// below finds out what is behind each entity. The heaviest are gone up from first, so that no entity has to be met from more than two.
func below(nodes map[uint32]*node, edges []evidence.Way) map[uint32]behind {
	callers := map[uint32][]uint32{}
	for _, e := range edges {
		if e.Callee != names.None {
			callers[e.Callee] = append(callers[e.Callee], e.Caller)
		}
	}
	origins := slices.SortedFunc(maps.Values(nodes), func(a, b *node) int { return cmp.Compare(b.weight(), a.weight()) })
	all := map[uint32]behind{}
	var queue []uint32
	for _, origin := range origins {
		for queue = append(queue[:0], origin.entity); len(queue) > 0; {
			at := queue[len(queue)-1]
			queue = queue[:len(queue)-1]
			has := all[at]
			if has.origins == 2 || has.origins > 0 && has.latest == origin.entity {
				continue
			}
			has.origins++
			has.latest = origin.entity
			if at != origin.entity {
				has.most = max(has.most, origin.weight())
			}
			all[at] = has
			queue = append(queue, callers[at]...)
		}
	}
	return all
}

// The alarm's limits, in nats. See docs/diagnosis.md for false alarms.
const (
	// perHour are the false alarms an hour that chance alone may cause, and looks how many independent looks an hour has.
	perHour = 0.1
	looks   = 3600 / 8
	// sticky is the part of the threshold below which what was announced is over, and calm for how long in nanoseconds it has to be.
	sticky = 0.5
	calm   = int64(60e9)
	// clear is the part of the threshold that has to speak against a suspect itself.
	clear = 0.7
	// stale is by how much less likely what was announced is behind something new.
	stale = 0.5
)

// Alarm says when suspects are worth an event. The zero Alarm is off.
type Alarm struct {
	announced map[uint32]int64 // until when in nanoseconds each suspect is known at least
}

// Threshold is the weight in nats that chance alone reaches for any of so many services seldom enough (Bonferroni). What is
// compared of one service is about the same requests.
func Threshold(services int) float64 {
	return math.Log(float64(max(1, services)) * looks / perHour)
}

// Decide returns the ranking if it is news: if a suspect is worth an event that has not been announced, or not of late. Those
// that were are less likely to be behind what is new.
func (a *Alarm) Decide(now int64, suspects []Suspect, most float64, services int) []Suspect {
	threshold := Threshold(services)
	if a.announced == nil {
		a.announced = map[uint32]int64{}
	}
	for _, s := range suspects {
		if _, known := a.announced[s.Entity]; known && s.Weight >= sticky*threshold {
			a.announced[s.Entity] = now + calm
		}
	}
	for entity, until := range a.announced {
		if until < now {
			delete(a.announced, entity)
		}
	}
	if most < threshold {
		return nil
	}
	var news, known []Suspect
	for _, s := range suspects {
		if _, is := a.announced[s.Entity]; is {
			s.Score *= stale
			known = append(known, s)
		} else {
			news = append(news, s)
		}
	}
	if len(news) == 0 || news[0].Weight < clear*threshold || len(known) > 0 && news[0].Weight < threshold {
		return nil
	}
	a.announced[news[0].Entity] = now + calm
	news = append(news, known...)
	slices.SortStableFunc(news, func(a, b Suspect) int { return cmp.Compare(b.Score, a.Score) })
	return news
}

// Announced says whether a suspect was announced, and is not over.
func (a *Alarm) Announced(entity uint32) bool {
	_, is := a.announced[entity]
	return is
}

// Announce notes that another event has named a suspect. now is in nanoseconds since the epoch.
func (a *Alarm) Announce(now int64, entity uint32) {
	if a.announced == nil {
		a.announced = map[uint32]int64{}
	}
	a.announced[entity] = now + calm
}

// On says whether anything is announced at present.
func (a *Alarm) On() bool { return len(a.announced) > 0 }
