package burn

import (
	"math"
	"math/bits"
	"time"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/snapshot"
)

// maxSlices bounds how many slices may still change. What comes for an older one is an event, but changes no slice.
const maxSlices = 1024

// Slices are stretches of time of one length, from the epoch on, that count in place of events.
type Slices struct {
	// Length is a whole number of seconds; 0 if events count.
	Length time.Duration
	// Target is the share of good events, with at most nine decimals, that makes a slice good.
	Target float64
	// Ratio makes each slice count with its share of good events, in whole parts of a billion.
	Ratio bool
}

// judge is what a slice counts. One without events is neither good nor bad.
func (s *Slices) judge(events Count) Count {
	total := events.Total()
	switch {
	case total == 0:
		return Count{}
	case s.Ratio:
		// Rounded to the nearest part; the quotient is at most whole.
		high, low := bits.Mul64(events.Bad, whole)
		low, carry := bits.Add64(low, total/2, 0)
		bad, _ := bits.Div64(high+carry, low, total)
		return Count{Good: whole - bad, Bad: bad}
	}
	goodHigh, good := bits.Mul64(events.Good, whole)
	leastHigh, least := bits.Mul64(total, uint64(math.Round(s.Target*whole)))
	if goodHigh > leastHigh || goodHigh == leastHigh && good >= least {
		return Count{Good: 1}
	}
	return Count{Bad: 1}
}

// unit is what a slice, or else an event, counts.
func (s *Slices) unit() uint64 {
	if s.Length > 0 && s.Ratio {
		return whole
	}
	return 1
}

// slice is one that may still change. told is what it counts by now.
type slice struct {
	number       int64
	events, told Count
}

// open holds the latest slices: that with number n is at n modulo their number.
type open struct {
	slices []slice
	// judged is the number up to which all are judged, and changed says that one of these has changed since.
	judged  int64
	changed bool
}

// add counts events of a slice. It returns one that has to leave for it.
func (o *open) add(number int64, c Count, room int) (left slice) {
	if o.slices == nil {
		o.slices = make([]slice, room)
	}
	s := &o.slices[number%int64(room)]
	switch {
	case s.number > number:
		return slice{}
	case s.number < number:
		left = *s
		*s = slice{number: number}
	}
	s.events.Good += c.Good
	s.events.Bad += c.Bad
	o.changed = o.changed || number < o.judged
	return left
}

// put appends the slices.
func (o *open) put(b []byte) []byte {
	filled := 0
	for i := range o.slices {
		if o.slices[i].events != (Count{}) {
			filled++
		}
	}
	b = snapshot.Uint(b, uint64(filled))
	for i := range o.slices {
		if s := &o.slices[i]; s.events != (Count{}) {
			b = s.told.put(s.events.put(snapshot.Uint(b, uint64(s.number))))
		}
	}
	return b
}

// take reads the slices up to the one with the number latest.
func (o *open) take(r *snapshot.Reader, room int, latest int64) {
	for range r.Len() {
		s := slice{number: r.Time(), events: takeCount(r), told: takeCount(r)}
		if r.Err() != nil {
			return
		}
		if room == 0 || s.number > latest {
			continue
		}
		if o.slices == nil {
			o.slices = make([]slice, room)
		}
		// There may be less room than there was. Those that are older have been judged.
		if at := &o.slices[s.number%int64(room)]; at.number <= s.number {
			*at = s
		}
		o.changed = true
	}
}
