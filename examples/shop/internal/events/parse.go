package events

import (
	"strconv"
	"strings"
	"unicode"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"

	"github.com/throughline-otel/throughline/examples/shop/internal/fault"
)

const (
	maxRunes    = 600
	maxSuspects = 10
)

func parse(record *logs.LogRecord) Event {
	attrs := make(map[string]*common.AnyValue, len(record.GetAttributes()))
	for _, kv := range record.GetAttributes() {
		attrs[kv.GetKey()] = kv.GetValue()
	}
	e := Event{
		Name:     Clean(record.GetEventName()),
		Body:     text(record.GetBody()),
		SLO:      text(attrs["slo.name"]),
		Service:  text(attrs["slo.service"]),
		Severity: text(attrs["severity"]),
		Onset:    text(attrs["slo.burn.onset"]),
	}
	layers, scores, reasons := list(attrs["suspects.layer"]), list(attrs["suspects.score"]), list(attrs["suspects.reason"])
	for i, name := range list(attrs["suspects.service.name"]) {
		if i == maxSuspects {
			break
		}
		e.Suspects = append(e.Suspects, Suspect{
			Culprit: fault.Culprit{Name: text(name), Layer: text(at(layers, i))},
			Score:   at(scores, i).GetDoubleValue(),
			Reason:  text(at(reasons, i)),
		})
	}
	return e
}

func list(v *common.AnyValue) []*common.AnyValue { return v.GetArrayValue().GetValues() }

// at forgives arrays that are not as long as they should be.
func at(values []*common.AnyValue, i int) *common.AnyValue {
	if i >= len(values) {
		return nil
	}
	return values[i]
}

func text(v *common.AnyValue) string {
	switch v := v.GetValue().(type) {
	case *common.AnyValue_StringValue:
		return Clean(v.StringValue)
	case *common.AnyValue_IntValue:
		return strconv.FormatInt(v.IntValue, 10)
	case *common.AnyValue_DoubleValue:
		return strconv.FormatFloat(v.DoubleValue, 'g', 6, 64)
	default:
		return ""
	}
}

// Clean makes a string from the network fit for a line of a terminal: no control or formatting
// characters, with which it could move the cursor or turn the text around, no line breaks, and no
// endless text.
func Clean(s string) string {
	safe := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || !unicode.IsGraphic(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	safe = strings.Join(strings.Fields(safe), " ")
	if runes := []rune(safe); len(runes) > maxRunes {
		return string(runes[:maxRunes-1]) + "…"
	}
	return safe
}
