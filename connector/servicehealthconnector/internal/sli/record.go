package sli

import (
	"context"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottllog"
)

// Record is an objective's indicator that looks at log records. It is safe for concurrent use.
type Record struct {
	indicator[*ottllog.TransformContext]
}

// Judge says whether the record is an event of the objective, and how much of it is good, from 0 to 1. After an error the record
// must not be counted.
func (r *Record) Judge(ctx context.Context, tctx *ottllog.TransformContext) (relevant bool, good float64, err error) {
	it := recordItem{tctx}
	class, err := r.classify(ctx, tctx, it)
	if err != nil || class != event {
		return false, 0, err
	}
	good, err = r.share(ctx, tctx, it)
	return err == nil, good, err
}

// Group is as that of a [Span].
func (r *Record) Group(tctx *ottllog.TransformContext) uint32 { return r.group(recordItem{tctx}) }
