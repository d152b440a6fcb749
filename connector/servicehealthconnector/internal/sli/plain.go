package sli

import (
	"cmp"
	"math"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlspan"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// answer is what a plain condition says: nothing at all if the span has something that only OTTL can compare.
type answer int8

const (
	unknown answer = iota
	no
	yes
)

func answerOf(b bool) answer {
	if b {
		return yes
	}
	return no
}

// plain is a condition that is evaluated without OTTL.
type plain interface {
	ask(tctx *ottlspan.TransformContext) answer
}

type constant answer

func (c constant) ask(*ottlspan.TransformContext) answer { return answer(c) }

// all is terms joined by and. Like OTTL it asks no further than it must.
type all []plain

func (a all) ask(tctx *ottlspan.TransformContext) answer {
	for _, term := range a {
		if said := term.ask(tctx); said != yes {
			return said
		}
	}
	return yes
}

// some is terms joined by or.
type some []plain

func (s some) ask(tctx *ottlspan.TransformContext) answer {
	for _, term := range s {
		if said := term.ask(tctx); said != no {
			return said
		}
	}
	return no
}

type negation struct{ of plain }

func (n negation) ask(tctx *ottlspan.TransformContext) answer {
	switch n.of.ask(tctx) {
	case yes:
		return no
	case no:
		return yes
	default:
		return unknown
	}
}

type comparison struct {
	left, right operand
	op          string
}

func (c *comparison) ask(tctx *ottlspan.TransformContext) answer {
	return compare(c.left.read(tctx), c.right.read(tctx), c.op)
}

// operand is a constant or a place in a span.
type operand struct {
	place place
	key   string
	is    datum
}

// place is where an operand is found.
type place int8

const (
	nowhere place = iota // a constant
	spanAttribute
	resourceAttribute
	spanName
	spanKind
	spanKindText
	statusCode
	statusMessage
	elapsed // end_time - start_time
)

// datum is one value, without the heap that an any would need.
type datum struct {
	kind   kind
	text   string
	whole  int64
	broken float64
}

type kind int8

const (
	isOther kind = iota // what only OTTL knows how to compare
	isNil
	isText
	isWhole
	isBroken
	isBool     // in whole
	isDuration // in whole, in nanoseconds
)

func (o *operand) read(tctx *ottlspan.TransformContext) datum {
	span := tctx.GetSpan()
	switch o.place {
	case nowhere:
		return o.is
	case spanAttribute:
		return attribute(span.Attributes(), o.key)
	case resourceAttribute:
		return attribute(tctx.GetResource().Attributes(), o.key)
	case spanName:
		return datum{kind: isText, text: span.Name()}
	case spanKind:
		return datum{kind: isWhole, whole: int64(span.Kind())}
	case spanKindText:
		return datum{kind: isText, text: span.Kind().String()}
	case statusCode:
		return datum{kind: isWhole, whole: int64(span.Status().Code())}
	case statusMessage:
		return datum{kind: isText, text: span.Status().Message()}
	default:
		start, end := span.StartTimestamp(), span.EndTimestamp()
		if start > math.MaxInt64 || end > math.MaxInt64 {
			return datum{}
		}
		return datum{kind: isDuration, whole: int64(end) - int64(start)} //nolint:gosec // both fit
	}
}

func attribute(of pcommon.Map, key string) datum {
	value, ok := of.Get(key)
	if !ok {
		return datum{kind: isNil}
	}
	switch value.Type() {
	case pcommon.ValueTypeStr:
		return datum{kind: isText, text: value.Str()}
	case pcommon.ValueTypeInt:
		return datum{kind: isWhole, whole: value.Int()}
	case pcommon.ValueTypeDouble:
		return datum{kind: isBroken, broken: value.Double()}
	case pcommon.ValueTypeBool:
		return truth(value.Bool())
	default:
		return datum{}
	}
}

func truth(b bool) datum {
	if b {
		return datum{kind: isBool, whole: 1}
	}
	return datum{kind: isBool}
}

// compare follows OTTL's comparison rules: numbers compare with numbers, everything else with its like, nothing with nothing; what
// can't be compared is different.
func compare(a, b datum, op string) answer {
	switch {
	case a.kind == isOther || b.kind == isOther:
		return unknown
	case a.kind == isWhole && b.kind == isBroken:
		return floats(float64(a.whole), b.broken, op)
	case a.kind == isBroken && b.kind == isWhole:
		return floats(a.broken, float64(b.whole), op)
	case a.kind != b.kind:
		return answerOf(op == "!=")
	}
	switch a.kind {
	case isNil:
		return ordered(0, op)
	case isText:
		return texts(a.text, b.text, op)
	case isBroken:
		return floats(a.broken, b.broken, op)
	default:
		return ordered(cmp.Compare(a.whole, b.whole), op)
	}
}

// texts compares for equality first, because unequal lengths answer that at once.
func texts(a, b, op string) answer {
	switch op {
	case "==":
		return answerOf(a == b)
	case "!=":
		return answerOf(a != b)
	default:
		return ordered(cmp.Compare(a, b), op)
	}
}

// floats has its own comparisons because of NaN, which has no order.
func floats(a, b float64, op string) answer {
	switch op {
	case "==":
		return answerOf(a == b)
	case "!=":
		return answerOf(a != b)
	case "<":
		return answerOf(a < b)
	case "<=":
		return answerOf(a <= b)
	case ">":
		return answerOf(a > b)
	default:
		return answerOf(a >= b)
	}
}

func ordered(order int, op string) answer {
	switch op {
	case "==":
		return answerOf(order == 0)
	case "!=":
		return answerOf(order != 0)
	case "<":
		return answerOf(order < 0)
	case "<=":
		return answerOf(order <= 0)
	case ">":
		return answerOf(order > 0)
	default:
		return answerOf(order >= 0)
	}
}

// number is what a threshold is compared with. It is false for what only OTTL can make a number of.
func (o *operand) number(tctx *ottlspan.TransformContext) (float64, bool) {
	switch d := o.read(tctx); d.kind {
	case isWhole:
		return float64(d.whole), true
	case isBroken:
		return d.broken, true
	case isDuration:
		return seconds(time.Duration(d.whole)), true
	default:
		return 0, false
	}
}
