// Package score judges what was said about each fault. It is pure: time comes in as an argument.
package score

import (
	"time"

	"github.com/throughline-otel/throughline/examples/shop/internal/fault"
)

// Mark is the judgement of one announcement.
type Mark int

// Marks of an announcement.
const (
	Unnamed Mark = iota // it names nobody
	Right
	Wrong
	FalseAlarm // there was no fault
)

// Verdict is the judgement of one fault.
type Verdict string

// Verdicts of a fault.
const (
	VerdictRight      Verdict = "right"
	VerdictWrong      Verdict = "wrong"
	VerdictUnanswered Verdict = "unanswered"
	VerdictCutShort   Verdict = "cut short" // the run ended before the fault did, and before an answer
)

// Answer is what became of one injected fault.
type Answer struct {
	Fault   string         `json:"fault"`
	Culprit fault.Culprit  `json:"culprit"`
	Said    *fault.Culprit `json:"said"` // the first suspect of the first announcement, or of the first wrong one
	Verdict Verdict        `json:"verdict"`
	// Seconds from the injection to the first announcement that names somebody; zero if there was none.
	Seconds float64 `json:"seconds_to_identify"`
	// Announcements that name somebody.
	Announcements int       `json:"announcements"`
	Injected      time.Time `json:"injected"`
	Lifted        time.Time `json:"lifted"`
}

// Alarm is an announcement without a fault.
type Alarm struct {
	At   time.Time      `json:"at"`
	SLO  string         `json:"slo"`
	Said *fault.Culprit `json:"said"`
}

// Report is the result of a run.
type Report struct {
	OK          bool     `json:"ok"`
	Answers     []Answer `json:"faults"`
	FalseAlarms []Alarm  `json:"false_alarms"`
	Events      int      `json:"events"`
}

// Card keeps the score. The zero value is ready. A fault's time is from its injection to that of
// the next one, or to the end.
type Card struct {
	answers []Answer
	alarms  []Alarm
	events  int
}

// Injected starts the time of a fault.
func (c *Card) Injected(f fault.Fault, at time.Time) {
	c.answers = append(c.answers, Answer{Fault: f.Name, Culprit: f.Culprit, Verdict: VerdictUnanswered, Injected: at})
}

// Lifted says that the current fault is over; its consequences may still be announced.
func (c *Card) Lifted(at time.Time) {
	if a := c.current(); a != nil {
		a.Lifted = at
	}
}

// Heard counts an event of any kind.
func (c *Card) Heard() { c.events++ }

// Burn judges the announcement of a burn. said is its first suspect; nil if it names nobody.
func (c *Card) Burn(slo string, said *fault.Culprit, at time.Time) Mark {
	a := c.current()
	if a == nil {
		c.alarms = append(c.alarms, Alarm{At: at, SLO: slo, Said: said})
		return FalseAlarm
	}
	if said == nil {
		return Unnamed
	}
	a.Announcements++
	if a.Announcements == 1 {
		a.Said, a.Seconds, a.Verdict = said, at.Sub(a.Injected).Seconds(), VerdictRight
	}
	if a.Culprit.Is(*said) {
		return Right
	}
	if a.Verdict == VerdictRight { // one wrong answer is wrong, whatever the others say
		a.Said, a.Verdict = said, VerdictWrong
	}
	return Wrong
}

// Report sums up. A run is OK if something was heard, each fault was answered and answered right,
// and nothing was announced without a fault.
func (c *Card) Report() Report {
	r := Report{
		OK:          c.events > 0 && len(c.alarms) == 0,
		Answers:     append([]Answer{}, c.answers...),
		FalseAlarms: append([]Alarm{}, c.alarms...),
		Events:      c.events,
	}
	for i := range r.Answers {
		a := &r.Answers[i]
		if a.Verdict == VerdictUnanswered && a.Lifted.IsZero() {
			a.Verdict = VerdictCutShort
		}
		r.OK = r.OK && a.Verdict == VerdictRight
	}
	return r
}

func (c *Card) current() *Answer {
	if len(c.answers) == 0 {
		return nil
	}
	return &c.answers[len(c.answers)-1]
}
