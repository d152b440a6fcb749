package series

import (
	"math/bits"
	"sync"
	"unsafe"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/recency"
)

const (
	// maxSeries bounds the series of one source; the one that was silent longest goes first.
	maxSeries = 512
	// depth is how many spans a class keeps: the point that they belong to may come after younger ones.
	depth = 4
	// A class is of the durations up to a power of two, in nanoseconds. What takes less than a microsecond, or more than half
	// an hour, is not told apart, so that a series has 64 classes at most.
	minMagnitude, maxMagnitude = 10, 41

	sourceBytes = int64(unsafe.Sizeof(Source{})) + 192 // with its places in the index
	seriesBytes = int64(unsafe.Sizeof(one{})) + 48     // with its place in the source
	classBytes  = int64(unsafe.Sizeof(class{}))
)

// Candidate is a span that may become an exemplar.
type Candidate struct {
	Trace      pcommon.TraceID
	Span       pcommon.SpanID
	Start, End int64
	Failed     bool

	arrived int64
}

// Duration of the span.
func (c *Candidate) Duration() int64 { return c.End - c.Start }

// Sighting is a finished span with the key of its series. Its kind is as it was sent.
type Sighting struct {
	Key  Key
	Kind ptrace.SpanKind
	Candidate
}

// Source holds the series of one instance of a service.
type Source struct {
	// Service is the name of the service, as people know it.
	Service string

	index    *Index
	identity identity
	recency.Links[Source]
	sibling int
	used    int64
	latest  int64
	mu      sync.Mutex
	gone    bool
	series  map[uint64]*one
	order   recency.List[one, *one]
}

// one series: the spans of one kind that say the same about themselves.
type one struct {
	id     uint64
	kind   kind
	key    Key
	latest int64
	recency.Links[one]
	classes []class
}

// class holds the latest spans of a series that took about equally long and ended equally well.
type class struct {
	magnitude uint8
	failed    bool
	count     uint8
	next      uint8
	spans     [depth]Candidate
}

// Add takes note of spans that have just arrived.
func (s *Source) Add(now int64, sightings []Sighting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return
	}
	before := s.used
	for i := range sightings {
		s.add(now, &sightings[i])
	}
	s.forget(now - s.index.retention)
	// The index has let go of other sources before it handed this one out. What is left to give is this one's own.
	for s.order.Oldest() != s.order.Newest() && s.index.used.Load()+s.used-before > s.index.budget {
		s.drop(s.order.Oldest())
		s.index.byBytes.Add(1)
	}
	if grown := s.used - before; grown != 0 {
		s.index.used.Add(grown)
	}
}

func (s *Source) add(now int64, sighting *Sighting) {
	side := kindOf(sighting.Kind)
	id := sighting.Key.hash() + uint64(side)
	known, ok := s.series[id]
	if ok {
		s.order.Touch(known)
	} else {
		if len(s.series) >= maxSeries {
			s.drop(s.order.Oldest())
			s.index.byBytes.Add(1)
		}
		known = &one{id: id, kind: side, key: sighting.Key}
		s.series[id] = known
		s.used += seriesBytes
		s.order.Push(known)
	}
	known.latest = now
	candidate := sighting.Candidate
	candidate.arrived = now
	s.used += known.add(candidate)
}

// forget lets go of the series that have been silent for too long.
func (s *Source) forget(oldest int64) {
	for o := s.order.Oldest(); o != nil && o.latest < oldest; o = s.order.Oldest() {
		s.drop(o)
		s.index.byAge.Add(1)
	}
}

func (s *Source) drop(o *one) {
	s.order.Remove(o)
	delete(s.series, o.id)
	s.used -= seriesBytes + int64(cap(o.classes))*classBytes
}

func (o *one) add(candidate Candidate) (grown int64) {
	magnitude := uint8(min(max(bits.Len64(uint64(candidate.Duration())), minMagnitude), maxMagnitude))
	for i := range o.classes {
		if c := &o.classes[i]; c.magnitude == magnitude && c.failed == candidate.Failed {
			c.add(candidate)
			return 0
		}
	}
	before := cap(o.classes)
	o.classes = append(o.classes, class{magnitude: magnitude, failed: candidate.Failed})
	o.classes[len(o.classes)-1].add(candidate)
	return int64(cap(o.classes)-before) * classBytes
}

func (c *class) add(candidate Candidate) {
	c.spans[c.next] = candidate
	c.next = (c.next + 1) % depth
	c.count = min(c.count+1, depth)
}
