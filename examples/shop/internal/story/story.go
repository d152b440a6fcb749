// Package story tells the shop's story: it opens the shop, lets customers in, breaks one thing
// after the other, and listens to what Throughline says.
package story

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.opentelemetry.io/otel"

	"github.com/throughline-otel/throughline/examples/shop/internal/console"
	"github.com/throughline-otel/throughline/examples/shop/internal/events"
	"github.com/throughline-otel/throughline/examples/shop/internal/fault"
	"github.com/throughline-otel/throughline/examples/shop/internal/load"
	"github.com/throughline-otel/throughline/examples/shop/internal/score"
	"github.com/throughline-otel/throughline/examples/shop/internal/shop"
)

// closeTimeout is how long the shop may take to end its requests and to flush its telemetry.
const closeTimeout = 15 * time.Second

// Config is what can be chosen.
type Config struct {
	OTLP    string // where the shop's telemetry goes
	Events  string // where Throughline's events come in
	Rate    float64
	Seed    uint64
	Plan    fault.Plan
	Faults  []string
	MailLog string
	JSON    string // file for the result; none if empty
	Colour  bool
}

// Validate returns an error if the story cannot be told.
func (c Config) Validate() error {
	if c.Rate <= 0 {
		return errors.New("the rate must be above zero")
	}
	if err := c.Plan.Validate(); err != nil {
		return err
	}
	if _, err := fault.Select(new(shop.Shop).Faults(), c.Faults); err != nil {
		return err
	}
	if len(c.Faults) > 0 && c.Plan.Slots() == 0 {
		return fmt.Errorf("a run of %s has no room for a fault: the first ends at %s",
			c.Plan.Duration, c.Plan.Warmup+c.Plan.Every)
	}
	return nil
}

// Run tells the story until the plan or ctx ends, and returns its result.
func Run(ctx context.Context, c Config, out io.Writer) (report score.Report, err error) {
	if err := c.Validate(); err != nil {
		return report, err
	}
	mailLog, err := create(c.MailLog)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, mailLog.Close()) }()

	screen := console.New(out, c.Colour)
	// The SDK knows only one place for its own problems.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { screen.Trouble(err, time.Now()) }))

	receiver, err := events.Listen(c.Events, screen.Heard)
	if err != nil {
		return report, err
	}
	defer receiver.Close()

	screen.Intro(c.intro()...)
	if err := c.tell(ctx, screen, mailLog); err != nil {
		return report, err
	}
	report = screen.Close()
	if c.JSON != "" {
		return report, write(c.JSON, report)
	}
	return report, nil
}

func (c Config) tell(ctx context.Context, screen *console.Console, mailLog io.Writer) error {
	s, err := shop.Start(ctx, c.OTLP, mailLog)
	if err != nil {
		return err
	}
	faults, err := fault.Select(s.Faults(), c.Faults)
	if err == nil {
		err = c.play(ctx, s, faults, screen)
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	return errors.Join(err, s.Close(closing))
}

func (c Config) play(ctx context.Context, s *shop.Shop, faults []fault.Fault, screen *console.Console) error {
	customers, stop := context.WithCancel(ctx)
	var door sync.WaitGroup
	door.Go(func() { load.Run(customers, s.Network, c.Rate, c.Seed) })
	err := c.Plan.Run(ctx, faults, screen)
	stop()
	door.Wait()
	return err
}

func (c Config) intro() []string {
	lines := []string{
		fmt.Sprintf("The shop is open: %g requests a second; telemetry goes to %s, and what Throughline says about it comes in at %s.",
			c.Rate, c.OTLP, c.Events),
	}
	if len(c.Faults) == 0 {
		return append(lines, "Nothing will be broken, so that nothing should be announced.")
	}
	until := "Ctrl-C ends it."
	if c.Plan.Duration > 0 {
		until = fmt.Sprintf("It ends after %s.", c.Plan.Duration)
	}
	return append(lines, fmt.Sprintf("After %s without a fault, something else breaks every %s, for %s. %s",
		c.Plan.Warmup, c.Plan.Every, c.Plan.Length, until))
}

func create(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	return os.Create(path)
}

func write(path string, report score.Report) error {
	data, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}
