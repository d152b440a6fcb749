package recovery_test

import (
	"encoding/binary"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/recovery"
)

func TestHugeBodiesTakeLinearTime(t *testing.T) {
	const size = 1 << 20
	for _, unit := range []string{
		"[", "{", `{"trace`, `{"a":`, `{"a":{"trace_id":`, `"\\`, `\`, " ", "trace_id=", "trace_id ", "a", "0", "0123456789 ", "0123456789-",
		",0123456789", "[0123456789abcdef,", "[a," + traceHex + ",", "/traces/0123456789", "projects/0123456789/traces/",
		"Root=1-0123456789", "uber-trace-id=" + traceHex + ":", `\"trace_id\":\"` + traceHex[:31] + `\"`, "        0123456789",
		`{"a":"` + traceHex + `","b":`, "[" + traceHex + "-" + spanHex,
	} {
		for _, end := range []string{"", traceHex, `"` + traceHex + `"}]`} {
			body := pcommon.NewValueStr(strings.Repeat(unit, size/len(unit)) + end)
			start := time.Now()
			fromBody(body)
			// With the square of its length this would be many seconds; a busy machine with the race detector stays below.
			assert.Less(t, time.Since(start), time.Second, "%q … %q", unit, end)
		}
	}
}

func FuzzBody(f *testing.F) {
	f.Add("trace_id=" + traceHex + " span_id=" + spanHex)
	f.Add(`{"dd":{"trace_id":"11803532876627986230"},"msg":"[a,` + traceHex + `,` + spanHex + `]"}`)
	f.Add("X-Amzn-Trace-Id: Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=" + spanHex)
	f.Add("b3: " + traceHex + "-" + spanHex + "-1 traceparent=00-" + traceHex + "-" + spanHex + "-01")
	f.Add("uber-trace-id: f92f3577b34da6:" + spanHex[2:] + ":0:1")
	f.Add("X-Cloud-Trace-Context: " + traceHex + "/67667974448284343;o=1")
	f.Add("trace=projects/shop/traces/" + traceHex + " AWS-XRAY-TRACE-ID: 1-4bf92f35-77b34da6a3ce929d0e0e4736@" + spanHex)
	f.Add(`{"trace":{"id":"` + traceHex + `"},"transaction":{"id":"` + spanHex + `"},"a":[{"b":"\\\""}]}`)
	f.Fuzz(func(t *testing.T, body string) {
		got, ok := fromBody(pcommon.NewValueStr(body))
		if !ok {
			require.Zero(t, got)
			return
		}
		requireSaid(t, got, body)
		named := strings.ToLower(body)
		require.True(t, strings.Contains(named, "trace") || strings.Contains(named, "b3") || strings.Contains(named, "root=1-") ||
			strings.Contains(named, "@tr") || strings.Contains(named, "["), body)
	})
}

func FuzzAttributes(f *testing.F) {
	f.Add("trace_id", traceHex, "span_id", spanHex)
	f.Add("X-Amzn-Trace-Id", "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736", "@sp", spanHex)
	f.Add("dd.trace_id", "11803532876627986230", "dd.span_id", "67667974448284343")
	f.Add("trace", "projects/a/traces/"+traceHex, "transaction.id", spanHex)
	f.Fuzz(func(t *testing.T, key, value, otherKey, otherValue string) {
		m := pcommon.NewMap()
		m.PutStr(key, value)
		m.PutStr(otherKey, otherValue)
		got, ok := fromAttributes(m)
		if ok {
			requireSaid(t, got, value+" "+otherValue)
		}

		// A body that is a map says the same, and more only by its message.
		body := pcommon.NewValueMap()
		m.CopyTo(body.Map())
		inBody, bodyOK := fromBody(body)
		if ok {
			require.True(t, bodyOK)
			require.Equal(t, got, inBody)
		}

		// Another order says the same.
		turned := pcommon.NewMap()
		turned.PutStr(otherKey, otherValue)
		turned.PutStr(key, value)
		if key != otherKey {
			fromTurned, turnedOK := fromAttributes(turned)
			require.Equal(t, ok, turnedOK)
			require.Equal(t, got, fromTurned)
		}
	})
}

func FuzzNesting(f *testing.F) {
	f.Add("trace_id", traceHex, "span_id", spanHex, uint8(0))
	f.Add("traceparent", "00-"+traceHex+"-"+spanHex+"-01", "a", "}", uint8(3))
	f.Add("dd.trace_id", "11803532876627986230", "dd.span_id", "67667974448284343", uint8(6))
	f.Add("trace_id", traceHex, "traceId", otherHex, uint8(1))
	f.Fuzz(func(t *testing.T, key, value, otherKey, otherValue string, depth uint8) {
		if isSentence(key) || isSentence(otherKey) {
			// Sentences count only where the record's own is.
			return
		}
		plain := map[string]any{key: value, otherKey: otherValue}
		var nested any = plain
		for range depth % 7 {
			nested = map[string]any{"context": nested, "level": "info", "list": []any{traceHex}}
		}
		want, wantOK := fromMap(t, plain)
		got, ok := fromMap(t, nested.(map[string]any))
		require.Equal(t, wantOK, ok)
		require.Equal(t, want, got)

		// As text it says the same, compact or not, unless it is escaped: then it is no name and no id.
		if written, err := json.Marshal(nested); err == nil && !strings.ContainsAny(string(written), `\`) {
			got, ok = fromBody(pcommon.NewValueStr(string(written)))
			require.Equal(t, wantOK, ok, string(written))
			require.Equal(t, want, got, string(written))

			written, err = json.MarshalIndent(nested, "", "\t")
			require.NoError(t, err)
			got, ok = fromBody(pcommon.NewValueStr(string(written)))
			require.Equal(t, wantOK, ok, string(written))
			require.Equal(t, want, got, string(written))
		}
	})
}

func fromMap(t *testing.T, raw map[string]any) (recovery.IDs, bool) {
	body := pcommon.NewValueMap()
	require.NoError(t, body.Map().FromRaw(raw))
	return fromBody(body)
}

func isSentence(key string) bool {
	switch key {
	case "msg", "message", "Message", "MESSAGE", "@message", "log", "body", "event", "@m":
		return true
	default:
		return false
	}
}

// requireSaid holds what was found against where it was found: it is one thing or the other, and its digits are there.
func requireSaid(t *testing.T, got recovery.IDs, from string) {
	require.True(t, got.Trace.IsEmpty() != (got.Half == 0), got)
	digits := strings.ToLower(strings.ReplaceAll(from, "-", ""))
	if got.Half != 0 {
		require.Contains(t, from, strconv.FormatUint(got.Half, 10))
	} else {
		require.Contains(t, digits, strings.TrimLeft(got.Trace.String(), "0"))
	}
	if !got.Span.IsEmpty() {
		inDecimal := strconv.FormatUint(binary.BigEndian.Uint64(got.Span[:]), 10)
		require.True(t, strings.Contains(digits, strings.TrimLeft(got.Span.String(), "0")) || strings.Contains(from, inDecimal), got)
	}
}
