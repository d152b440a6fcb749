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

// parseXRay reads the header of AWS X-Ray, of which Root is the trace, and Parent the span.
func parseXRay(s string) (found IDs, ok bool) {
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
	for i := range destination {
		high, low := nibble(s[2*i]), nibble(s[2*i+1])
		if high|low > 15 {
			return false
		}
		destination[i] = high<<4 | low
	}
	return true
}

func nibble(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	default:
		return 16
	}
}
