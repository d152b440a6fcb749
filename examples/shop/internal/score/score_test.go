package score

import (
	"reflect"
	"testing"
	"time"

	"github.com/throughline-otel/throughline/examples/shop/internal/fault"
)

var (
	start    = time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	database = fault.Culprit{Name: "sqlite:shop", Layer: "data"}
	checkout = fault.Culprit{Name: "checkout", Layer: "application"}
	slow     = fault.Fault{Name: "slow-database", Culprit: database}
	bug      = fault.Fault{Name: "checkout-bug", Culprit: checkout}
)

func at(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }

func TestReport(t *testing.T) {
	type burn struct {
		said *fault.Culprit
		at   float64
		want Mark
	}
	for _, tt := range []struct {
		name    string
		burns   []burn
		lifted  bool
		verdict Verdict
		said    *fault.Culprit
		seconds float64
		ok      bool
	}{
		{
			name: "right", burns: []burn{{&database, 17.5, Right}, {&database, 20, Right}}, lifted: true,
			verdict: VerdictRight, said: &database, seconds: 7.5, ok: true,
		},
		{
			name: "right by name alone", burns: []burn{{&fault.Culprit{Name: "sqlite:shop"}, 12, Right}}, lifted: true,
			verdict: VerdictRight, said: &fault.Culprit{Name: "sqlite:shop"}, seconds: 2, ok: true,
		},
		{
			name: "wrong layer", burns: []burn{{&fault.Culprit{Name: "sqlite:shop", Layer: "external"}, 12, Wrong}}, lifted: true,
			verdict: VerdictWrong, said: &fault.Culprit{Name: "sqlite:shop", Layer: "external"}, seconds: 2,
		},
		{
			name: "one wrong among right ones", lifted: true,
			burns:   []burn{{&database, 12, Right}, {&checkout, 13, Wrong}, {&database, 14, Right}},
			verdict: VerdictWrong, said: &checkout, seconds: 2,
		},
		{
			name: "right after wrong", burns: []burn{{&checkout, 12, Wrong}, {&database, 13, Right}}, lifted: true,
			verdict: VerdictWrong, said: &checkout, seconds: 2,
		},
		{name: "names nobody", burns: []burn{{nil, 12, Unnamed}}, lifted: true, verdict: VerdictUnanswered},
		{name: "silence", lifted: true, verdict: VerdictUnanswered},
		{name: "stopped before", verdict: VerdictCutShort},
		{
			name: "answered, then stopped", burns: []burn{{&database, 12, Right}},
			verdict: VerdictRight, said: &database, seconds: 2, ok: true,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var c Card
			c.Heard()
			c.Injected(slow, at(10))
			for _, b := range tt.burns {
				if got := c.Burn("slo", b.said, at(b.at)); got != b.want {
					t.Errorf("at %v: mark %v, want %v", b.at, got, b.want)
				}
			}
			if tt.lifted {
				c.Lifted(at(30))
			}
			r := c.Report()
			a := r.Answers[0]
			if a.Verdict != tt.verdict || a.Seconds != tt.seconds || r.OK != tt.ok {
				t.Errorf("got %s after %v s, ok %v", a.Verdict, a.Seconds, r.OK)
			}
			if !reflect.DeepEqual(a.Said, tt.said) {
				t.Errorf("said %v, want %v", a.Said, tt.said)
			}
		})
	}
}

func TestFalseAlarm(t *testing.T) {
	var c Card
	c.Heard()
	if got := c.Burn("slo", &database, at(1)); got != FalseAlarm {
		t.Errorf("mark %v", got)
	}
	c.Injected(slow, at(10))
	c.Burn("slo", &database, at(12))
	r := c.Report()
	if r.OK || len(r.FalseAlarms) != 1 || r.FalseAlarms[0].SLO != "slo" || r.Answers[0].Verdict != VerdictRight {
		t.Errorf("got %+v", r)
	}
}

// TestTurns checks that each answer goes to the fault in whose time it came.
func TestTurns(t *testing.T) {
	var c Card
	c.Heard()
	c.Injected(slow, at(10))
	c.Lifted(at(30))
	c.Burn("slo", &database, at(35)) // late, but before the next
	c.Injected(bug, at(50))
	c.Burn("slo", &checkout, at(51))
	r := c.Report()
	if !r.OK || r.Answers[0].Seconds != 25 || r.Answers[1].Seconds != 1 {
		t.Errorf("got %+v", r)
	}
}

// TestDeaf checks that hearing nothing is never good.
func TestDeaf(t *testing.T) {
	var c Card
	c.Lifted(at(1))
	if r := c.Report(); r.OK {
		t.Errorf("got %+v", r)
	}
	c.Heard()
	if r := c.Report(); !r.OK {
		t.Errorf("got %+v", r)
	}
}
