package sli

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/openslo"
)

// NotJudged is why an item that is an event of an objective can be called neither good nor bad. It is an attribute of the
// self-telemetry.
type NotJudged string

// Error is the reason.
func (n NotJudged) Error() string { return string(n) }

// Failed is the reason for which OTTL gave no answer.
const Failed NotJudged = "failed"

var (
	// ErrNoNumber says that an item has nothing that could be compared with a threshold: the value is missing, is a text, or is
	// not a number. No data is neither good nor bad.
	ErrNoNumber error = NotJudged("no_number")
	// ErrNoShare says that what was computed elsewhere is no share from 0 to 1.
	ErrNoShare error = NotJudged("no_share")
)

// ReasonOf is the reason behind an error of an indicator.
func ReasonOf(err error) NotJudged {
	var reason NotJudged
	if errors.As(err, &reason) {
		return reason
	}
	return Failed
}

// indicator is what the indicators on all signals have in common. K is OTTL's view of an item. It is safe for concurrent use.
type indicator[K any] struct {
	objective                 uint32
	groups                    *groups
	total, exclude, good, bad *condition[K]
	value, raw                *value[K]
	rawIsBad                  bool
	op                        openslo.Operator
	threshold                 float64
}

// Objective is the index of the objective among those that were compiled.
func (i *indicator[K]) Objective() uint32 { return i.objective }

// regroup makes others the groups of the indicator's items.
func (i *indicator[K]) regroup(g *groups) { i.groups = g }

// class says whether an item is an event of an objective.
type class int8

const (
	foreign  class = iota // it is none
	excluded              // it would be one, but must not count
	event
)

// classify asks for exclusion only where an item is in total, since most are not.
func (i *indicator[K]) classify(ctx context.Context, tctx K, it item) (class, error) {
	if i.total != nil {
		if in, err := i.total.eval(ctx, tctx, it); err != nil || !in {
			return foreign, err
		}
	}
	if i.exclude != nil {
		if out, err := i.exclude.eval(ctx, tctx, it); err != nil || out {
			return excluded, err
		}
	}
	return event, nil
}

// share is how much of an event is good: all of it, nothing, or what was computed elsewhere.
func (i *indicator[K]) share(ctx context.Context, tctx K, it item) (float64, error) {
	switch {
	case i.good != nil:
		good, err := i.good.eval(ctx, tctx, it)
		return shareOf(good), err
	case i.bad != nil:
		bad, err := i.bad.eval(ctx, tctx, it)
		return shareOf(!bad), err
	case i.raw != nil:
		return i.rawShare(ctx, tctx, it)
	default:
		measured, err := i.value.eval(ctx, tctx, it)
		return shareOf(i.compare(measured)), err
	}
}

func (i *indicator[K]) rawShare(ctx context.Context, tctx K, it item) (float64, error) {
	share, err := i.raw.eval(ctx, tctx, it)
	switch {
	case err != nil:
		return 0, err
	case share < 0 || share > 1:
		return 0, ErrNoShare
	case i.rawIsBad:
		return 1 - share, nil
	default:
		return share, nil
	}
}

func shareOf(good bool) float64 {
	if good {
		return 1
	}
	return 0
}

func (i *indicator[K]) compare(measured float64) bool {
	switch i.op {
	case openslo.LessThan:
		return measured < i.threshold
	case openslo.LessOrEqual:
		return measured <= i.threshold
	case openslo.GreaterThan:
		return measured > i.threshold
	default:
		return measured >= i.threshold
	}
}

// group is the number of an item's group: 0 if the objective has no groupBy, 1 if it has more groups than [MaxGroups].
func (i *indicator[K]) group(it item) uint32 {
	if len(i.groups.by) == 0 {
		return 0
	}
	return i.groups.of(it.attributes(), it.resource())
}

// condition is a condition in OTTL, and as plain comparisons if it consists of such.
type condition[K any] struct {
	plain plain
	ottl  *ottl.Condition[K]
}

func (c *condition[K]) eval(ctx context.Context, tctx K, it item) (bool, error) {
	if c.plain != nil {
		if answer := c.plain.ask(it); answer != unknown {
			return answer == yes, nil
		}
	}
	return c.ottl.Eval(ctx, tctx)
}

// value is a value in OTTL, and as a plain one if it is such.
type value[K any] struct {
	plain *operand
	ottl  *ottl.ValueExpression[K]
}

func (v *value[K]) eval(ctx context.Context, tctx K, it item) (float64, error) {
	if v.plain != nil {
		if number, ok := v.plain.number(it); ok {
			return checked(number)
		}
	}
	result, err := v.ottl.Eval(ctx, tctx)
	if err != nil {
		return 0, err
	}
	switch result := result.(type) {
	case int64:
		return float64(result), nil
	case float64:
		return checked(result)
	case time.Duration:
		return seconds(result), nil
	default:
		return 0, ErrNoNumber
	}
}

func checked(number float64) (float64, error) {
	if math.IsNaN(number) || math.IsInf(number, 0) {
		return 0, ErrNoNumber
	}
	return number, nil
}

// seconds rounds once. Duration.Seconds rounds twice, so that 300 ms could be another number than the 0.3 of a document.
func seconds(d time.Duration) float64 { return float64(d) / float64(time.Second) }
