package sli

import (
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlspan"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// plainly are conditions that OTTL must not be needed for.
var plainly = []string{
	`true`, `false`, `not true`, `not (false or true)`, `true and false or true`,
	`kind == SPAN_KIND_SERVER`, `SPAN_KIND_SERVER == kind`, `kind == 2`, `kind != 2.0`, `kind.string == "Server"`,
	`span.kind == SPAN_KIND_CONSUMER`, `status.code != STATUS_CODE_ERROR`, `status.message == ""`, `name > "POST"`, `span.name == "GET"`,
	`attributes["text"] == "b"`, `attributes["text"] <= "a"`, `attributes["text"] != nil`, `attributes["text"] < 5`, `attributes["text"] != 5`,
	`attributes["whole"] < 500`, `attributes["whole"] == 0764`, `attributes["whole"] >= 500.5`, `attributes["whole"] == "500"`, `attributes["broken"] > 1`,
	`attributes["broken"] == 1.5`, `attributes["broken"] <= attributes["whole"]`, `attributes["yes"] == true`, `attributes["yes"] > false`,
	`attributes["missing"] == nil`, `attributes["missing"] != nil`, `attributes["missing"] < 5`, `attributes["missing"] != 5`,
	`attributes["missing"] <= nil`, `attributes["missing"] < nil`, `attributes["nan"] == attributes["nan"]`, `attributes["nan"] != 1`,
	`attributes["nan"] < 1.0`, `attributes["nan"] >= 1.0`, `resource.attributes["service.name"] == "front"`, `resource.attributes["x"] == nil`,
	`end_time - start_time <= Duration("300ms")`, `span.end_time - span.start_time > Duration("1s")`, `end_time - start_time > 5`,
	`not kind == SPAN_KIND_SERVER and attributes["whole"] == 500 or (name == "x" or not (attributes["yes"] == true))`,
}

// others have to be left to OTTL, at once or when it is seen what the span has.
var others = []string{
	`name == "a\"b"`, `attributes["list"] == nil`, `attributes["bytes"] != "a"`, `attributes["map"]["a"] == 1`, `attributes["empty"] == nil`,
	`IsMatch(name, "^P")`, `attributes["whole"] + 1 == 501`, `attributes["whole"] == -1`, `(kind) == 2`, `name == 0x50`,
	`(end_time - start_time) > Duration("1s")`, `flags == 0`, `trace_state == ""`, `attributes["list"] == nil and attributes["text"] == "b"`,
	`attributes["text"] == "b" or IsRootSpan()`, `kind == SPAN_KIND_SERVER and Len(attributes) > 2`, `attributes["broken"] == 1.5e0`,
	`attributes["broken"] > .5`, `attributes["broken"] > 1.`, `start_time < end_time`, `attributes == nil`, `attributes["list"][0] == 1`,
}

func parserOf(t testing.TB) ottl.Parser[*ottlspan.TransformContext] {
	parser, err := ottlspan.NewParser(spanFunctions(), componenttest.NewNopTelemetrySettings())
	require.NoError(t, err)
	return parser
}

// mixed are spans with an attribute of every type, and with values on both sides of what the conditions ask.
func mixed(t testing.TB) []*ottlspan.TransformContext {
	fill := func(whole int64, broken float64, text string, yes bool) func(ptrace.ResourceSpans, ptrace.Span) {
		return func(_ ptrace.ResourceSpans, span ptrace.Span) {
			a := span.Attributes()
			a.PutInt("whole", whole)
			a.PutDouble("broken", broken)
			a.PutStr("text", text)
			a.PutBool("yes", yes)
			a.PutDouble("nan", nan())
			a.PutEmpty("empty")
			a.PutEmptyBytes("bytes").FromRaw([]byte("a"))
			a.PutEmptyMap("map").PutInt("a", whole)
			a.PutEmptySlice("list").AppendEmpty().SetInt(1)
		}
	}
	return []*ottlspan.TransformContext{
		spanOf(t, nil),
		spanOf(t, fill(500, 1.5, "b", true)),
		spanOf(t, fill(-1, -0.5, "", false)),
		spanOf(t, fill(1<<60+1, 1<<60, "a", true)),
		spanOf(t, func(_ ptrace.ResourceSpans, span ptrace.Span) {
			span.SetEndTimestamp(span.StartTimestamp() - 1)
			span.SetKind(ptrace.SpanKindConsumer)
			span.Status().SetCode(ptrace.StatusCodeError)
			span.Status().SetMessage("broken")
		}),
		spanOf(t, func(_ ptrace.ResourceSpans, span ptrace.Span) {
			span.SetEndTimestamp(1<<63 + 5)
			span.SetKind(77)
		}),
	}
}

// sameAsOTTL compares the answer for each span, and says whether any was given without OTTL.
func sameAsOTTL(t *testing.T, parser ottl.Parser[*ottlspan.TransformContext], spans []*ottlspan.TransformContext, text string) bool {
	parsed, err := parser.ParseCondition(text)
	if err != nil {
		return false
	}
	p := tabulate(ofSpans.parsePlain(text))
	if p == nil {
		return false
	}
	answered := false
	for i, tctx := range spans {
		said := p.ask(spanItem{tctx})
		if said == unknown {
			continue
		}
		answered = true
		want, err := parsed.Eval(t.Context(), tctx)
		require.NoError(t, err, "%s, span %d", text, i)
		require.Equal(t, want, said == yes, "%s, span %d", text, i)
	}
	return answered
}

func TestPlainSaysWhatOTTLSays(t *testing.T) {
	parser, spans := parserOf(t), mixed(t)
	for _, text := range plainly {
		_, err := parser.ParseCondition(text)
		require.NoError(t, err, text)
		assert.True(t, sameAsOTTL(t, parser, spans, text), "%s needs OTTL", text)
	}
	for _, text := range others {
		_, err := parser.ParseCondition(text)
		require.NoError(t, err, text)
		sameAsOTTL(t, parser, spans, text)
	}
	for _, text := range []string{`name == "a\"b"`, `(kind) == 2`, `attributes["map"]["a"] == 1`, `attributes["whole"] == -1`} {
		assert.Nil(t, tabulate(ofSpans.parsePlain(text)), text)
	}
}

func TestPlainValues(t *testing.T) {
	for _, text := range []string{`end_time - start_time`, `span.end_time - span.start_time`, `attributes["n"]`, `span.attributes["n"]`, `5`} {
		assert.NotNil(t, ofSpans.parsePlainValue(text), text)
	}
	for _, text := range []string{`start_time - end_time`, `attributes["n"] * 2`, `attributes["n"]["m"]`, `Double(name)`, `end_time`} {
		assert.Nil(t, ofSpans.parsePlainValue(text), text)
	}
}

func FuzzPlainSaysWhatOTTLSays(f *testing.F) {
	for _, text := range append(plainly, others...) {
		f.Add(text)
	}
	parser, spans := parserOf(f), mixed(f)
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1000 {
			return
		}
		sameAsOTTL(t, parser, spans, text)
	})
}
