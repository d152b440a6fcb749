package sli

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottldatapoint"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottllog"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlspan"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// author writes conditions and items at random, of few enough words that they have to do with each other.
type author struct{ *rand.Rand }

func (a author) of(some ...string) string { return some[a.IntN(len(some))] }

func (a author) number() string {
	return a.of("0", "1", "010", "08", "5", "500", "1.0", "01.5", "0.5", "500.5", "9007199254740993", "9223372036854775807", "00")
}

func (a author) key() string { return a.of("a", "b", "service.name", "") }

// operand is a path of a signal or a constant.
func (a author) operand(words *vocabulary) string {
	prefix := a.of("", words.own)
	switch a.IntN(9) {
	case 0, 1:
		return fmt.Sprintf("%sattributes[%q]", prefix, a.key())
	case 2:
		return fmt.Sprintf("resource.attributes[%q]", a.key())
	case 3:
		switch field := a.of(slices.Sorted(maps.Keys(words.fields))...); field {
		case "end_time":
			return prefix + "end_time - " + a.of("", words.own) + "start_time"
		case "metric.name":
			return field
		default:
			return prefix + field
		}
	case 4:
		return a.of(append(slices.Sorted(maps.Keys(words.enums)), "nil")...)
	case 5:
		return a.number()
	case 6:
		return fmt.Sprintf("Duration(%q)", a.of("0s", "300ms", "1h", "1.5s", "-1s"))
	case 7:
		return a.of("nil", "true", "false")
	default:
		return a.of(`""`, `"a"`, `"b"`, `"500"`, `"Server"`, `"front"`)
	}
}

func (a author) condition(words *vocabulary, depth int) string {
	if depth == 0 || a.IntN(3) == 0 {
		return a.operand(words) + a.of(" ", "") + a.of("==", "!=", "<", "<=", ">", ">=") + a.of(" ", "") + a.operand(words)
	}
	deeper := func() string { return a.condition(words, depth-1) }
	switch a.IntN(5) {
	case 0:
		return "(" + deeper() + ")"
	case 1:
		return "not (" + deeper() + ")"
	case 2:
		return a.of("true", "false", "not true", "not "+a.condition(words, 0))
	case 3:
		return deeper() + " and " + deeper()
	default:
		return deeper() + " or " + deeper()
	}
}

// value makes a value of any type, or of none.
func (a author) value(v pcommon.Value) {
	switch a.IntN(9) {
	case 0:
		v.SetStr(a.of("", "a", "b", "500", "front", "\xff", strings.Repeat("x", 300)))
	case 1:
		v.SetInt([]int64{0, 1, -1, 5, 8, 10, 500, 1<<53 + 1, math.MaxInt64, math.MinInt64}[a.IntN(10)])
	case 2:
		v.SetDouble([]float64{0, math.Copysign(0, -1), 1, 1.5, 500.5, math.NaN(), inf, -inf, 1 << 53, math.MaxFloat64}[a.IntN(10)])
	case 3:
		v.SetBool(a.IntN(2) > 0)
	case 4:
		v.SetEmptyBytes().FromRaw([]byte(a.of("", "a")))
	case 5:
		v.SetEmptyMap().PutInt("a", 1)
	case 6:
		v.SetEmptySlice().AppendEmpty().SetInt(1)
	default:
		// It has no value.
	}
}

func (a author) fill(m pcommon.Map) {
	for range a.IntN(4) {
		a.value(m.PutEmpty(a.key()))
	}
}

func (a author) time() pcommon.Timestamp {
	return []pcommon.Timestamp{0, 1, 3e8, 3e8 + 1, 1e18, 1<<63 - 1, 1 << 63, math.MaxUint64}[a.IntN(8)]
}

func (a author) span() *ottlspan.TransformContext {
	rs := ptrace.NewResourceSpans()
	a.fill(rs.Resource().Attributes())
	ss := rs.ScopeSpans().AppendEmpty()
	span := ss.Spans().AppendEmpty()
	a.fill(span.Attributes())
	span.SetName(a.of("", "a", "b"))
	span.SetKind(ptrace.SpanKind(a.IntN(8) - 1))
	span.Status().SetCode(ptrace.StatusCode(a.IntN(5) - 1))
	span.Status().SetMessage(a.of("", "a"))
	span.SetStartTimestamp(a.time())
	span.SetEndTimestamp(a.time())
	return ottlspan.NewTransformContextPtr(rs, ss, span)
}

