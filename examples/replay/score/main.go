// Command score compares what was said of recordings with what is known of them: whether the faulty service was named, how soon, and
// what was said while nothing was wrong.
//
//	score CASES.json EVENTS [--json]
//
// ../README.md says what CASES.json holds. EVENTS is a folder with the events of each recording as ID.jsonl: OTLP/JSON log requests, one a
// line, as the collector's file exporter writes them.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

func main() {
	args := os.Args[1:]
	asJSON := len(args) == 3 && args[2] == "--json"
	if len(args) != 2 && !asJSON {
		fmt.Fprintln(os.Stderr, "usage: score CASES.json EVENTS [--json]")
		os.Exit(2)
	}
	if err := run(os.Stdout, args[0], args[1], asJSON); err != nil {
		fmt.Fprintln(os.Stderr, "score:", err)
		os.Exit(1)
	}
}

func run(out io.Writer, cases, events string, asJSON bool) error {
	text, err := os.ReadFile(cases)
	if err != nil {
		return err
	}
	var known labels
	if err := json.Unmarshal(text, &known); err != nil {
		return fmt.Errorf("%s: %w", cases, err)
	}
	if len(known.Cases)+len(known.Days) == 0 {
		return fmt.Errorf("%s: no cases and no days", cases)
	}
	result, err := known.score(events)
	if err != nil {
		return err
	}
	if asJSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", " ")
		return encoder.Encode(result)
	}
	return result.write(out)
}

// write prints each case, each group of them, and the false alarms.
func (s score) write(out io.Writer) error {
	w := &printer{to: out}
	for _, a := range s.Cases {
		if a.Rank == nil {
			w.printf("%-24s %-28s no answer\n", a.ID, a.Truth)
			continue
		}
		w.printf("%-24s %-28s rank %-3d after %.0f s  %v\n", a.ID, a.Truth, *a.Rank, *a.Seconds, a.Answer[:min(3, len(a.Answer))])
	}
	w.printf("\n%-28s %6s %9s %8s %8s %9s\n", "group", "cases", "answered", "top-1", "top-3", "median s")
	for _, g := range s.groups() {
		var seconds []float64
		var first, firstThree int
		for _, a := range g.answers {
			if a.Rank == nil {
				continue
			}
			seconds = append(seconds, *a.Seconds)
			if *a.Rank == 1 {
				first++
			}
			if *a.Rank <= 3 {
				firstThree++
			}
		}
		median := "-"
		if len(seconds) > 0 {
			slices.Sort(seconds)
			median = fmt.Sprintf("%.0f", (seconds[(len(seconds)-1)/2]+seconds[len(seconds)/2])/2)
		}
		share := func(n int) float64 { return 100 * float64(n) / float64(len(g.answers)) }
		w.printf("%-28s %6d %9d %7.1f%% %7.1f%% %9s\n", g.name, len(g.answers), len(seconds), share(first), share(firstThree), median)
	}
	for _, a := range s.Alarms {
		w.printf("false alarms on %s: %d in %.2f fault-free hours\n", a.Day, a.Alarms, a.Hours)
	}
	return w.failed
}

// printer keeps the first error.
type printer struct {
	to     io.Writer
	failed error
}

func (p *printer) printf(format string, values ...any) {
	_, err := fmt.Fprintf(p.to, format, values...)
	p.failed = errors.Join(p.failed, err)
}
