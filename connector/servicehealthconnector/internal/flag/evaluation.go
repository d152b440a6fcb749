// Package flag reads evaluations of feature flags, and notices when what they are evaluated to changes.
// See https://opentelemetry.io/docs/specs/semconv/feature-flags/feature-flags-events/.
package flag

import (
	"math"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

const (
	// maxName bounds the names of flags, sets, variants and versions, in bytes: those that are longer are not read.
	maxName = 256
	// maxValue bounds a value that stands for a variant, in bytes: those that are longer are documents.
	maxValue = 64
)

// Evaluation is what one evaluation of a flag came to. Its texts may be those of the telemetry that it was read from.
type Evaluation struct {
	// Set is the flag's set, if it has one, and Key its name there.
	Set, Key string
	Variant  Variant
	// Version is that of the rules, if it is known.
	Version string
}

// Variant is what a flag was evaluated to: the name of a variant, or a value where it has none. It is comparable.
type Variant struct {
	text string
	// bits are those of a number whose type is kind; other variants are texts.
	bits uint64
	kind pcommon.ValueType
}

// Named returns the variant of a name.
func Named(name string) Variant { return Variant{text: name} }

// String is how people write it.
func (v Variant) String() string {
	switch v.kind {
	case pcommon.ValueTypeInt:
		return strconv.FormatInt(int64(v.bits), 10)
	case pcommon.ValueTypeDouble:
		return strconv.FormatFloat(math.Float64frombits(v.bits), 'g', -1, 64)
	default:
		return v.text
	}
}

func (v Variant) clone() Variant {
	v.text = strings.Clone(v.text)
	return v
}

// valued is the variant of a value; false for one that is too long, or no name of anything.
func valued(value pcommon.Value) (Variant, bool) {
	switch value.Type() {
	case pcommon.ValueTypeStr:
		return Named(value.Str()), value.Str() != "" && len(value.Str()) <= maxValue
	case pcommon.ValueTypeBool:
		return Named(strconv.FormatBool(value.Bool())), true
	case pcommon.ValueTypeInt:
		return Variant{bits: uint64(value.Int()), kind: pcommon.ValueTypeInt}, true
	case pcommon.ValueTypeDouble:
		bits := math.Float64bits(value.Double())
		return Variant{bits: bits, kind: pcommon.ValueTypeDouble}, true
	default:
		return Variant{}, false
	}
}

// IsEvaluation says whether an event of that name is the evaluation of a flag. The second name is the former one.
func IsEvaluation(event string) bool {
	return event == "feature_flag.evaluation" || event == "feature_flag"
}

// Read reads an evaluation from the attributes of its event. Of those with a former name the current one counts, and a value
// only where there is no variant. It is false where it is not known which flag it was, or what it came to.
func Read(attributes pcommon.Map) (Evaluation, bool) {
	var e Evaluation
	var variant, former string
	var value Variant
	var hasValue bool
	for key, v := range attributes.All() {
		switch key {
		case "feature_flag.key":
			e.Key = text(v)
		case "feature_flag.set.id":
			e.Set = text(v)
		case "feature_flag.version":
			e.Version = text(v)
		case "feature_flag.result.variant":
			variant = text(v)
		case "feature_flag.variant":
			former = text(v)
		case "feature_flag.result.value":
			value, hasValue = valued(v)
		}
	}
	switch {
	case variant != "":
		e.Variant = Named(variant)
	case former != "":
		e.Variant = Named(former)
	default:
		e.Variant = value
		if !hasValue {
			return e, false
		}
	}
	return e, e.Key != ""
}

// text is a name; one that is no text or too long is none.
func text(v pcommon.Value) string {
	if v.Type() != pcommon.ValueTypeStr || len(v.Str()) > maxName {
		return ""
	}
	return v.Str()
}
