package sli

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlspan"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/openslo"
)

// ErrNoNumber says that an item is an event of an objective with a threshold, but has nothing that could be compared with it:
// the value is missing, is a text, or is not a number. No data is neither good nor bad.
var ErrNoNumber = errors.New("the value is neither a number nor a duration")

// Verdict is what an indicator says about one item.
type Verdict struct {
	// Relevant is true if the item is an event of the objective.
	Relevant bool
	// Good is true if it is a good one; of an item that is not relevant it is false and means nothing.
	Good bool
}

// Span is an objective's indicator that looks at spans. It is safe for concurrent use.
type Span struct {
	objective        uint32
	groups           *groups
	total, good, bad *condition
	value            *value
	op               openslo.Operator
	threshold        float64
}

// Objective is the index of the objective among those that were compiled.
func (s *Span) Objective() uint32 { return s.objective }

// Judge says whether the span is an event of the objective, and a good one. After an error the span must not be counted.
func (s *Span) Judge(ctx context.Context, tctx *ottlspan.TransformContext) (Verdict, error) {
	if s.total != nil {
		if in, err := s.total.eval(ctx, tctx); err != nil || !in {
			return Verdict{}, err
		}
	}
	var good bool
	var err error
	switch {
	case s.good != nil:
		good, err = s.good.eval(ctx, tctx)
	case s.bad != nil:
		good, err = s.bad.eval(ctx, tctx)
		good = !good
	default:
		good, err = s.compare(ctx, tctx)
	}
	if err != nil {
		return Verdict{}, err
	}
	return Verdict{Relevant: true, Good: good}, nil
}

// Group is the number of the span's group: 0 if the objective has no groupBy, 1 if it has more groups than [MaxGroups].
func (s *Span) Group(tctx *ottlspan.TransformContext) uint32 {
	if len(s.groups.by) == 0 {
		return 0
	}
	return s.groups.of(tctx.GetSpan().Attributes(), tctx.GetResource().Attributes())
}

func (s *Span) compare(ctx context.Context, tctx *ottlspan.TransformContext) (bool, error) {
	measured, err := s.value.eval(ctx, tctx)
	if err != nil {
		return false, err
	}
	switch s.op {
	case openslo.LessThan:
		return measured < s.threshold, nil
	case openslo.LessOrEqual:
		return measured <= s.threshold, nil
	case openslo.GreaterThan:
		return measured > s.threshold, nil
	default:
		return measured >= s.threshold, nil
	}
}

// condition is a condition in OTTL, and as plain comparisons if it consists of such.
type condition struct {
	plain plain
	ottl  *ottl.Condition[*ottlspan.TransformContext]
}

func (c *condition) eval(ctx context.Context, tctx *ottlspan.TransformContext) (bool, error) {
	if c.plain != nil {
		if answer := c.plain.ask(tctx); answer != unknown {
			return answer == yes, nil
		}
	}
	return c.ottl.Eval(ctx, tctx)
}

// value is a value in OTTL, and as a plain one if it is such.
type value struct {
	plain *operand
	ottl  *ottl.ValueExpression[*ottlspan.TransformContext]
}

func (v *value) eval(ctx context.Context, tctx *ottlspan.TransformContext) (float64, error) {
	if v.plain != nil {
		if number, ok := v.plain.number(tctx); ok {
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
	if math.IsNaN(number) {
		return 0, ErrNoNumber
	}
	return number, nil
}

// seconds rounds once. Duration.Seconds rounds twice, so that 300 ms could be another number than the 0.3 of a document.
func seconds(d time.Duration) float64 { return float64(d) / float64(time.Second) }
