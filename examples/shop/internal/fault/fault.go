// Package fault says what can go wrong in the shop and whose fault it is, and when it goes wrong.
package fault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Culprit is who causes a fault.
type Culprit struct {
	Name  string `json:"name"`
	Layer string `json:"layer,omitempty"`
}

func (c Culprit) String() string {
	if c.Layer == "" {
		return c.Name
	}
	return c.Name + " (" + c.Layer + ")"
}

// Is says whether somebody named the culprit. Who names no layer is judged by the name alone.
func (c Culprit) Is(named Culprit) bool {
	return c.Name == named.Name && (named.Layer == "" || c.Layer == named.Layer)
}

// Fault is something that can be broken and repaired.
type Fault struct {
	Name    string
	Story   string // what happens, for people
	Culprit Culprit

	Inject func(context.Context) error
	Lift   func(context.Context) error
}

// Select returns the faults with these names, in the order of the names.
func Select(all []Fault, names []string) ([]Fault, error) {
	chosen := make([]Fault, 0, len(names))
	for _, name := range names {
		i := slices.IndexFunc(all, func(f Fault) bool { return f.Name == name })
		if i < 0 {
			known := make([]string, len(all))
			for i, f := range all {
				known[i] = f.Name
			}
			return nil, fmt.Errorf("no fault %q; there are %s", name, strings.Join(known, ", "))
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// Plan is when faults happen: after the Warmup one of them Every so often, each for Length, until
// Duration is over. A fault that would not have its whole slot does not happen. A Duration of zero
// has no end.
type Plan struct {
	Warmup, Every, Length, Duration time.Duration
}

// Validate returns an error if the plan cannot be carried out.
func (p Plan) Validate() error {
	switch {
	case p.Warmup < 0 || p.Duration < 0:
		return errors.New("warm-up and duration must not be negative")
	case p.Length <= 0:
		return errors.New("a fault must last some time")
	case p.Every < p.Length:
		return fmt.Errorf("faults that last %s cannot happen every %s", p.Length, p.Every)
	default:
		return nil
	}
}

// Slots is how many faults fit into the plan; -1 if there is no end.
func (p Plan) Slots() int {
	if p.Duration == 0 {
		return -1
	}
	return max(0, int((p.Duration-p.Warmup)/p.Every))
}

// Witness is told what happens.
type Witness interface {
	Injected(f Fault, at time.Time)
	// Lifted is not called for a fault that was cut short by the end of the run.
	Lifted(f Fault, at time.Time)
}

// Run carries out the plan with the faults in turn, and ends with ctx or with the plan. A fault
// that is on when ctx ends is lifted before Run returns.
func (p Plan) Run(ctx context.Context, faults []Fault, w Witness) error {
	start := time.Now()
	if len(faults) > 0 {
		for i := 0; i != p.Slots(); i++ {
			if !waitUntil(ctx, start.Add(p.Warmup+time.Duration(i)*p.Every)) {
				return nil
			}
			if err := p.once(ctx, faults[i%len(faults)], w); err != nil {
				return err
			}
		}
	}
	if p.Duration == 0 {
		<-ctx.Done()
		return nil
	}
	waitUntil(ctx, start.Add(p.Duration))
	return nil
}

func (p Plan) once(ctx context.Context, f Fault, w Witness) error {
	at := time.Now()
	w.Injected(f, at)
	if err := f.Inject(ctx); err != nil {
		return fmt.Errorf("inject %s: %w", f.Name, err)
	}
	whole := waitUntil(ctx, at.Add(p.Length))
	if err := f.Lift(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("lift %s: %w", f.Name, err)
	}
	if whole {
		w.Lifted(f, time.Now())
	}
	return nil
}

// waitUntil returns false if ctx ended before.
func waitUntil(ctx context.Context, at time.Time) bool {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
