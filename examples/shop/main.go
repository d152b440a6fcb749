// Command shop is a small real system to watch with Throughline: a few services with their own
// telemetry, customers, faults whose culprits are known, and a console that keeps the score.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/throughline-otel/throughline/examples/shop/internal/shop"
	"github.com/throughline-otel/throughline/examples/shop/internal/story"
)

// Exit codes: whether Throughline was right about everything, or the shop could not even open.
const (
	exitRight = iota
	exitWrong
	exitUnusable
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	config, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return exitRight
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "shop:", err)
		return exitUnusable
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	report, err := story.Run(ctx, config, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "shop:", err)
		return exitUnusable
	}
	if !report.OK {
		return exitWrong
	}
	return exitRight
}

func parse(args []string) (story.Config, error) {
	var c story.Config
	var faults string
	flags := flag.NewFlagSet("shop", flag.ContinueOnError)
	flags.StringVar(&c.OTLP, "otlp", "127.0.0.1:4317", "`address` of the collector's OTLP gRPC receiver")
	flags.StringVar(&c.Events, "events", "127.0.0.1:4327", "`address` to receive Throughline's events at, as OTLP logs by gRPC")
	flags.Float64Var(&c.Rate, "rate", 40, "requests a second")
	flags.Uint64Var(&c.Seed, "seed", 1, "seed of the customers' choices")
	flags.DurationVar(&c.Plan.Warmup, "warmup", 20*time.Second, "time without a fault at the start, to learn what is usual")
	flags.DurationVar(&c.Plan.Every, "every", 40*time.Second, "time from one fault to the next")
	flags.DurationVar(&c.Plan.Length, "fault-length", 20*time.Second, "how long a fault lasts")
	flags.DurationVar(&c.Plan.Duration, "duration", 0, "end after this time; 0 runs until Ctrl-C")
	flags.StringVar(&faults, "faults", strings.Join(shop.FaultNames(), ","), "comma separated `names`, or none")
	flags.StringVar(&c.MailLog, "mail-log", filepath.Join(os.TempDir(), "throughline-shop", "mail.log"), "`file` that mail logs to")
	flags.StringVar(&c.JSON, "json", "", "`file` to write the result to")
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	if flags.NArg() > 0 {
		return c, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if faults != "none" {
		c.Faults = strings.Split(faults, ",")
	}
	c.Colour = os.Getenv("NO_COLOR") == "" && isTerminal(os.Stdout)
	return c, c.Validate()
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
