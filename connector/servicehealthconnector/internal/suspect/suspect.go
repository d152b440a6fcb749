// Package suspect ranks culprits by how many bad events began with them.
package suspect

import (
	"cmp"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/blame"
)

const (
	// maxCulprits bounds what one tally tells apart: nobody reads a longer list.
	maxCulprits = 32
	// maxTraces bounds the trace ids that a tally remembers.
	maxTraces = 10
	// slots is the resolution of a tally's window.
	slots = 16
)

// Tally counts blamed bad events of one objective and group over a window that slides in sixteenths.
// It is not safe for concurrent use.
type Tally struct {
	slot   int64
	rows   []row
	traces [maxTraces]seen
	next   int
}

type seen struct {
	id pcommon.TraceID
	at int64
}

type row struct {
	blame.Culprit
	operation uint32
	first     int64
	last      int64
	counts    [slots]float64
	slot      [slots]int64
}

// New returns a tally over a window in nanoseconds.
func New(window int64) *Tally {
	return &Tally{slot: max(1, window/slots)}
}

// Add counts a bad event. at is in nanoseconds since the epoch.
func (t *Tally) Add(at int64, v blame.Verdict, count float64, id pcommon.TraceID) {
	t.traces[t.next] = seen{id, at}
	t.next = (t.next + 1) % maxTraces
	r := t.row(at, v.Culprit)
	if r == nil {
		return
	}
	if at-r.last > slots*t.slot {
		r.first = at // What was seen before is another story.
	}
	r.operation, r.first, r.last = v.Operation, min(r.first, at), max(r.last, at)
	number := at / t.slot
	i := number % slots
	if r.slot[i] < number {
		r.slot[i], r.counts[i] = number, 0
	}
	if r.slot[i] == number {
		r.counts[i] += count
	}
}

func (t *Tally) row(at int64, c blame.Culprit) *row {
	for i := range t.rows {
		if t.rows[i].Culprit == c {
			return &t.rows[i]
		}
	}
	if len(t.rows) < maxCulprits {
		t.rows = append(t.rows, row{Culprit: c, first: at, last: at})
		return &t.rows[len(t.rows)-1]
	}
	oldest := 0
	for i := range t.rows {
		if t.rows[i].last < t.rows[oldest].last {
			oldest = i
		}
	}
	if at-t.rows[oldest].last <= slots*t.slot {
		return nil
	}
	t.rows[oldest] = row{Culprit: c, first: at, last: at}
	return &t.rows[oldest]
}

// Suspect is a culprit with its weight in the window.
type Suspect struct {
	blame.Culprit
	// Operation is where it was last seen.
	Operation uint32
	// Bad is the number of bad events that began with it, and Score its share of all that were blamed on anyone.
	Bad, Score float64
	// Since is when the first of these was seen, in nanoseconds since the epoch; not before the time from which on they were asked for.
	Since int64
}

// Rank returns the suspects of the window that ends now, the likeliest first, and the number of all bad events in it. What was before
// since, in nanoseconds since the epoch, is another story, to a sixteenth of the window. Events whose culprit cannot be told lower
// every score, but are no suspect.
func (t *Tally) Rank(now, since int64) (ranked []Suspect, bad float64) {
	oldest := max(now/t.slot-slots, since/t.slot-1)
	for i := range t.rows {
		r := &t.rows[i]
		var n float64
		for k := range r.counts {
			if r.slot[k] > oldest {
				n += r.counts[k]
			}
		}
		bad += n
		if n > 0 && r.Entity != 0 {
			ranked = join(ranked, Suspect{Culprit: r.Culprit, Operation: r.operation, Bad: n, Since: max(r.first, since)})
		}
	}
	for i := range ranked {
		ranked[i].Score = ranked[i].Bad / bad
	}
	slices.SortStableFunc(ranked, func(a, b Suspect) int { return cmp.Compare(b.Score, a.Score) })
	return ranked, bad
}

// join adds s to the list. Who both fails and is slow is one suspect, with the reason of the more events.
func join(list []Suspect, s Suspect) []Suspect {
	for i := range list {
		has := &list[i]
		if has.Entity != s.Entity || has.Layer != s.Layer {
			continue
		}
		if s.Bad > has.Bad {
			has.Reason, has.Operation = s.Reason, s.Operation
		}
		has.Bad += s.Bad
		has.Since = min(has.Since, s.Since)
		return list
	}
	return append(list, s)
}

// Traces returns the trace ids of the latest bad events of the window that ends now, the latest first.
func (t *Tally) Traces(now int64) []pcommon.TraceID {
	var ids []pcommon.TraceID
	for i := range maxTraces {
		s := t.traces[(t.next-1-i+2*maxTraces)%maxTraces]
		if s.at > now-slots*t.slot && !s.id.IsEmpty() && !slices.Contains(ids, s.id) {
			ids = append(ids, s.id)
		}
	}
	return ids
}
