package sli

import (
	"cmp"
	"math"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// answer is what a plain condition says: nothing at all if the item has something that only OTTL can compare.
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
	ask(it item) answer
	// isAbout says whether the answer depends on nothing but what is in these places of the item.
	isAbout(places ...place) bool
}

type constant answer

func (c constant) ask(item) answer { return answer(c) }

func (c constant) isAbout(...place) bool { return true }

// all is terms joined by and. Like OTTL it asks no further than it must.
type all []plain

func (a all) ask(it item) answer {
	for _, term := range a {
		if said := term.ask(it); said != yes {
			return said
		}
	}
	return yes
}

func (a all) isAbout(places ...place) bool { return areAbout(a, places) }

// some is terms joined by or.
type some []plain

func (s some) ask(it item) answer {
	for _, term := range s {
		if said := term.ask(it); said != no {
			return said
		}
	}
	return no
}

func (s some) isAbout(places ...place) bool { return areAbout(s, places) }

func areAbout(terms []plain, places []place) bool {
	return !slices.ContainsFunc(terms, func(term plain) bool { return !term.isAbout(places...) })
}

type negation struct{ of plain }

func (n negation) isAbout(places ...place) bool { return n.of.isAbout(places...) }

func (n negation) ask(it item) answer {
	switch n.of.ask(it) {
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
	op          operator
}

func (c *comparison) ask(it item) answer {
	left, right := c.left.read(it), &c.right.is
	if c.right.place != nowhere {
		read := c.right.read(it)
		right = &read
	}
	return compare(&left, right, c.op)
}

func (c *comparison) isAbout(places ...place) bool {
	is := func(o operand) bool { return o.place == nowhere || slices.Contains(places, o.place) }
	return is(c.left) && is(c.right)
}

// operator has a bit for each order of left and right in which the comparison is true.
type operator uint8

const (
	less operator = 1 << iota
	same
	greater
	different = less | greater
)

var operators = map[string]operator{
	"==": same, "!=": different, "<": less, "<=": less | same, ">": greater, ">=": greater | same,
}

// of says whether an order, as [cmp.Compare] gives it, is one for which the comparison is true.
func (op operator) of(order int) answer { return answerOf(op&(1<<(order+1)) != 0) }

// operand is a constant or a place in an item.
type operand struct {
	place place
	key   string
	is    datum
}

// place is where an operand is found.
type place int8

const (
	nowhere      place = iota // a constant
	ownAttribute              // of the span, data point or log record
	resourceAttribute
	spanName
	spanKind
	spanKindText
	statusCode
	statusMessage
	elapsed // end_time - start_time
	metricName
	pointValue
	severityNumber
	severityText
	eventName
	body
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

func (o *operand) read(it item) datum {
	switch o.place {
	case nowhere:
		return o.is
	case ownAttribute:
		return attribute(it.attributes(), o.key)
	case resourceAttribute:
		return attribute(it.resource(), o.key)
	default:
		return it.field(o.place)
	}
}

func attribute(of pcommon.Map, key string) datum {
	value, ok := of.Get(key)
	if !ok {
		return datum{kind: isNil}
	}
	return datumOf(value)
}

func datumOf(value pcommon.Value) datum {
	switch value.Type() {
	case pcommon.ValueTypeStr:
		return text(value.Str())
	case pcommon.ValueTypeInt:
		return whole(value.Int())
	case pcommon.ValueTypeDouble:
		return datum{kind: isBroken, broken: value.Double()}
	case pcommon.ValueTypeBool:
		return truth(value.Bool())
	default:
		return datum{}
	}
}

func text(s string) datum { return datum{kind: isText, text: s} }

func whole(n int64) datum { return datum{kind: isWhole, whole: n} }

func truth(b bool) datum {
	if b {
		return datum{kind: isBool, whole: 1}
	}
	return datum{kind: isBool}
}

// compare follows OTTL's comparison rules: numbers compare with numbers, everything else with its like, nothing with nothing; what
// can't be compared is different.
func compare(a, b *datum, op operator) answer {
	switch {
	case a.kind == isOther || b.kind == isOther:
		return unknown
	case a.kind == isWhole && b.kind == isBroken:
		return op.floats(float64(a.whole), b.broken)
	case a.kind == isBroken && b.kind == isWhole:
		return op.floats(a.broken, float64(b.whole))
	case a.kind != b.kind:
		return answerOf(op == different)
	}
	switch a.kind {
	case isNil:
		return op.of(0)
	case isText:
		return op.texts(a.text, b.text)
	case isBroken:
		return op.floats(a.broken, b.broken)
	default:
		return op.of(cmp.Compare(a.whole, b.whole))
	}
}

// texts compares for equality first, because unequal lengths answer that at once.
func (op operator) texts(a, b string) answer {
	switch op {
	case same:
		return answerOf(a == b)
	case different:
		return answerOf(a != b)
	default:
		return op.of(cmp.Compare(a, b))
	}
}

// floats takes care of NaN, which has no order and is different from everything, itself included.
func (op operator) floats(a, b float64) answer {
	if math.IsNaN(a) || math.IsNaN(b) {
		return answerOf(op == different)
	}
	return op.of(cmp.Compare(a, b))
}

// number is what a threshold is compared with. It is false for what only OTTL can make a number of.
func (o *operand) number(it item) (float64, bool) {
	switch d := o.read(it); d.kind {
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
