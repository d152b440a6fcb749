// Command replay posts recorded telemetry to an OpenTelemetry collector, in order, at its own speed, a multiple of it, or
// as fast as the collector takes it. See README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/throughline-otel/throughline/examples/replay/internal/pacer"
	"github.com/throughline-otel/throughline/examples/replay/internal/progress"
	"github.com/throughline-otel/throughline/examples/replay/internal/recording"
	"github.com/throughline-otel/throughline/examples/replay/internal/replay"
	"github.com/throughline-otel/throughline/examples/replay/internal/sender"
)

// The exit codes.
const (
	exitAccepted = 0 // all was accepted
	exitFailed   = 1 // something was not accepted, or could not be read
	exitUsage    = 2 // the command line is wrong; nothing was sent
)

// maxPartials bounds how many partial rejections are told one by one; the summary has the sum of all.
const maxPartials = 10

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process the usual way
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, term.IsTerminal(int(os.Stderr.Fd())))
	stop()
	os.Exit(code)
}

// run is the command: it returns the exit code. terminal says whether stderr is one.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, terminal bool) int {
	o, err := parseFlags(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return exitAccepted
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "replay: %v (-help explains)\n", err)
		return exitUsage
	}
	reader, err := recording.Open(o.files, stdin)
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "replay: %v\n", err)
		return exitFailed
	}
	screen := &screen{stderr: stderr}
	o.sender.OnRetry = screen.retry
	dst, err := sender.New(o.sender)
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "replay: -endpoint: %v\n", err)
		return exitUsage
	}
	defer dst.Close()
	if !o.quiet {
		screen.meter = progress.Start(stderr, terminal, reader.Size())
	}

	totals, err := replay.Run(ctx, reader, reader.Close, dst, replay.Options{
		Pacer:     o.pacer,
		Shift:     o.shift,
		OnAccept:  screen.accept,
		OnPartial: screen.partial,
	})
	screen.stop()
	_, _ = fmt.Fprintln(stdout, totals)
	switch {
	case err != nil && ctx.Err() != nil:
		_, _ = fmt.Fprintln(stderr, "replay: stopped before the end of the recording")
		return exitFailed
	case err != nil:
		_, _ = fmt.Fprintf(stderr, "replay: %v\n", err)
		return exitFailed
	case totals.Rejected > 0:
		_, _ = fmt.Fprintf(stderr, "replay: the collector rejected %d of %d items\n", totals.Rejected, totals.Counts.Items())
		return exitFailed
	}
	return exitAccepted
}

// options is the command line, checked.
type options struct {
	files  []string
	sender sender.Options
	pacer  *pacer.Pacer // nil: as fast as the collector takes it
	shift  bool
	quiet  bool
}

func parseFlags(args []string, output io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("replay", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // run prints the error once, without the whole help
	header := headerFlag{}
	flags.StringVar(&o.sender.Endpoint, "endpoint", "http://127.0.0.1:4318", "`URL` of the collector's OTLP/HTTP receiver, without /v1/…")
	flags.Var(header, "header", "`name=value` to send with each request, such as Authorization='Bearer …'; may be repeated")
	speed := flags.String("speed", "max", "`factor` on the recording's own speed: 1, 10, 0.5, …; max is as fast as the collector takes it")
	maxGap := flags.Duration("max-gap", 5*time.Second, "longest wait between two lines, after -speed; gaps in the recording that are longer are shortened; 0 keeps them")
	shift := flags.String("shift", "", "now: move all times so that the recording begins now; needs -speed 1")
	flags.DurationVar(&o.sender.Timeout, "timeout", 30*time.Second, "how long one request may take")
	flags.DurationVar(&o.sender.RetryFor, "retry-for", time.Minute, "how long a request is tried again while the collector cannot be reached or asks for patience")
	flags.BoolVar(&o.quiet, "quiet", false, "show no progress; errors and the summary remain")

	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			flags.SetOutput(output)
			_, _ = fmt.Fprint(output, "Usage: replay [flags] FILE...\n\nPosts recorded OTLP (JSON lines; plain, gzip or zstd; - is stdin) to a collector, in order.\n\n")
			flags.PrintDefaults()
		}
		return options{}, err
	}
	o.files = flags.Args()
	o.sender.Header = http.Header(header)
	if len(o.files) == 0 {
		return options{}, errors.New("no file given")
	}
	if o.sender.Timeout <= 0 {
		return options{}, errors.New("-timeout must be above 0")
	}
	if o.sender.RetryFor < 0 {
		return options{}, errors.New("-retry-for must not be negative")
	}
	if *maxGap < 0 {
		return options{}, errors.New("-max-gap must not be negative")
	}
	factor := 0.0
	if *speed != "max" {
		var err error
		factor, err = strconv.ParseFloat(*speed, 64)
		if err != nil || !(factor > 0) || math.IsInf(factor, 0) {
			return options{}, fmt.Errorf("-speed %q is neither max nor a number above 0", *speed)
		}
		o.pacer = pacer.New(factor, *maxGap)
	}
	switch {
	case *shift == "":
	case *shift != "now":
		return options{}, fmt.Errorf("-shift %q: the only value is now", *shift)
	case factor != 1:
		return options{}, errors.New("-shift now needs -speed 1: at another speed the times would not fit the durations")
	default:
		o.shift = true
	}
	return o, nil
}

// headerFlag collects -header flags.
type headerFlag http.Header

func (h headerFlag) String() string { return "" }

func (h headerFlag) Set(text string) error {
	name, value, ok := strings.Cut(text, "=")
	if name = strings.TrimSpace(name); !ok || name == "" {
		return errors.New("is not name=value")
	}
	http.Header(h).Add(name, strings.TrimSpace(value))
	return nil
}

// screen is what a person sees while the replay runs.
type screen struct {
	stderr   io.Writer
	meter    *progress.Meter // nil if quiet
	waiting  bool            // a retry was announced, and nothing has been accepted since
	partials int
}

func (s *screen) accept(totals replay.Totals, line recording.Line) {
	s.waiting = false
	if s.meter != nil {
		s.meter.Update(progress.State{Bytes: line.Offset, Lines: totals.Lines, Items: totals.Counts.Items()})
	}
}

func (s *screen) retry(cause error, _ time.Duration) {
	if s.waiting {
		return // once per stretch of trouble
	}
	s.waiting = true
	s.notice(fmt.Sprintf("replay: the collector does not take it now, trying again: %v", cause))
}

func (s *screen) partial(line recording.Line, signal recording.Signal, result sender.Result) {
	s.partials++
	if s.partials > maxPartials {
		return
	}
	text := fmt.Sprintf("replay: %s:%d: the collector rejected %d items of %s: %s", line.File, line.Number, result.Rejected, signal, result.Message)
	if result.Rejected == 0 {
		text = fmt.Sprintf("replay: %s:%d: the collector took all %s, with a warning: %s", line.File, line.Number, signal, result.Message)
	}
	if s.partials == maxPartials {
		text += " (more of this kind will be counted, but not shown)"
	}
	s.notice(text)
}

func (s *screen) notice(text string) {
	if s.meter == nil {
		_, _ = fmt.Fprintln(s.stderr, text)
		return
	}
	s.meter.Notice(text)
}

func (s *screen) stop() {
	if s.meter != nil {
		s.meter.Stop()
	}
}
