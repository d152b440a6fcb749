package series

import (
	"math/bits"
	"slices"

	"github.com/throughline-otel/throughline/internal/service"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/bucket"
)

// maxCandidates bounds what is looked at for one point.
const maxCandidates = 256

// Point is what is asked for: the spans that a point of a metric has counted.
type Point struct {
	Key Key
	// Since and Until are the interval in which the spans have ended.
	Since, Until int64
}

// Dimensions are the attributes that tell the points of one metric apart. Where other points have one, a point without
// it is about spans without it.
type Dimensions struct{ has mask }

// Add takes note of one point.
func (d *Dimensions) Add(point *Key) { d.has |= point.has & required }

// Picker finds the spans for points. It is good for one goroutine at a time, and for any number of metrics and points.
type Picker struct {
	index      *Index
	now        int64
	sources    []*Source
	role       Role
	dimensions Dimensions
	needed     mask
	entries    []entry
	table      []int32
	candidates []Candidate
	buckets    []int
	picked     []Candidate
}

// entry is a series that points can be about, in a chain of those with the same values under the needed attributes.
type entry struct {
	source *Source
	one    *one
	next   int32
}

// Reset makes the picker ready for the points of one instance of a service, and tells whether there is anything to
// pick from.
func (p *Picker) Reset(index *Index, now int64, of service.Identity, instance string) bool {
	p.index, p.now = index, now
	p.sources = index.find(p.sources[:0], of, instance)
	return len(p.sources) > 0
}

// Prepare makes the picker ready for those points of a metric that have the same attributes as the given one, whatever
// their values: it sorts the series once, so that each point finds its own at once.
func (p *Picker) Prepare(role Role, dimensions Dimensions, like *Key) {
	p.role, p.dimensions, p.needed = role, dimensions, like.has&required
	p.entries = p.entries[:0]
	// What neither the name of the metric nor a point says anything about could be any span.
	if role.family != 0 || like.Telling() {
		for _, source := range p.sources {
			source.mu.Lock()
			for o := source.order.Newest(); o != nil; o = source.order.Older(o) {
				if p.mayBe(o, like) {
					p.entries = append(p.entries, entry{source: source, one: o})
				}
			}
			source.mu.Unlock()
		}
	}
	size := 1 << bits.Len(uint(len(p.entries)))
	p.table = slices.Grow(p.table[:0], size)[:size]
	clear(p.table)
	// From the oldest to the newest, so that chains begin with the newest.
	for i := len(p.entries) - 1; i >= 0; i-- {
		e := &p.entries[i]
		place := &p.table[e.one.key.hashOf(p.needed)&uint64(size-1)]
		e.next, *place = *place, int32(i+1)
	}
}

// Pick returns at most limit spans that the point has counted, the failed ones first, then the slow ones, and from each
// bucket one. The result is valid until the next call. The point is like the one that the picker was prepared for.
func (p *Picker) Pick(point *Point, limit int, bucketOf func(duration int64) int) []Candidate {
	p.gather(point)
	if bucketOf != nil {
		p.onePerBucket(bucketOf)
	}
	p.picked = p.picked[:0]
	for len(p.picked) < limit && len(p.candidates) > 0 {
		best := 0
		for i := range p.candidates {
			if p.candidates[i].tellsMore(&p.candidates[best]) {
				best = i
			}
		}
		last := len(p.candidates) - 1
		p.picked = append(p.picked, p.candidates[best])
		p.candidates[best] = p.candidates[last]
		p.candidates = p.candidates[:last]
	}
	return p.picked
}

// gather collects the candidates of all series that the point can be about.
func (p *Picker) gather(point *Point) {
	p.candidates = p.candidates[:0]
	if len(p.entries) == 0 {
		return
	}
	var seen kinds
	for next := p.table[point.Key.hashOf(p.needed)&uint64(len(p.table)-1)]; next > 0; {
		e := &p.entries[next-1]
		next = e.next
		if point.Key.agrees(&e.one.key, point.Key.has&e.one.key.has) {
			seen |= 1 << e.one.kind
			e.source.mu.Lock()
			p.collect(e.one, point)
			e.source.mu.Unlock()
		}
	}
	// Where the name of the metric does not say which side it is about, and spans of both sides fit, nobody knows.
	if p.role.family == 0 && seen&(seen-1) != 0 {
		p.candidates = p.candidates[:0]
	}
}

// mayBe tells whether a point like the given one can be about the series, if their values agree.
func (p *Picker) mayBe(o *one, like *Key) bool {
	switch {
	case p.role.kinds&(1<<o.kind) == 0:
		return false
	case o.key.has&p.needed != p.needed:
		return false
	case p.role.family != 0 && o.key.has&p.role.family == 0:
		return false
	default:
		return p.dimensions.has&^like.has&o.key.has == 0
	}
}

// collect takes the youngest fitting span of every class.
func (p *Picker) collect(o *one, point *Point) {
	for i := range o.classes {
		c := &o.classes[i]
		for back := uint8(1); back <= c.count; back++ {
			candidate := &c.spans[(c.next+depth-back)%depth]
			if candidate.End < point.Since || candidate.End > point.Until || candidate.arrived < p.now-p.index.retention {
				continue
			}
			p.take(candidate)
			break
		}
	}
}

// take keeps the candidate. Once there are too many, the telling ones replace the others.
func (p *Picker) take(candidate *Candidate) {
	if len(p.candidates) < maxCandidates {
		p.candidates = append(p.candidates, *candidate)
		return
	}
	place := int(candidate.Span[7]) % maxCandidates
	if candidate.tellsMore(&p.candidates[place]) {
		p.candidates[place] = *candidate
	}
}

// onePerBucket leaves the most telling candidate of each bucket.
func (p *Picker) onePerBucket(bucketOf func(int64) int) {
	p.buckets = p.buckets[:0]
	kept := p.candidates[:0]
candidates:
	for i := range p.candidates {
		candidate := p.candidates[i]
		at := bucketOf(candidate.Duration())
		if at == bucket.None {
			continue
		}
		for j, other := range p.buckets {
			if other == at {
				if candidate.tellsMore(&kept[j]) {
					kept[j] = candidate
				}
				continue candidates
			}
		}
		kept = append(kept, candidate)
		p.buckets = append(p.buckets, at)
	}
	p.candidates = kept
}

// tellsMore prefers the failed, then the slow, then the young.
func (c *Candidate) tellsMore(other *Candidate) bool {
	if c.Failed != other.Failed {
		return c.Failed
	}
	if c.Duration() != other.Duration() {
		return c.Duration() > other.Duration()
	}
	return c.End > other.End
}
