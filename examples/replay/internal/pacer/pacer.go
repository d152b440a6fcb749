// Package pacer says when a recorded line is due, from the time that the line tells and the speed of the replay.
package pacer

import (
	"math"
	"time"
)

// StepBack is how far a line may lie before the latest one and still count as merely late. A line that lies further back
// begins another recording: there is no wait for it, and the pace goes on from its time. Without that, one wrong time from
// the future would take the pace from everything after it.
const StepBack = time.Minute

// Pacer turns event times into due times. It reads no clock. It is for one goroutine.
type Pacer struct {
	speed  float64
	maxGap time.Duration

	start time.Time     // when the first line was due
	at    time.Duration // how long after start the line at head is due
	head  time.Time     // the event time that the replay has reached
}

// New returns a pacer for a replay that runs at speed times the recording's own speed; speed is finite and above 0.
// Between two lines it never waits longer than maxGap, in the replay's time, not the recording's; 0 means no such bound.
func New(speed float64, maxGap time.Duration) *Pacer {
	return &Pacer{speed: speed, maxGap: maxGap}
}

// Due returns when the line with that event time is to be sent. The first line is due now; after that, now changes nothing,
// so that a replay that was held up catches up. A line that is late or has no time (the zero time) is due together with the
// one before it. Due times never decrease.
func (p *Pacer) Due(event, now time.Time) time.Time {
	if event.IsZero() {
		if p.start.IsZero() {
			return now
		}
		return p.start.Add(p.at)
	}
	if p.start.IsZero() {
		p.start, p.head = now, event
		return now
	}
	step := event.Sub(p.head)
	switch {
	case step > 0:
		p.at = add(p.at, p.wait(step))
		p.head = event
	case step < -StepBack:
		p.head = event
	}
	return p.start.Add(p.at)
}

// Shift is what to add to the recorded times of the line that Due was last asked about, so that the telemetry seems to
// happen while it is replayed: it takes the head of the recording to the time at which it is due. It means something at
// speed 1 only, and is 0 before the first line that has a time.
func (p *Pacer) Shift() time.Duration {
	if p.start.IsZero() {
		return 0
	}
	return p.start.Add(p.at).Sub(p.head)
}

func (p *Pacer) wait(step time.Duration) time.Duration {
	wait := time.Duration(math.MaxInt64)
	if scaled := float64(step) / p.speed; scaled < math.MaxInt64 {
		wait = time.Duration(scaled)
	}
	if p.maxGap > 0 {
		wait = min(wait, p.maxGap)
	}
	return wait
}

// add saturates: the sum of two waits that are not negative does not wrap around.
func add(a, b time.Duration) time.Duration {
	if sum := a + b; sum >= a {
		return sum
	}
	return math.MaxInt64
}
