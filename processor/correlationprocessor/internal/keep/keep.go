// Package keep decides which log records go on, by what became of their trace.
package keep

import (
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/store"
)

// Policy is the lowest severity that survives for each outcome. The zero Policy keeps all.
type Policy struct {
	Fine, Slow, Failed plog.SeverityNumber
}

// Keeps decides about a record. Where nobody knows what became of the trace, or how severe the record is since its severity
// is none of the 24 that there are, it is kept: what is dropped in error does not come back.
func (p Policy) Keeps(outcome store.Outcome, severity plog.SeverityNumber) bool {
	if severity <= plog.SeverityNumberUnspecified || severity > plog.SeverityNumberFatal4 {
		return true
	}
	switch outcome {
	case store.Fine:
		return severity >= p.Fine
	case store.Slow:
		return severity >= p.Slow
	case store.Failed:
		return severity >= p.Failed
	default:
		return true
	}
}
