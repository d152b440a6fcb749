package gauge

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/series"
)

const (
	shop, bank = 2, 3
	epoch      = int64(1_700_000_000e9)
	step       = int64(15e9)
)

var cpu = series.Identity{1}

// play gives a series values, one each step, and returns what stands out of the shop then.
func play(about About, values ...float64) (Strain, bool) {
	b := New()
	b.Describe(cpu, about, epoch)
	now := epoch
	for _, v := range values {
		now += step
		b.Observe(cpu, Point{At: now, Value: v}, now)
	}
	b.Compare(now)
	return b.Of(shop)
}

func of(services ...uint32) About { return About{Name: "container.cpu.usage", Services: services} }

func TestStrain(t *testing.T) {
	usual := []float64{0.3, 0.35, 0.25, 0.4, 0.3, 0.3, 0.35, 0.25, 0.3}
	left := About{Name: "container.memory.available", Services: []uint32{shop}, Falls: true}
	tests := map[string]struct {
		about  About
		values []float64
		stands bool
	}{
		"far above its past":          {of(shop), append(usual[:9:9], 0.97), true},
		"and still":                   {of(shop), append(usual[:9:9], 0.97, 0.95, 0.96), true},
		"until it is over":            {of(shop), append(usual[:9:9], 0.97, 0.95, 0.3), false},
		"as large as it was before":   {of(shop), append(append([]float64{0.97}, usual...), 0.97), false},
		"a little above":              {of(shop), append(usual[:9:9], 0.42), false},
		"below is no strain":          {of(shop), append(usual[:9:9], 0.01), false},
		"too little is known":         {of(shop), []float64{0.3, 0.3, 0.3, 0.3, 0.97}, false},
		"never moved, and moves":      {of(shop), []float64{1, 1, 1, 1, 1, 1, 1, 1.1}, false},
		"never moved, and doubles":    {of(shop), []float64{1, 1, 1, 1, 1, 1, 1, 2}, true},
		"grows as ever":               {of(shop), []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, false},
		"less is left than ever":      {left, []float64{90, 95, 92, 91, 94, 93, 30}, true},
		"more is left than ever":      {left, []float64{90, 95, 92, 91, 94, 93, 300}, false},
		"no number":                   {of(shop), append(usual[:9:9], math.NaN(), math.Inf(1)), false},
		"of somebody else":            {of(bank), append(usual[:9:9], 0.97), false},
		"of several on the same host": {of(bank, shop), append(usual[:9:9], 0.97), true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			strain, ok := play(test.about, test.values...)
			assert.Equal(t, test.stands, ok, "%+v", strain)
		})
	}
}

func TestWhatIsSaid(t *testing.T) {
	strain, ok := play(of(shop), 0.3, 0.35, 0.25, 0.4, 0.3, 0.3, 0.97, 0.9)
	require.True(t, ok)
	assert.InDelta(t, 0.9, strain.Value, 1e-9)
	assert.InDelta(t, 0.4, strain.Before, 1e-9)
	assert.Equal(t, epoch+7*step, strain.Since)
	strain, ok = play(About{Name: "left", Services: []uint32{shop}, Falls: true}, 90, 95, 92, 91, 94, 93, 30)
	require.True(t, ok)
	assert.InDelta(t, 30, strain.Value, 1e-9)
	assert.InDelta(t, 90, strain.Before, 1e-9)
}

func TestRateOfSum(t *testing.T) {
	b := New()
	b.Describe(cpu, About{Name: "process.cpu.time", Services: []uint32{shop}, Rate: true}, epoch)
	now, total := epoch, 0.0
	add := func(perSecond float64, start int64) {
		now += step
		total += perSecond * 15
		b.Observe(cpu, Point{At: now, Value: total, Cumulative: true, Start: start}, now)
	}
	for i := range 12 {
		add(0.2+0.02*float64(i%3), epoch)
	}
	total = 0
	add(5, now) // It began anew, so that its rate is not known.
	b.Compare(now)
	_, ok := b.Of(shop)
	assert.False(t, ok)
	add(0.9, now-step)
	b.Compare(now)
	strain, ok := b.Of(shop)
	require.True(t, ok)
	assert.InDelta(t, 0.9, strain.Value, 1e-6)
	assert.InDelta(t, 0.24, strain.Before, 1e-6)
}

// The bound holds for Student's t: its quantiles (W. S. Gosset, 1908, in any table of them) are no more improbable than their tails.
func TestTheTailIsBounded(t *testing.T) {
	tests := []struct{ free, t, tail float64 }{
		{4, 2.132, 0.05}, {4, 7.173, 0.001}, {9, 1.833, 0.05}, {9, 4.297, 0.001}, {29, 1.699, 0.05}, {29, 3.396, 0.001}, {120, 3.160, 0.001},
	}
	for _, test := range tests {
		n := test.free + 1
		s := past{n: n, mean: 100, squares: 400 * test.free, most: 100}
		weight := s.surprise(100 + 20*test.t*math.Sqrt(1+1/n))
		assert.LessOrEqual(t, weight, -math.Log(test.tail), "%+v", test)
		assert.Greater(t, weight, 0.6*-math.Log(test.tail), "%+v: and it is not far off", test)
	}
}

