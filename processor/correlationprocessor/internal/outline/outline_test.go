package outline_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/outline"
)

const now = int64(1_700_000_000_000_000_000)

// whole is a span that nothing is wrong with.
func whole() ptrace.Span {
	span := ptrace.NewSpan()
	span.SetTraceID(pcommon.TraceID{1})
	span.SetSpanID(pcommon.SpanID{1})
	span.SetName("GET /")
	span.SetStartTimestamp(pcommon.Timestamp(now))
	span.SetEndTimestamp(pcommon.Timestamp(now) + 1)
	return span
}

func TestFlaws(t *testing.T) {
	hour := pcommon.Timestamp(time.Hour)
	for name, given := range map[string]struct {
		spoil func(ptrace.Span)
		want  outline.Flaw
	}{
		"whole":               {func(ptrace.Span) {}, outline.Flawless},
		"took no time":        {func(s ptrace.Span) { s.SetEndTimestamp(s.StartTimestamp()) }, outline.Flawless},
		"a clock ahead":       {func(s ptrace.Span) { s.SetEndTimestamp(pcommon.Timestamp(now) + hour) }, outline.Flawless},
		"no trace":            {func(s ptrace.Span) { s.SetTraceID(pcommon.TraceID{}) }, outline.NoTraceID},
		"no id":               {func(s ptrace.Span) { s.SetSpanID(pcommon.SpanID{}) }, outline.NoSpanID},
		"no name":             {func(s ptrace.Span) { s.SetName("") }, outline.NoName},
		"no start":            {func(s ptrace.Span) { s.SetStartTimestamp(0) }, outline.NoStart},
		"no time at all":      {func(s ptrace.Span) { s.SetStartTimestamp(0); s.SetEndTimestamp(0) }, outline.NoStart},
		"ended before":        {func(s ptrace.Span) { s.SetEndTimestamp(s.StartTimestamp() - 1) }, outline.EndBeforeStart},
		"no end":              {func(s ptrace.Span) { s.SetEndTimestamp(0) }, outline.EndBeforeStart},
		"starts in an hour":   {func(s ptrace.Span) { s.SetStartTimestamp(pcommon.Timestamp(now) + hour + 1) }, outline.FromTheFuture},
		"ends in an hour":     {func(s ptrace.Span) { s.SetEndTimestamp(pcommon.Timestamp(now) + hour + 1) }, outline.FromTheFuture},
		"beyond what time is": {func(s ptrace.Span) { s.SetEndTimestamp(math.MaxUint64) }, outline.FromTheFuture},
	} {
		span := whole()
		given.spoil(span)
		seen := outline.Of(span)
		assert.Equal(t, given.want, outline.FlawOf(now, &seen), name)
		assert.Equal(t, given.want == outline.Flawless, outline.IsFlawless(now, span), name)
	}
}

func TestTheStatusIsBelieved(t *testing.T) {
	assert.True(t, outline.IsFailed(ptrace.StatusCodeError, false))
	assert.False(t, outline.IsFailed(ptrace.StatusCodeOk, true))
	assert.True(t, outline.IsFailed(ptrace.StatusCodeUnset, true))
	assert.False(t, outline.IsFailed(ptrace.StatusCodeUnset, false))
}

func TestATraceComesToAnInstanceWithARequestAMessageOrAStart(t *testing.T) {
	for kind, want := range map[ptrace.SpanKind]bool{
		ptrace.SpanKindServer: true, ptrace.SpanKindConsumer: true, ptrace.SpanKindClient: false, ptrace.SpanKindInternal: false,
	} {
		span := whole()
		span.SetKind(kind)
		assert.True(t, outline.IsEntry(span), "a root is one whatever its kind")
		span.SetParentSpanID(pcommon.SpanID{2})
		assert.Equal(t, want, outline.IsEntry(span), kind.String())
	}
}

func TestAThresholdThatRejectsSaysThatOthersAreMissing(t *testing.T) {
	for state, want := range map[string]bool{
		"": false, "ot=th:0": false, "ot=th:8": true, "vendor=x,ot=rv:ffffffffffffff;th:c": true, "vendor=th:8": false, "ot=th:zz": false, "===": false,
	} {
		span := whole()
		span.TraceState().FromRaw(state)
		assert.Equal(t, want, outline.IsSampled(span), state)
	}
}
