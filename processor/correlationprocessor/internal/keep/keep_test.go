package keep_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/keep"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/store"
)

func TestRecordsSurviveByWhatBecameOfTheirTrace(t *testing.T) {
	policy := keep.Policy{Fine: plog.SeverityNumberError, Slow: plog.SeverityNumberWarn, Failed: plog.SeverityNumberDebug}
	for _, given := range []struct {
		outcome  store.Outcome
		severity plog.SeverityNumber
		kept     bool
	}{
		{store.Fine, plog.SeverityNumberWarn4, false},
		{store.Fine, plog.SeverityNumberError, true},
		{store.Slow, plog.SeverityNumberInfo, false},
		{store.Slow, plog.SeverityNumberWarn, true},
		{store.Failed, plog.SeverityNumberTrace, false},
		{store.Failed, plog.SeverityNumberDebug, true},
		{store.Unknown, plog.SeverityNumberTrace, true},
		{store.Fine, plog.SeverityNumberUnspecified, true},
		{store.Fine, -1, true},
		{store.Fine, math.MinInt32, true},
		{store.Fine, plog.SeverityNumberFatal4 + 1, true},
	} {
		assert.Equal(t, given.kept, policy.Keeps(given.outcome, given.severity), "%v", given)
	}
}

func TestWithoutAPolicyAllIsKept(t *testing.T) {
	for outcome := store.Unknown; outcome <= store.Failed; outcome++ {
		for severity := plog.SeverityNumber(-1); severity <= plog.SeverityNumberFatal4+1; severity++ {
			assert.True(t, keep.Policy{}.Keeps(outcome, severity))
		}
	}
}
