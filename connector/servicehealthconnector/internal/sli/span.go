package sli

import (
	"context"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlspan"
)

// Verdict is what an indicator says about one span.
type Verdict struct {
	// Relevant is true if the span is an event of the objective.
	Relevant bool
	// Good is true if it is a good one; of a span that is not relevant it is false and means nothing.
	Good bool
}

// Span is an objective's indicator that looks at spans. It is safe for concurrent use.
type Span struct {
	indicator[*ottlspan.TransformContext]
}

// Judge says whether the span is an event of the objective, and a good one. After an error the span must not be counted.
func (s *Span) Judge(ctx context.Context, tctx *ottlspan.TransformContext) (Verdict, error) {
	it := spanItem{tctx}
	if class, err := s.classify(ctx, tctx, it); err != nil || class != event {
		return Verdict{}, err
	}
	share, err := s.share(ctx, tctx, it)
	if err != nil {
		return Verdict{}, err
	}
	return Verdict{Relevant: true, Good: share == 1}, nil
}

// Group is the number of the span's group: 0 if the objective has no groupBy, 1 if it has more groups than [MaxGroups].
func (s *Span) Group(tctx *ottlspan.TransformContext) uint32 { return s.group(spanItem{tctx}) }

// tabulate makes tables of the conditions that can be such.
func (s *Span) tabulate() {
	for _, c := range []*condition[*ottlspan.TransformContext]{s.total, s.exclude, s.good, s.bad} {
		if c != nil {
			c.plain = tabulate(c.plain)
		}
	}
}
