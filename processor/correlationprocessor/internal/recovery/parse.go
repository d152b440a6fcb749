package recovery

import (
	"encoding/binary"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// Each parser takes exactly what its format allows. What is almost an id is none.

func parseTrace(s string) (id pcommon.TraceID, ok bool) {
	switch len(s) {
	case 32:
		ok = decodeHex(id[:], s)
	case 16:
		// Systems with ids of 64 bits have them padded on their way into OpenTelemetry.
		ok = decodeHex(id[8:], s)
	case len("1-00000000-000000000000000000000000"):
		return parseXRayTrace(s)
	}
	return id, ok && !id.IsEmpty()
}

func parseSpan(s string) (id pcommon.SpanID, ok bool) {
	ok = len(s) == 16 && decodeHex(id[:], s)
	return id, ok && !id.IsEmpty()
}

// parseTraceparent reads the header of W3C Trace Context: version-trace-parent-flags.
func parseTraceparent(s string) (found IDs, ok bool) {
	const length = len("00-00000000000000000000000000000000-0000000000000000-00")
	if len(s) != length || s[2] != '-' || s[35] != '-' || s[52] != '-' || s[:2] != "00" {
		return IDs{}, false
	}
	// The specification knows lower case only.
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'F' {
			return IDs{}, false
		}
	}
	var flags [1]byte
	var traceOK, spanOK bool
	found.Trace, traceOK = parseTrace(s[3:35])
	found.Span, spanOK = parseSpan(s[36:52])
	if !traceOK || !spanOK || !decodeHex(flags[:], s[53:]) {
		return IDs{}, false
	}
	return found, true
}

// parseJaeger reads the header uber-trace-id: trace:span:parent:flags, whose ids may lack leading zeros.
func parseJaeger(s string) (found IDs, ok bool) {
	trace, rest, _ := strings.Cut(s, ":")
	span, rest, _ := strings.Cut(rest, ":")
	parent, flags, _ := strings.Cut(rest, ":")
	if !decodePadded(found.Trace[:], trace) || !decodePadded(found.Span[:], span) || len(trace) < shortest {
		return IDs{}, false
	}
	var ignored [8]byte
	if !decodePadded(ignored[:], parent) || !decodePadded(ignored[:1], flags) {
		return IDs{}, false
	}
	return found, !found.Trace.IsEmpty() && !found.Span.IsEmpty()
}

// parseGoogleHeader reads the header X-Cloud-Trace-Context: trace/span;o=options, of which only the trace must be there. Its
// span is a decimal number.
func parseGoogleHeader(s string) (found IDs, ok bool) {
	s, _, _ = strings.Cut(s, ";o=")
	trace, span, more := strings.Cut(s, "/")
	if !decodeHex(found.Trace[:], trace) || found.Trace.IsEmpty() {
		return IDs{}, false
	}
	if more {
		id, ok := parseDecimal(span)
		if !ok && span != "0" {
			return IDs{}, false
		}
		found.Span = spanOf(id)
	}
	return found, true
}

// parseGoogleTrace reads the name of a trace, projects/project/traces/trace.
func parseGoogleTrace(s string) (id pcommon.TraceID, ok bool) {
	project, trace, ok := strings.Cut(s, googleTraces)
	if !ok || len(project) <= len(googleProjects) || !strings.HasPrefix(project, googleProjects) {
		return pcommon.TraceID{}, false
	}
	ok = decodeHex(id[:], trace)
	return id, ok && !id.IsEmpty()
}

const googleProjects, googleTraces = "projects/", "/traces/"

// parseB3 reads the single header of B3: trace-span, and then, if anything, a sampling state and the parent's span.
func parseB3(s string) (found IDs, ok bool) {
	trace, rest, ok := strings.Cut(s, "-")
	if !ok || len(trace) != 32 && len(trace) != 16 {
		return IDs{}, false
	}
	span, rest, more := strings.Cut(rest, "-")
	if more {
		state, parent, child := strings.Cut(rest, "-")
		if len(state) != 1 || !strings.Contains("01d", state) {
			return IDs{}, false
		}
		if _, ok = parseSpan(parent); child && !ok {
			return IDs{}, false
		}
	}
	if found.Trace, ok = parseTrace(trace); !ok {
		return IDs{}, false
	}
	if found.Span, ok = parseSpan(span); !ok {
		return IDs{}, false
	}
	return found, true
}

// parseXRay reads the header of AWS X-Ray, of which Root is the trace, and Parent the span. Its SDKs write trace@span into logs.
func parseXRay(s string) (found IDs, ok bool) {
	if strings.HasPrefix(s, "1-") {
		trace, span, more := strings.Cut(s, "@")
		if found.Trace, ok = parseXRayTrace(trace); ok && more {
			found.Span, ok = parseSpan(span)
		}
		return found, ok
	}
	for field := range strings.SplitSeq(s, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		switch key {
		case "Root":
			if !found.Trace.IsEmpty() {
				return IDs{}, false
			}
			if found.Trace, ok = parseXRayTrace(value); !ok {
				return IDs{}, false
			}
		case "Parent":
			if found.Span, ok = parseSpan(value); !ok {
				return IDs{}, false
			}
		}
	}
	return found, !found.Trace.IsEmpty()
}

func parseXRayTrace(s string) (id pcommon.TraceID, ok bool) {
	if len(s) != len("1-00000000-000000000000000000000000") || s[:2] != "1-" || s[10] != '-' {
		return pcommon.TraceID{}, false
	}
	ok = decodeHex(id[:4], s[2:10]) && decodeHex(id[4:], s[11:])
	return id, ok && !id.IsEmpty()
}

// parseDecimal reads an id of 64 bits as Datadog writes it.
func parseDecimal(s string) (id uint64, ok bool) {
	if s == "" || len(s) > len("18446744073709551615") {
		return 0, false
	}
	for i := range len(s) {
		digit := uint64(s[i] - '0')
		if s[i] < '0' || s[i] > '9' || id > (1<<64-1-digit)/10 {
			return 0, false
		}
		id = id*10 + digit
	}
	return id, id != 0
}

func spanOf(id uint64) (span pcommon.SpanID) {
	binary.BigEndian.PutUint64(span[:], id)
	return span
}

// decodeHex fills all of the destination or fails.
func decodeHex(destination []byte, s string) bool {
	if len(s) != 2*len(destination) {
		return false
	}
	var wrong byte
	for i := range destination {
		high, low := nibbles[s[2*i]], nibbles[s[2*i+1]]
		wrong |= high | low
		destination[i] = high<<4 | low
	}
	return wrong < 16
}

// decodePadded fills the destination from its end, with zeros for what the text is too short to say.
func decodePadded(destination []byte, s string) bool {
	if s == "" || len(s) > 2*len(destination) {
		return false
	}
	for i := range len(s) {
		digit := nibbles[s[len(s)-1-i]]
		if digit > 15 {
			return false
		}
		destination[len(destination)-1-i/2] |= digit << (i % 2 * 4)
	}
	return true
}

// nibbles has the value of each hexadecimal digit, and 255 for what is none.
var nibbles = func() (values [256]byte) {
	for c := range values {
		values[c] = 255
	}
	for i, c := range []byte("0123456789abcdef") {
		values[c] = byte(i)
	}
	for i, c := range []byte("ABCDEF") {
		values[c] = byte(10 + i)
	}
	return values
}()
