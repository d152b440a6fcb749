package series

import (
	"math/bits"
	"slices"

	"github.com/throughline-otel/throughline/internal/service"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/bucket"
)

const (
	// maxWalk bounds the series that are looked at for one point. Each source has the same share of them, and of each the
	// newest go first.
	maxWalk = 64
	// maxClasses bounds the classes that are looked at in these series. Each source has the same share of them.
	maxClasses = 1024
	// maxCandidates bounds the spans that are compared for one point.
	maxCandidates = 256

	// batchCredit is how many series may be looked at in preparations for the points of one batch, and pointCredit how many
	// more for each of its points. A point costs no more than that, however the points spread over metrics and resources.
	batchCredit = 1 << 16
	pointCredit = 64
)

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

// Picker finds the spans for points. It is good for one goroutine at a time, and for any number of batches.
type Picker struct {
	index  *Index
	now    int64
	credit int

	sources    []*Source
	role       Role
	dimensions Dimensions
	needed     mask
	entries    []entry
	groups     []group
	table      []int32

	// gathered are the spans that fit the point that was asked for last, if one was since the last preparation.
	asked      Point
	fresh      bool
	gathered   []Candidate
	candidates []Candidate
	buckets    []int
	picked     []Candidate
}

// entry is a series that points can be about, in the list of its group.
type entry struct {
	source *Source
	one    *one
	next   int32
}

// group has the series with the same values under the needed attributes, those of a source one after the other, beginning
// with the newest. It is in a chain of those that share a place in the table. Indices count from one, so that zero is none.
type group struct {
	hash              uint64
	first, last, next int32
	// room is what is left of the share of the last entry's source.
	room int32
	// leftOut are the kinds of the series for which there was no room.
	leftOut kinds
}

// Begin makes the picker ready for a batch of so many points.
func (p *Picker) Begin(index *Index, now int64, points int) {
	p.index, p.now, p.credit = index, now, batchCredit+pointCredit*points
}

// Reset makes the picker ready for the points of one instance of a service, and tells whether there is anything to
// pick from.
func (p *Picker) Reset(of service.Identity, instance string) bool {
	p.sources = p.index.find(p.sources[:0], of, instance)
	return len(p.sources) > 0
}

// Prepare makes the picker ready for those points of a metric that have the same attributes as the given one, whatever
// their values: it sorts the series once, so that each point finds its own at once. Nothing fits the points for which the
// batch has no credit left.
func (p *Picker) Prepare(role Role, dimensions Dimensions, like *Key) {
	p.role, p.dimensions, p.needed, p.fresh = role, dimensions, like.has&required, false
	p.entries = p.entries[:0]
	// What neither the name of the metric nor a point says anything about could be any span.
	if role.family != 0 || like.Telling() {
		for _, source := range p.sources {
			if !p.enlist(source, like) {
				// A part of the series would not tell whether others fit, too.
				p.entries = p.entries[:0]
				break
			}
		}
	}
	p.arrange()
}

// enlist adds the series of a source that a point like the given one can be about, and tells whether there was credit to
// look at them.
func (p *Picker) enlist(source *Source, like *Key) bool {
	source.mu.Lock()
	defer source.mu.Unlock()
	if p.credit < len(source.series) {
		return false
	}
	p.credit -= len(source.series)
	for o := source.order.Newest(); o != nil; o = source.order.Older(o) {
		if p.mayBe(o, like) {
			p.entries = append(p.entries, entry{source: source, one: o})
		}
	}
	return true
}

// arrange puts the entries into their groups.
func (p *Picker) arrange() {
	size := 1 << bits.Len(uint(len(p.entries)))
	p.table = slices.Grow(p.table[:0], size)[:size]
	clear(p.table)
	p.groups = p.groups[:0]
	share := p.share(maxWalk)
	for i := range p.entries {
		e := &p.entries[i]
		g := p.groupOf(e.one.key.hashOf(p.needed))
		switch {
		case g.last == 0:
			g.first, g.room = int32(i+1), share
		case p.entries[g.last-1].source != e.source:
			g.room = share
		case g.room == 0:
			g.leftOut |= 1 << e.one.kind
			continue
		}
		if g.last != 0 {
			p.entries[g.last-1].next = int32(i + 1)
		}
		g.last = int32(i + 1)
		g.room--
	}
}

