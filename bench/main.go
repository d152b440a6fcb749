// Command bench measures Throughline's components beside their peers, in one process and in turns, and prints what a span
// costs each of them. README.md says how.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strconv"
	"text/tabwriter"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

const (
	shopFile     = "testdata/shop.jsonl.zst"
	recordedFile = "day-ob-20220822.jsonl.zst"
	// loggedFile has log records, too; it is for correlation only.
	loggedFile = "day-tt-20230129.jsonl.zst"
	// recordedSpans is how many of the recorded spans are taken: more than fit into any cache of the processor.
	recordedSpans = 20_000
	// budget is what a ratio may be.
	budget = 0.25
	// heldBudget is the bytes that a held span may need.
	heldBudget = 160
)

func main() {
	profile := flag.String("profile", "", "`file` to write a profile of service_health alone to, instead of measuring")
	long := flag.Duration("soak", 0, "feed service_health for this `time` at full speed with ever new services, instead of measuring")
	drawn := flag.String("plot", "", "SVG `file` to draw the soak into")
	flag.Parse()
	if *long > 0 {
		if err := runSoak(os.Stdout, *long, *drawn); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	err := run(os.Stdout, os.Getenv("THROUGHLINE_DATA"), *profile)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(out io.Writer, data, profile string) error {
	shop, err := load("shop", shopFile, plenty)
	if err != nil {
		return err
	}
	workloads := []*workload{shop}
	var logged *workload
	if data == "" {
		say(out, "no recorded spans: THROUGHLINE_DATA names no folder")
	} else {
		recorded, err := load("recorded", filepath.Join(data, recordedFile), recordedSpans)
		if err == nil {
			logged, err = load("recorded with logs", filepath.Join(data, loggedFile), recordedSpans)
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			say(out, "no recorded spans: %v", err)
		case err != nil:
			return err
		default:
			workloads = append(workloads, recorded)
		}
	}
	// The warm-up is longer than the shop's recording: service_health compares no trace that began before it did with others.
	p := plan{warm: 24, turns: 12, spans: 25_000, scaling: 15, held: 500_000, rounds: 5, passes: 3}
	if profile != "" {
		return profileTo(profile, workloads, p)
	}
	say(out, "%s, %d cores, GOMAXPROCS %d", runtime.Version(), runtime.NumCPU(), runtime.GOMAXPROCS(0))
	for _, w := range workloads {
		if err := report(out, w, p); err != nil {
			return err
		}
	}
	if logged == nil {
		return nil
	}
	introduce(out, logged)
	return reportCorrelation(out, logged, p)
}

func introduce(out io.Writer, w *workload) {
	say(out, "\n%s: %d spans in %d batches of %d services, again and again with new trace IDs", w.name, w.spans, len(w.traces), len(w.services()))
}

func report(out io.Writer, w *workload, p plan) error {
	f := newFeed(w)
	introduce(out, w)

	subjects := []subject{ours, defaults, roomy}
	spent, err := compare(subjects, f, p)
	if err != nil {
		return err
	}
	t := newTable(out)
	t.row("component", "cpu ns/span", "wall ns/span", "B/span", "allocs/span", "held", "no room for", "flushes/turn", "undisturbed")
	for i, s := range subjects {
		one := spent[i]
		t.row(s.name, number(one.cpu), number(one.wall), number(one.bytes), fmt.Sprintf("%.3f", one.allocs),
			strconv.FormatInt(one.held, 10), fmt.Sprintf("%.0f %%", 100*one.uncounted), fmt.Sprintf("%.1f", one.flushes), strconv.Itoa(one.turns))
	}
	t.end()
	for i, peer := range spent[1:] {
		mine := spent[0]
		say(out, "÷ %s: cpu %s, wall %.2f, B %.3f, allocs %.4f", subjects[i+1].name,
			verdict(mine.cpu/peer.cpu, budget), mine.wall/peer.wall, mine.bytes/peer.bytes, mine.allocs/peer.allocs)
	}

	if err := reportDiagnosis(out, f, p); err != nil {
		return err
	}
	perSpan, held, err := hold(f, p)
	if err != nil {
		return err
	}
	say(out, "memory: %s B per span with %d held (budget %d)", verdict(perSpan, heldBudget), held, heldBudget)
	for _, s := range []subject{ours, roomy} {
		r, err := s.make(w)
		if err != nil {
			return err
		}
		if err := errors.Join(reportScaling(out, s.name, r.consume, f, p), r.stop()); err != nil {
			return err
		}
	}
	return reportCorrelation(out, w, p)
}

func reportScaling(out io.Writer, name string, consume func(ptrace.Traces) error, f *feed, p plan) error {
	did, err := scale(consume, f, p)
	if err != nil {
		return err
	}
	say(out, "%s: two goroutines feed %.2f times as fast as one, which feeds %s spans/s (work that shares nothing: %.2f times)",
		name, did.factor, number(did.perSecond), did.machine)
	return nil
}

func reportCorrelation(out io.Writer, w *workload, p plan) error {
	jobs, err := correlate(w, p)
	if err != nil {
		return err
	}
	t := newTable(out)
	t.row("correlation", "cpu ns", "B", "allocs", "unmarshal cpu ns", "B", "allocs", "cpu ratio")
	for _, j := range jobs {
		t.row(fmt.Sprintf("per %s (%d)", j.items, j.count), number(j.adorn.cpu), number(j.adorn.bytes), fmt.Sprintf("%.2f", j.adorn.allocs),
			number(j.unmarshal.cpu), number(j.unmarshal.bytes), fmt.Sprintf("%.2f", j.unmarshal.allocs), verdict(j.adorn.cpu/j.unmarshal.cpu, budget))
	}
	t.end()
	c, err := newCorrelator()
	if err != nil {
		return err
	}
	return errors.Join(reportScaling(out, "correlation", c.consumeTraces, newFeed(w), p), c.stop())
}

// profileTo writes where service_health spends its time on all workloads.
func profileTo(path string, workloads []*workload, p plan) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return errors.Join(err, file.Close())
	}
	for _, w := range workloads {
		f := newFeed(w)
		spent, err := compare([]subject{ours}, f, p)
		if err != nil {
			return errors.Join(err, file.Close())
		}
		say(os.Stdout, "%s: %s ns of processor time per span", w.name, number(spent[0].cpu))
	}
	pprof.StopCPUProfile()
	return file.Close()
}

func verdict(is, allowed float64) string {
	said := "missed"
	if is <= allowed {
		said = "met"
	}
	return fmt.Sprintf("%.3g (%s)", is, said)
}

func number(f float64) string { return fmt.Sprintf("%.0f", f) }

func say(out io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(out, format+"\n", args...)
}

// table lines up what is printed.
type table struct{ w *tabwriter.Writer }

func newTable(out io.Writer) table {
	return table{tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)}
}

func (t table) row(cells ...string) {
	for _, cell := range cells {
		_, _ = fmt.Fprint(t.w, cell, "\t")
	}
	_, _ = fmt.Fprintln(t.w)
}

func (t table) end() { _ = t.w.Flush() }