func TestManySeriesSaySoByChance(t *testing.T) {
	stands := func(others int) float64 {
		b := New()
		now := epoch
		for i := range others + 1 {
			b.Describe(series.Identity{uint64(i)}, of(shop), epoch)
		}
		for i := range 20 {
			now += step
			for j := range others + 1 {
				value := 1 + 0.1*float64(i%4)
				if j == 0 && i == 19 {
					value = 3
				}
				b.Observe(series.Identity{uint64(j)}, Point{At: now, Value: value}, now)
			}
		}
		b.Compare(now)
		strain, ok := b.Of(shop)
		require.True(t, ok)
		return strain.Weight
	}
	assert.InDelta(t, stands(0)-math.Log(100), stands(99), 1e-9)
}

func TestAPointHoldsForAWhile(t *testing.T) {
	b := New()
	b.Describe(cpu, of(shop), epoch)
	now := epoch
	for _, v := range []float64{0.3, 0.35, 0.25, 0.4, 0.3, 0.3, 0.97} {
		now += step
		b.Observe(cpu, Point{At: now, Value: v}, now)
	}
	b.Observe(cpu, Point{At: now - 1, Value: 0.3}, now)
	b.Observe(cpu, Point{At: now, Value: 0.3}, now)
	b.Compare(now)
	_, ok := b.Of(shop)
	assert.True(t, ok, "what is not later says nothing")
	b.Compare(now + current + 1)
	_, ok = b.Of(shop)
	assert.False(t, ok)
	later := now + silent + swept
	b.Observe(series.Identity{2}, Point{At: later, Value: 1}, later)
	assert.False(t, b.Knows(cpu), "it is forgotten")
	assert.Empty(t, b.names)
}

func TestSeriesAreBounded(t *testing.T) {
	b := New()
	for i := range maxSeries + 2 {
		b.Describe(series.Identity{uint64(i)}, of(shop), epoch)
	}
	assert.Len(t, b.series, maxSeries)
	assert.EqualValues(t, 2, b.Refused())
	b = New()
	b.Describe(cpu, About{Name: "container.\xff" + strings.Repeat("x", 1e6), Services: make([]uint32, 1e4)}, epoch)
	assert.Less(t, len(b.series[cpu].Name), 300)
	assert.Len(t, b.series[cpu].Services, MaxServices)
	b.Describe(series.Identity{2}, of(), epoch)
	assert.False(t, b.Knows(series.Identity{2}), "it is about nobody")
}

func TestOf(t *testing.T) {
	for name, want := range map[string]struct{ shared, ok bool }{
		"container.cpu.usage": {false, true}, "k8s.pod.memory.usage": {false, true}, "process.cpu.time": {false, true},
		"system.cpu.utilization": {true, true}, "k8s.node.cpu.usage": {true, true}, "http.server.request.duration": {}, "systemic": {},
	} {
		shared, ok := Of(name)
		assert.Equal(t, want.ok, ok, name)
		assert.Equal(t, want.shared, shared, name)
	}
}

func TestFalls(t *testing.T) {
	attributes := pcommon.NewMap()
	assert.False(t, Falls("system.memory.usage", attributes))
	assert.True(t, Falls("k8s.pod.memory.available", attributes))
	attributes.PutStr("system.memory.state", "used")
	assert.False(t, Falls("system.memory.usage", attributes))
	attributes.PutStr("system.memory.state", "free")
	assert.True(t, Falls("system.memory.usage", attributes))
	attributes.Clear()
	attributes.PutStr("cpu.mode", "idle")
	assert.True(t, Falls("system.cpu.time", attributes))
}

func FuzzObserve(f *testing.F) {
	f.Add([]byte("0123456789abcdef0123456789abcdef"), true, false)
	f.Fuzz(func(t *testing.T, data []byte, cumulative, falls bool) {
		b := New()
		b.Describe(cpu, About{Name: "x", Services: []uint32{shop}, Falls: falls, Rate: cumulative}, epoch)
		now := epoch
		for ; len(data) >= 16; data = data[16:] {
			at := int64(binary.LittleEndian.Uint64(data))
			now += step
			b.Observe(cpu, Point{At: at, Value: math.Float64frombits(binary.LittleEndian.Uint64(data[8:])), Cumulative: cumulative}, now)
			b.Compare(now)
			strain, _ := b.Of(shop)
			require.False(t, math.IsNaN(strain.Weight), fmt.Sprint(strain))
		}
	})
}

func BenchmarkObserve(b *testing.B) {
	book := New()
	book.Describe(cpu, of(shop), epoch)
	now := epoch
	b.ReportAllocs()
	for i := range b.N {
		now += int64(time.Second)
		book.Observe(cpu, Point{At: now, Value: float64(i % 7)}, now)
	}
}

func BenchmarkCompare(b *testing.B) {
	book := New()
	for i := range 5000 {
		id := series.Identity{uint64(i)}
		book.Describe(id, of(uint32(2+i%200)), epoch)
		for j := range int64(10) {
			book.Observe(id, Point{At: epoch + j*step, Value: float64(j % 3)}, epoch)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		book.Compare(epoch + 9*step)
	}
}
