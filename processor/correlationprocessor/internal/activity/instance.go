package activity

import (
	"math"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/recency"
)

const (
	// maxNested bounds the spans within each other that are told apart.
	maxNested = 32
	// coarsest is the unit of the coarsest clock that spans are measured by. Records are also cut to a second.
	coarsest = int64(time.Millisecond)
	// lateness is how long a record may have been written before its time: whoever reads the output of a process puts
	// the time onto it at which the line was read.
	lateness = 2 * int64(time.Millisecond)
)

// instance holds the spans that ended last, in the order of their ends.
type instance struct {
	id Instance
	recency.Links[instance]
	silentSince int64
	ring        []Span
	head, count int
	// Up to unknown it cannot be told what was active.
	unknown int64
	// What its spans have been like is forgotten in two steps, so that it is remembered for the retention at least.
	habits, former habits
	since          int64
	// Until these times the spans are taken for: of several traces at once; so on one thread; silent about their
	// thread; not all there are.
	concurrent, interleaved, unnamed, sampled int64
}

// habits are the largest figures that were seen, in nanoseconds.
type habits struct {
	duration int64
	// lag is how long after its end a span came.
	lag int64
	// disorder is how long before the end of a span that had come already a span ended.
	disorder int64
}

func (i *instance) add(now, retention int64, spans []Span) {
	if now-i.since >= retention {
		i.habits, i.former, i.since = habits{}, i.habits, now
	}
	until := now + retention
	latest, first := int64(0), i.unknown == 0
	if i.count > 0 {
		latest = i.at(i.count - 1).End
	}
	earliest := int64(math.MaxInt64)
	for n := range spans {
		span := &spans[n]
		if span.Start <= 0 || span.End < span.Start || span.End > now {
			// Something was active, but nobody can tell when.
			i.unknown = max(i.unknown, span.Start, span.End)
			continue
		}
		earliest = min(earliest, span.End)
		i.habits.duration = max(i.habits.duration, span.End-span.Start)
		i.habits.lag = max(i.habits.lag, now-span.End)
		i.habits.disorder = max(i.habits.disorder, latest-span.End)
		if span.Thread == 0 {
			i.unnamed = until
		}
		if span.Sampled {
			i.sampled = until
		}
		i.compare(span, until)
		i.insert(span)
	}
	if first && earliest != math.MaxInt64 {
		// Spans that ended before may have been sent before anybody listened.
		i.unknown = max(i.unknown, earliest)
	}
}

// compare takes note of overlap with spans of other traces.
func (i *instance) compare(span *Span, until int64) {
	for n := i.count - 1; n >= 0; n-- {
		other := i.at(n)
		if other.End <= span.Start {
			return
		}
		if other.Start >= span.End || other.Trace == span.Trace {
			continue
		}
		i.concurrent = until
		if other.Thread == span.Thread && span.Thread != 0 {
			i.interleaved = until
		}
		if span.Thread == 0 || i.interleaved == until {
			return
		}
	}
}

func (i *instance) insert(span *Span) {
	place := i.count
	for place > 0 && i.at(place-1).End > span.End {
		place--
	}
	for n := place - 1; n >= 0 && i.at(n).End == span.End; n-- {
		if other := i.at(n); other.ID == span.ID && other.Trace == span.Trace {
			return
		}
	}
	if i.count == len(i.ring) {
		if place == 0 {
			i.unknown = max(i.unknown, span.End)
			return
		}
		i.unknown = max(i.unknown, i.at(0).End)
		i.head++
		i.count--
		place--
	}
	for n := i.count; n > place; n-- {
		*i.at(n) = *i.at(n - 1)
	}
	*i.at(place) = *span
	i.count++
}

func (i *instance) at(n int) *Span {
	return &i.ring[(i.head+n)&(len(i.ring)-1)]
}

