package burn

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// table are the windows of the default alerts, and the objective's.
var table = []time.Duration{
	30 * 24 * time.Hour, time.Hour, 5 * time.Minute, 6 * time.Hour, 30 * time.Minute, 24 * time.Hour, 2 * time.Hour, 72 * time.Hour,
}

var tableForm = NewForm(Plan{Slack: Slack{Late: 5 * time.Minute, Ahead: 70 * time.Second}, Windows: table, Budget: table[0]})

// filled is a meter all of whose buckets have events, so many in each of the shortest.
func filled(n uint64) *Meter {
	m := NewMeter(tableForm)
	for at := epoch; at < epoch+int64(table[0]); at += int64(5 * time.Second) {
		m.Add(at, Count{Good: n, Bad: n / 100})
		if at%int64(time.Minute) == 0 {
			for _, window := range table {
				m.Sum(window, at-int64(10*time.Second))
			}
		}
	}
	return m
}

// size is what a meter takes of the heap, in bytes.
func size(t *testing.T, newMeter func() *Meter) int {
	t.Helper()
	const n = 100
	meters := make([]*Meter, n)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range meters {
		meters[i] = newMeter()
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(meters)
	return int(after.HeapAlloc-before.HeapAlloc) / n
}

func TestAMeterIsSmall(t *testing.T) {
	once := size(t, func() *Meter {
		m := NewMeter(tableForm)
		m.Add(epoch, Count{Good: 1})
		for _, window := range table {
			m.Sum(window, epoch)
		}
		return m
	})
	assert.LessOrEqual(t, once, 6<<10, "with little traffic")
	much := size(t, func() *Meter {
		m := NewMeter(tableForm)
		m.Add(epoch, Count{Good: 1 << 40})
		for _, window := range table {
			m.Sum(window, epoch)
		}
		return m
	})
	assert.LessOrEqual(t, much, 12<<10, "with more than four billion events in a bucket")
	past := size(t, func() *Meter {
		m := NewMeter(tableForm)
		m.Add(epoch, Count{Good: 1})
		for _, window := range table {
			m.Sum(window, epoch)
			m.Sum(window, epoch+2*int64(table[0]))
		}
		return m
	})
	assert.LessOrEqual(t, past, 1200, "with nothing in any window")
	t.Logf("%d bytes with little traffic, %d with much, %d with none", once, much, past)
}

func BenchmarkAdd(b *testing.B) {
	meter := NewMeter(tableForm)
	now := epoch
	b.ReportAllocs()
	for b.Loop() {
		now += 1e6
		meter.Add(now, Count{Good: 1})
	}
}

func BenchmarkSums(b *testing.B) {
	meter := filled(1000)
	now := epoch + int64(table[0])
	b.ReportAllocs()
	for b.Loop() {
		now += int64(time.Second)
		meter.Add(now, Count{Good: 1})
		for _, window := range table {
			meter.Sum(window, now)
		}
	}
}

func BenchmarkPut(b *testing.B) {
	meter := filled(1000)
	var state []byte
	b.ReportAllocs()
	for b.Loop() {
		state = meter.Put(state[:0])
	}
	b.ReportMetric(float64(len(state)), "bytes")
}