// share is what each source has of a bound.
func (p *Picker) share(bound int32) int32 {
	return bound / int32(max(len(p.sources), 1))
}

// groupOf finds the group of a hash, or adds it.
func (p *Picker) groupOf(hash uint64) *group {
	if known := p.find(hash); known != nil {
		return known
	}
	place := &p.table[hash&uint64(len(p.table)-1)]
	p.groups = append(p.groups, group{hash: hash, next: *place})
	*place = int32(len(p.groups))
	return &p.groups[len(p.groups)-1]
}

func (p *Picker) find(hash uint64) *group {
	for next := p.table[hash&uint64(len(p.table)-1)]; next > 0; next = p.groups[next-1].next {
		if p.groups[next-1].hash == hash {
			return &p.groups[next-1]
		}
	}
	return nil
}

// Pick returns at most limit spans that the point has counted, the failed ones first, then the slow ones, and from each
// bucket one. The result is valid until the next call. The point is like the one that the picker was prepared for.
func (p *Picker) Pick(point *Point, limit int, bucketOf func(duration int64) int) []Candidate {
	p.gather(point)
	if bucketOf != nil {
		p.onePerBucket(bucketOf)
	} else {
		p.candidates = append(p.candidates[:0], p.gathered...)
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

// gather collects the candidates of the series that the point can be about, unless that has just been done for a point that
// differs in nothing that counts.
func (p *Picker) gather(point *Point) {
	if p.fresh && p.asked.Since == point.Since && p.asked.Until == point.Until && p.asked.Key.equals(&point.Key) {
		return
	}
	p.asked, p.fresh, p.gathered = *point, true, p.gathered[:0]
	g := p.find(point.Key.hashOf(p.needed))
	if g == nil {
		return
	}
	seen := g.leftOut
	for next := g.first; next > 0; {
		var fitting kinds
		next, fitting = p.collect(next, point)
		seen |= fitting
	}
	// Where the name of the metric does not say which side it is about, and spans of both sides fit, nobody knows.
	if p.role.family == 0 && seen&(seen-1) != 0 {
		p.gathered = p.gathered[:0]
	}
}

// collect takes the candidates of an entry, and of those after it that are of the same source. It returns the entry of the
// next source, and the kinds of the spans that fit, whenever they ended.
func (p *Picker) collect(from int32, point *Point) (next int32, seen kinds) {
	source := p.entries[from-1].source
	source.mu.Lock()
	defer source.mu.Unlock()
	left := int(p.share(maxClasses))
	for next = from; next > 0; {
		e := &p.entries[next-1]
		if e.source != source {
			return next, seen
		}
		if point.Key.agrees(&e.one.key, point.Key.has&e.one.key.has) {
			seen |= 1 << e.one.kind
			classes := e.one.classes[:min(len(e.one.classes), left)]
			left -= len(classes)
			p.collectYoungest(classes, point)
		}
		next = e.next
	}
	return 0, seen
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

// collectYoungest takes the youngest fitting span of every class.
func (p *Picker) collectYoungest(classes []class, point *Point) {
	for i := range classes {
		c := &classes[i]
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
	if len(p.gathered) < maxCandidates {
		p.gathered = append(p.gathered, *candidate)
		return
	}
	place := int(candidate.Span[7]) % maxCandidates
	if candidate.tellsMore(&p.gathered[place]) {
		p.gathered[place] = *candidate
	}
}

// onePerBucket takes the most telling candidate of each bucket.
func (p *Picker) onePerBucket(bucketOf func(int64) int) {
	p.buckets, p.candidates = p.buckets[:0], p.candidates[:0]
	for i := range p.gathered {
		candidate := &p.gathered[i]
		at := bucketOf(candidate.Duration())
		if at == bucket.None {
			continue
		}
		switch known := slices.Index(p.buckets, at); {
		case known < 0:
			p.candidates = append(p.candidates, *candidate)
			p.buckets = append(p.buckets, at)
		case candidate.tellsMore(&p.candidates[known]):
			p.candidates[known] = *candidate
		}
	}
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
