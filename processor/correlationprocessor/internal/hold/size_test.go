package hold

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// TestMeasuredIsWhatMemoryIsTaken compares with what the runtime says of batches as a receiver decodes them.
func TestMeasuredIsWhatMemoryIsTaken(t *testing.T) {
	for name, fill := range map[string]func(pcommon.Map){
		"bare":   func(pcommon.Map) {},
		"few":    texts(3),
		"many":   texts(30),
		"long":   func(m pcommon.Map) { m.PutStr("stack", string(make([]byte, 3000))) },
		"number": func(m pcommon.Map) { m.PutInt("a", 1); m.PutDouble("b", 2); m.PutBool("c", true) },
		"nested": func(m pcommon.Map) { texts(10)(m.PutEmptyMap("inner")) },
		"empty values": func(m pcommon.Map) {
			values := m.PutEmptySlice("values")
			for range 50 {
				values.AppendEmpty()
			}
		},
	} {
		logs, traces := plog.NewLogs(), ptrace.NewTraces()
		for range 5 {
			records := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
			spans := traces.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
			for range 100 {
				record, span := records.AppendEmpty(), spans.AppendEmpty()
				record.Body().SetStr("it has happened")
				fill(record.Attributes())
				span.SetName("GET /")
				fill(span.Attributes())
				event := span.Events().AppendEmpty()
				event.SetName("exception")
				fill(event.Attributes())
				fill(span.Links().AppendEmpty().Attributes())
			}
		}
		compare(t, name+" logs", NewLogs(Settings[plog.Logs]{}).signal, logs)
		compare(t, name+" traces", NewTraces(Settings[ptrace.Traces]{}).signal, traces)
	}
}

func texts(count int) func(pcommon.Map) {
	return func(m pcommon.Map) {
		for i := range count {
			m.PutStr(fmt.Sprint("some.attribute.", i), "and its value")
		}
	}
}

func compare[T any](t *testing.T, name string, of signal[T], batch T) {
	encoded := of.encode(batch)
	held := make([]T, 20)
	before := heap()
	for i := range held {
		var err error
		held[i], err = of.decode(encoded)
		require.NoError(t, err)
	}
	taken := float64(heap()-before) / float64(len(held))
	items, bytes := of.measure(held[0])
	assert.Equal(t, 500, items)
	assert.InEpsilon(t, taken, bytes, 0.2, name)
	runtime.KeepAlive(held)
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
