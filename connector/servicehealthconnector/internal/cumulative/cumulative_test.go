package cumulative

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

const second = int64(time.Second)

func of(trace byte) Witness { return Witness{Trace: pcommon.TraceID{trace}, Operation: uint32(trace)} }

func told(c *Sum, steps *Steps) []Point {
	var points []Point
	c.Tell(steps, func(p Point) {
		p.At /= second
		points = append(points, p)
	})
	return points
}

func TestPointsHaveTheTimeOfTheEvents(t *testing.T) {
	steps := NewSteps(second)
	steps.Begin(100*second - 1)
	var c Sum
	add := func(at int64, count float64) {
		t.Helper()
		assert.True(t, c.Add(steps.End(at), count, of(byte(at/second))))
	}
	add(104*second, 1)
	add(102*second+1, 2)
	add(102*second+7, 1)
	steps.Close(101 * second)
	assert.Empty(t, told(&c, &steps), "their steps are open")
	steps.Close(104 * second)
	assert.Equal(t, []Point{{At: 102}, {At: 103, Events: 3, Witness: of(102)}, {At: 104, Events: 3}}, told(&c, &steps))
	assert.Empty(t, told(&c, &steps), "nothing is told twice")
	add(101*second, 5) // late
	steps.Close(106*second + 1)
	assert.Equal(t, []Point{{At: 105, Events: 9, Witness: of(101)}, {At: 106, Events: 9}}, told(&c, &steps))
	steps.Close(90 * second)
	assert.Equal(t, 106*second, steps.Closed())
	add(150*second, 1)
	steps.CloseLast(107*second + 1)
	assert.Equal(t, []Point{{At: 151, Events: 10, Witness: of(150)}}, told(&c, &steps))
}

func TestThatThereWereNoneIsToldWhereItIsAsked(t *testing.T) {
	steps := NewSteps(second)
	steps.Begin(100 * second)
	var c Sum
	assert.Empty(t, told(&c, &steps))
	assert.False(t, c.IsTold())
	var points []Point
	c.TellEmpty(&steps, func(p Point) { points = append(points, p) })
	assert.Equal(t, []Point{{At: 100 * second}}, points)
	assert.True(t, c.IsTold())
	c.Add(steps.End(103*second), 1, of(7))
	steps.Close(104 * second)
	assert.Equal(t, []Point{{At: 104, Events: 1, Witness: of(7)}}, told(&c, &steps))
}

func TestWhatEndedBeforeTheStartCountsAfterIt(t *testing.T) {
	steps := NewSteps(second)
	steps.Begin(100*second + 1)
	assert.Equal(t, 102*second, steps.End(7*second))
	assert.Equal(t, 102*second, steps.End(101*second))
	assert.Equal(t, 103*second, steps.End(102*second))
}

func TestStepsThatWouldBeTooShort(t *testing.T) {
	steps := NewSteps(2)
	assert.Equal(t, second, steps.End(1))
	steps = NewSteps(second / 2)
	assert.Equal(t, second/2, steps.End(1))
}

func TestSampledCountsDoNotDrift(t *testing.T) {
	steps := NewSteps(second)
	var c Sum
	for i := range int64(1000) {
		c.Add(steps.End(i*second/10), 1.0/3, Witness{})
	}
	steps.Close(math.MaxInt64 - second)
	points := told(&c, &steps)
	assert.InDelta(t, 1000.0/3, float64(points[len(points)-1].Events), 1)
}

func TestCountsOfNoEvent(t *testing.T) {
	var c Sum
	for _, count := range []float64{math.NaN(), -1, math.Inf(1), mostEvents + 1} {
		assert.False(t, c.Add(second, count, Witness{}), "%v", count)
	}
	assert.Empty(t, c.open)
}

// TestNothingIsLost adds in any order and tells at any time.
func TestNothingIsLost(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		steps := NewSteps(second)
		var c Sum
		var sum, last uint64
		at := int64(-1)
		check := func(p Point) {
			assert.Greater(t, p.At, at)
			assert.GreaterOrEqual(t, p.Events, last)
			at, last = p.At, p.Events
		}
		for range 2000 {
			c.Add(steps.End(random.Int64N(3000)*second), 1, Witness{})
			sum++
			if random.IntN(100) == 0 {
				steps.Close(random.Int64N(2000) * second)
				c.Tell(&steps, check)
			}
			assert.LessOrEqual(t, len(c.open), mostOpen)
		}
		steps.Close(4000 * second)
		c.Tell(&steps, check)
		assert.Equal(t, sum, last)
		assert.Equal(t, 4000*second, at)
	}
}

func BenchmarkAdd(b *testing.B) {
	b.ReportAllocs()
	steps := NewSteps(second)
	var c Sum
	now := int64(0)
	for b.Loop() {
		now += second / 50
		c.Add(steps.End(now-now%7*second), 1, Witness{})
		if now%(15*second) < second/50 {
			steps.Close(now - 20*second)
			c.Tell(&steps, func(Point) {})
		}
	}
}