func (i *instance) resize(length int) {
	larger := make([]Span, length)
	for n := range i.count {
		larger[n] = *i.at(n)
	}
	i.ring, i.head = larger, 0
}

// settled is up to when all spans that were active have come, if they are no longer, later and less in order than
// those that were seen lately.
func (i *instance) settled(now int64) int64 {
	known := now - max(i.habits.lag, i.former.lag)
	if i.count > 0 {
		known = max(known, i.at(i.count-1).End-max(i.habits.disorder, i.former.disorder))
	}
	return known - max(i.habits.duration, i.former.duration)
}

// find looks at all spans that the record may have been written in.
func (i *instance) find(now int64, thread uint64, at int64) (trace pcommon.TraceID, id pcommon.SpanID, verdict Verdict) {
	named := thread != 0 && now >= i.unnamed
	unit := unitOf(at, int64(time.Second))
	from, to := max(at, 0)-lateness, at+unit
	switch {
	case from <= i.unknown, now < i.sampled:
		return trace, id, Undecidable
	case now < i.interleaved && named, now < i.concurrent && !named:
		return trace, id, Ambiguous
	case at > i.settled(now)-unit+1:
		return trace, id, Undecidable
	}

	var nested [maxNested]*Span
	var latest *Span
	count, onThread, covered := 0, thread != 0, false
	for n := i.count - 1; n >= 0; n-- {
		span := i.at(n)
		if span.End+coarsest <= from {
			break
		}
		if span.Start >= to || span.End+unitOf(span.End, coarsest) <= from {
			continue
		}
		if thread != 0 && span.Thread != 0 && span.Thread != thread {
			continue
		}
		if latest == nil {
			latest = span
		} else if span.Trace != latest.Trace {
			return trace, id, Ambiguous
		}
		covered = covered || span.covers(from, to)
		if onThread = onThread && span.Thread == thread && count < maxNested; onThread {
			nested[count] = span
		}
		count++
	}
	switch {
	case count == 0:
		return trace, id, None
	case unit > coarsest && !covered:
		return trace, id, Undecidable
	}
	trace = latest.Trace
	if onThread && chain(nested[:count]) {
		if innermost := nested[count-1]; innermost.covers(from, to) {
			return trace, innermost.ID, Fits
		}
	}
	if i.isAlone(latest) {
		return trace, latest.ID, Fits
	}
	return trace, id, Fits
}

// covers tells whether the span was active from one time to just before another.
func (s *Span) covers(from, to int64) bool {
	return s.Start <= from && to <= s.End+1
}

// isAlone tells whether all that the instance did for the trace of a span was within it and in no other span.
func (i *instance) isAlone(span *Span) bool {
	if !span.Entry || span.Start <= i.unknown {
		return false
	}
	for n := range i.count {
		if other := i.at(n); other != span && other.Trace == span.Trace {
			return false
		}
	}
	return true
}

// unitOf is the unit in nanoseconds, up to a largest one, to which a time seems to have been cut.
func unitOf(at, largest int64) int64 {
	for unit := largest; unit > 1; unit /= 1000 {
		if at%unit == 0 {
			return unit
		}
	}
	return 1
}

// chain tells whether of some spans of one trace each but one is the child of another, and no two of the same. It puts
// them in order, the outermost first.
func chain(spans []*Span) bool {
	for place := range spans {
		next := -1
		for n := place; n < len(spans); n++ {
			if !follows(spans[n], spans, place) {
				continue
			}
			if next >= 0 {
				return false
			}
			next = n
		}
		if next < 0 {
			return false
		}
		spans[place], spans[next] = spans[next], spans[place]
	}
	return true
}

// follows tells whether a span is the child of the one before the place, or at the first place, of none of the spans.
func follows(span *Span, spans []*Span, place int) bool {
	if place > 0 {
		return span.Parent == spans[place-1].ID
	}
	for _, other := range spans {
		if other.ID == span.Parent {
			return false
		}
	}
	return true
}
