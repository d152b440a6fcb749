// Package console prints what was done to the shop and what was said about it: one timeline, and
// at its end a table.
package console

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/throughline-otel/throughline/examples/shop/internal/events"
	"github.com/throughline-otel/throughline/examples/shop/internal/fault"
	"github.com/throughline-otel/throughline/examples/shop/internal/score"
)

const (
	// shownBurns and shownOthers bound what is printed of each kind of event between two
	// injections; the rest is condensed to its number.
	shownBurns  = 3
	shownOthers = 2

	shownSuspects = 3

	clock = "15:04:05"
)

// Console writes the timeline and keeps the score. It is safe for concurrent use.
type Console struct {
	mu    sync.Mutex
	page  page
	card  score.Card
	since time.Time // of the last injection
	shown map[string]int
	rest  tally
	mute  bool // a problem with the export was already told
}

// New returns a console that writes to w, with colours or without.
func New(w io.Writer, colour bool) *Console {
	return &Console{page: page{w: w, colour: colour}, shown: make(map[string]int)}
}

// Intro says what is going to happen.
func (c *Console) Intro(lines ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, line := range lines {
		c.page.paragraph("", plain, line)
	}
	c.page.blank()
}

// Injected starts a new chapter.
func (c *Console) Injected(f fault.Fault, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.condense()
	clear(c.shown)
	c.since = at
	c.card.Injected(f, at)
	c.page.blank()
	c.page.paragraph(c.stamp(at), bold, fmt.Sprintf("▶ %s: %s. Culprit: %s.", f.Name, f.Story, f.Culprit))
}

// Lifted says that the fault is over.
func (c *Console) Lifted(f fault.Fault, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.card.Lifted(at)
	c.page.paragraph(c.stamp(at), bold, "■ "+f.Name+" lifted.")
}

// Heard judges an event and prints it, if it is among the first of its kind.
func (c *Console) Heard(e events.Event, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.card.Heard()
	if e.Name == events.BurnStarted {
		c.burn(e, at)
		return
	}
	if c.shown[e.Name]++; c.shown[e.Name] > shownOthers {
		c.rest.add(e.Name)
		return
	}
	c.page.paragraph(c.stamp(at), faint, "· "+e.Name+": "+sentence(e))
}

func (c *Console) burn(e events.Event, at time.Time) {
	var said *fault.Culprit
	if len(e.Suspects) > 0 {
		said = &e.Suspects[0].Culprit
	}
	mark := c.card.Burn(e.SLO, said, at)
	name := e.Name + " " + marks[mark].word
	// Right and wrong ones are counted apart, so that many right ones hide no wrong one.
	if c.shown[name]++; c.shown[name] > shownBurns {
		c.rest.add(name)
		return
	}
	c.page.paragraph(c.stamp(at), marks[mark].style, marks[mark].sign+" "+headline(e))
	c.page.paragraph(indent, plain, sentence(e))
	if mark == score.Right {
		return // the sentence names the first suspect, and the others matter only where that one is wrong
	}
	for i, s := range e.Suspects[:min(len(e.Suspects), shownSuspects)] {
		c.page.paragraph(indent, faint, fmt.Sprintf("%d. %s, score %.2f: %s", i+1, s.Culprit, s.Score, s.Reason))
	}
}

var marks = map[score.Mark]struct {
	sign, word string
	style      style
}{
	score.Right:      {"✔", "right", green},
	score.Wrong:      {"✘", "wrong", red},
	score.Unnamed:    {"?", "without a suspect", yellow},
	score.FalseAlarm: {"✘", "without a fault", red},
}

func headline(e events.Event) string {
	head := strings.Join(strings.Fields(strings.Join([]string{e.Name, e.Severity, e.SLO}, " ")), " ")
	if len(e.Suspects) == 0 {
		return head
	}
	return head + " → " + e.Suspects[0].String()
}

func sentence(e events.Event) string {
	if e.Body != "" {
		return e.Body
	}
	return "(no text)"
}

// Trouble says, once, that telemetry does not reach the collector.
func (c *Console) Trouble(err error, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// A rollout ends what the former version still wanted to send; that says nothing about the collector. The exporters
	// keep no chain of errors that could be asked, only the text.
	if c.mute || strings.Contains(err.Error(), "context canceled") {
		return
	}
	c.mute = true
	c.page.paragraph(c.stamp(at), yellow, "! Telemetry does not get to the collector: "+events.Clean(err.Error()))
}

// Close prints the table and returns the result.
func (c *Console) Close() score.Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.condense()
	report := c.card.Report()
	c.page.blank()
	table(&c.page, report)
	return report
}

func (c *Console) condense() {
	if !c.rest.empty() {
		c.page.paragraph(indent, faint, "… and "+c.rest.String())
	}
	c.rest = tally{}
}

// indent is as wide as a stamp.
const indent = "                  "

// stamp is the time and how long after the injection that is.
func (c *Console) stamp(at time.Time) string {
	if c.since.IsZero() || !at.After(c.since) {
		return at.Format(clock) + indent[len(clock):]
	}
	return fmt.Sprintf("%s %+6.1fs  ", at.Format(clock), at.Sub(c.since).Seconds())
}

// tally counts what was not printed, in order of appearance.
type tally struct {
	names  []string
	counts map[string]int
}

func (t *tally) add(name string) {
	if t.counts == nil {
		t.counts = make(map[string]int)
	}
	if t.counts[name] == 0 {
		t.names = append(t.names, name)
	}
	t.counts[name]++
}

func (t *tally) empty() bool { return len(t.names) == 0 }

func (t *tally) String() string {
	parts := make([]string, len(t.names))
	for i, name := range t.names {
		parts[i] = fmt.Sprintf("%d × %s", t.counts[name], name)
	}
	return strings.Join(parts, ", ")
}
