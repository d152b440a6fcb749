package console

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/throughline-otel/throughline/examples/shop/internal/events"
	"github.com/throughline-otel/throughline/examples/shop/internal/fault"
)

var update = flag.Bool("update", false, "write the golden files")

var start = time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)

func at(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }

var (
	slow = fault.Fault{
		Name: "slow-database", Story: "each query takes 250 ms longer",
		Culprit: fault.Culprit{Name: "sqlite:shop", Layer: "data"},
	}
	bug = fault.Fault{
		Name: "checkout-bug", Story: "version 1.5.0 of checkout is rolled out; it panics in its own code",
		Culprit: fault.Culprit{Name: "checkout", Layer: "application"},
	}
	down = fault.Fault{
		Name: "card-provider-down", Story: "the card provider refuses connections",
		Culprit: fault.Culprit{Name: "cards.example.com", Layer: "external"},
	}
)

func burn(slo string, suspects ...events.Suspect) events.Event {
	return events.Event{
		Name: events.BurnStarted, SLO: slo, Service: "front", Severity: "page", Suspects: suspects,
		Body: "The error budget of " + slo + " burns 21 times too fast and will be gone in 34 hours: since 15:04:24" +
			" most of the bad requests wait for somebody else.",
	}
}

func suspect(name, layer string, score float64) events.Suspect {
	return events.Suspect{
		Culprit: fault.Culprit{Name: name, Layer: layer}, Score: score,
		Reason: "its own time grew from 12 ms to 262 ms",
	}
}

// story is everything that a console can be told.
func story(c *Console) {
	c.Intro("The shop is open.", "After 20s without a fault, something else breaks every 40s.")
	for i, name := range []string{"front → checkout", "checkout → payments", "payments → sqlite:shop", "checkout → catalog"} {
		c.Heard(events.Event{Name: "dependency.discovered", Body: name + " was seen for the first time."}, at(float64(i)))
	}
	c.Heard(burn("front-availability"), at(10))

	c.Injected(slow, at(20))
	c.Heard(events.Event{Name: "dependency.state_changed"}, at(23.26))
	for i := range 5 {
		c.Heard(burn("front-latency", suspect("sqlite:shop", "data", 0.92), suspect("payments", "application", 0.08)),
			at(27.5+float64(i)))
	}
	c.Lifted(slow, at(40))
	c.Heard(events.Event{Name: events.BurnResolved, SLO: "front-latency", Body: "front-latency is well again."}, at(50))

	c.Injected(bug, at(60))
	c.Heard(burn("front-availability", suspect("checkout", "application", 1)), at(64))
	c.Heard(burn("front-latency"), at(65))
	c.Heard(burn("front-latency",
		suspect("a-service-with-a-name-that-never-ends.example.com", "platform", 0.6), suspect("checkout", "application", 0.4)), at(66))
	c.Trouble(errors.New("connection\nrefused"), at(67))
	c.Trouble(errors.New("connection refused"), at(68))
	c.Lifted(bug, at(80))

	c.Injected(down, at(100))
}

func TestTimeline(t *testing.T) {
	for name, colour := range map[string]bool{"plain": false, "colour": true} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			c := New(&out, colour)
			story(c)
			if report := c.Close(); report.OK || report.Events != 15 {
				t.Errorf("report %+v", report)
			}
			golden(t, name+".golden", out.Bytes())
			if colour {
				return
			}
			for line := range strings.Lines(out.String()) {
				if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > width {
					t.Errorf("%d columns: %s", n, line)
				}
			}
		})
	}
}

func TestAllRight(t *testing.T) {
	var out bytes.Buffer
	c := New(&out, false)
	c.Injected(slow, at(20))
	c.Heard(burn("front-latency", suspect("sqlite:shop", "data", 0.92)), at(27.5))
	c.Lifted(slow, at(40))
	if report := c.Close(); !report.OK {
		t.Errorf("report %+v", report)
	}
	golden(t, "right.golden", out.Bytes())
}

func TestNothingHeard(t *testing.T) {
	var out bytes.Buffer
	c := New(&out, false)
	if c.Close().OK {
		t.Error("silence is fine")
	}
	golden(t, "silence.golden", out.Bytes())
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs:\n%s", path, got)
	}
}

func TestWrap(t *testing.T) {
	for _, tt := range []struct {
		text string
		want []string
	}{
		{"", []string{""}},
		{"one two", []string{"one two"}},
		{"one two three four", []string{"one two", "three four"}},
		{"abcdefghijklmnopqrstuvwxyz", []string{"abcdefghij", "klmnopqrst", "uvwxyz"}},
		{"a abcdefghijklm", []string{"a", "abcdefghij", "klm"}},
		{"ääääääääää ö", []string{"ääääääääää", "ö"}},
	} {
		if got := wrap(tt.text, 10); strings.Join(got, "|") != strings.Join(tt.want, "|") {
			t.Errorf("%q: got %q", tt.text, got)
		}
	}
}