func (a author) point() *ottldatapoint.TransformContext {
	rm := pmetric.NewResourceMetrics()
	a.fill(rm.Resource().Attributes())
	metric := pmetric.NewMetric()
	metric.SetName(a.of("", "a", "b"))
	var point any
	switch a.IntN(4) {
	case 0:
		p := metric.SetEmptyGauge().DataPoints().AppendEmpty()
		a.fill(p.Attributes())
		point = p
	case 1:
		p := metric.SetEmptyHistogram().DataPoints().AppendEmpty()
		a.fill(p.Attributes())
		point = p
	case 2:
		p := metric.SetEmptyExponentialHistogram().DataPoints().AppendEmpty()
		a.fill(p.Attributes())
		point = p
	default:
		p := metric.SetEmptySummary().DataPoints().AppendEmpty()
		a.fill(p.Attributes())
		point = p
	}
	return ottldatapoint.NewTransformContextPtr(rm, pmetric.NewScopeMetrics(), metric, point)
}

func (a author) record() *ottllog.TransformContext {
	rl := plog.NewResourceLogs()
	a.fill(rl.Resource().Attributes())
	record := plog.NewLogRecord()
	a.fill(record.Attributes())
	record.SetSeverityNumber(plog.SeverityNumber(a.IntN(26) - 1))
	record.SetSeverityText(a.of("", "a"))
	record.SetEventName(a.of("", "a"))
	a.value(record.Body())
	return ottllog.NewTransformContextPtr(rl, plog.NewScopeLogs(), record)
}

// Whatever is asked of whatever a sender may send, what is said without OTTL is what OTTL says, and no event is passed over by
// mistake.
func TestEveryPlainAnswerIsThatOfOTTL(t *testing.T) {
	c, err := newCompiler(componenttest.NewNopTelemetrySettings())
	require.NoError(t, err)
	seed := rand.Uint64()
	a := author{rand.New(rand.NewPCG(seed, 1))}
	t.Logf("seed %d", seed)
	t.Run("spans", func(t *testing.T) {
		isAsked := func(p plain) func(*ottlspan.TransformContext) bool {
			var s Span
			s.total = &condition[*ottlspan.TransformContext]{plain: p}
			asked := newAsked([]*Span{&s})
			return func(k *ottlspan.TransformContext) bool { return len(asked.Of(k.GetSpan())) > 0 }
		}
		check(t, a, c.spans, ofSpans, a.span, func(k *ottlspan.TransformContext) item { return spanItem{k} }, isAsked)
	})
	t.Run("points", func(t *testing.T) {
		isAsked := func(p plain) func(*ottldatapoint.TransformContext) bool {
			var point Point
			point.total = &condition[*ottldatapoint.TransformContext]{plain: p}
			return point.MayAsk
		}
		check(t, a, c.points, ofPoints, a.point, func(k *ottldatapoint.TransformContext) item { return pointItem{k} }, isAsked)
	})
	t.Run("records", func(t *testing.T) {
		isAsked := func(plain) func(*ottllog.TransformContext) bool {
			return func(*ottllog.TransformContext) bool { return true }
		}
		check(t, a, c.records, ofRecords, a.record, func(k *ottllog.TransformContext) item { return recordItem{k} }, isAsked)
	})
}

func check[K any](
	t *testing.T, a author, parser ottl.Parser[K], words *vocabulary, draw func() K, view func(K) item, asks func(plain) func(K) bool,
) {
	conditions, values, passedOver := 0, 0, 0
	var items []K
	for range 50 {
		items = append(items, draw())
	}
	for range 400 {
		text := a.condition(words, 3)
		parsed, err := parser.ParseCondition(text)
		if err != nil {
			continue
		}
		p := words.parsePlain(text)
		if words == ofSpans {
			p = tabulate(p)
		}
		if p == nil {
			continue
		}
		isAsked := asks(p)
		for range 5 {
			tctx := items[a.IntN(len(items))]
			said := p.ask(view(tctx))
			want, err := parsed.Eval(t.Context(), tctx)
			require.NoError(t, err, text)
			if said != unknown {
				conditions++
				require.Equal(t, want, said == yes, text)
			}
			if !isAsked(tctx) {
				passedOver++
				require.False(t, want, text)
			}
		}
	}
	for range 100 {
		text := a.operand(words)
		parsed, err := parser.ParseValueExpression(text)
		if err != nil {
			continue
		}
		plainly := &value[K]{plain: words.parsePlainValue(text), ottl: parsed}
		for _, tctx := range items {
			got, err := plainly.eval(t.Context(), tctx, view(tctx))
			want, wantErr := (&value[K]{ottl: parsed}).eval(t.Context(), tctx, view(tctx))
			require.Equal(t, wantErr, err, text)
			require.Equal(t, want, got, text)
			values++
		}
	}
	require.Greater(t, conditions, 400)
	require.Greater(t, values, 1000)
	require.Equal(t, words != ofRecords, passedOver > 0)
}
