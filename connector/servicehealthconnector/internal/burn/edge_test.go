package burn

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/snapshot"
)

// A burn rate of exactly the threshold reaches it, for every target: 1 − 0.99 is a little more than 0.01 in floating point.
func TestTheThresholdItselfIsReached(t *testing.T) {
	for _, c := range []struct {
		count  Count
		target float64
		rate   float64
	}{
		{Count{Good: 856, Bad: 144}, 0.99, 14.4},
		{Count{Good: 9856, Bad: 144}, 0.999, 14.4},
		{Count{Good: 94, Bad: 6}, 0.99, 6},
		{Count{Good: 99, Bad: 1}, 0.99, 1},
		{Count{Good: 7, Bad: 3}, 0.7, 1},
		{Count{Bad: 5}, 0.95, 20},
		{Count{Bad: 1}, 0.999999999, 1e9},
		{Count{Good: math.MaxUint64 / 4, Bad: math.MaxUint64 / 4}, 0.5, 1},
	} {
		assert.True(t, Condition{Rate: c.rate}.reached(c.count, c.target), "%v at %v reaches %v", c.count, c.target, c.rate)
		assert.False(t, Condition{Rate: c.rate, Above: true}.reached(c.count, c.target), "%v at %v exceeds %v", c.count, c.target, c.rate)
		fewer := Count{Good: c.count.Good + 1, Bad: c.count.Bad}
		if c.count.Total() < 1<<40 {
			assert.False(t, Condition{Rate: c.rate}.reached(fewer, c.target), "%v at %v reaches %v", fewer, c.target, c.rate)
		}
		rate, _ := c.count.Rate(c.target)
		assert.InEpsilon(t, c.rate, rate, 1e-12)
	}
	rate, _ := Count{Good: 99, Bad: 1}.Rate(0.99)
	assert.InDelta(t, 0, 1-rate, 0, "a budget that is used up is used up")
}

// TestReachedEqualsRationals compares with arithmetic that can't round.
func TestReachedEqualsRationals(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		parts, micros := 1+random.Int64N(1e9), 1+random.Int64N(20e6)
		c := Count{Good: random.Uint64N(2000), Bad: random.Uint64N(50)}
		// Every other count is on the edge, where one more or one fewer decides.
		edge := new(big.Rat).Mul(big.NewRat(micros, 1e6), big.NewRat(parts, 1e9))
		if random.IntN(2) == 0 && edge.Cmp(big.NewRat(1, 1)) <= 0 {
			c.Bad = edge.Num().Uint64()
			c.Good = edge.Denom().Uint64() - c.Bad
			switch random.IntN(3) {
			case 0:
				c.Good++
			case 1:
				c.Bad++
			}
		}
		if c.Total() == 0 {
			continue
		}
		target, _ := big.NewRat(1e9-parts, 1e9).Float64()
		rate, _ := big.NewRat(micros, 1e6).Float64()
		exact := new(big.Rat).SetFrac(new(big.Int).SetUint64(c.Bad), new(big.Int).SetUint64(c.Total()))
		exact.Quo(exact, big.NewRat(parts, 1e9))
		order := exact.Cmp(big.NewRat(micros, 1e6))
		require.Equal(t, order >= 0, Condition{Rate: rate}.reached(c, target), "%v target %v rate %v", c, target, rate)
		require.Equal(t, order > 0, Condition{Rate: rate, Above: true}.reached(c, target), "%v target %v rate %v", c, target, rate)
	}
}

const epoch = int64(1_700_000_000e9)

// With a request every ten seconds, the short window of five is empty half of the time.
func TestABurnWithLittleTraffic(t *testing.T) {
	condition := Condition{Long: time.Minute, Short: 5 * time.Second, Rate: 10, After: 6 * time.Second}
	meter := newMeter(Slack{Late: time.Minute}, condition.Long, condition.Short)
	var alert Alert
	var started, resolved int64
	for second := range int64(200) {
		now := epoch + second*int64(time.Second)
		if second%10 == 0 {
			c := Count{Good: 1}
			if second >= 50 && second < 100 {
				c = Count{Bad: 1}
			}
			meter.Add(now, c)
		}
		switch alert.Step(condition, meter, now, 0.95) {
		case Started:
			require.Zero(t, started)
			started = second
		case Resolved:
			require.Zero(t, resolved)
			resolved = second
		case Unchanged, Paused, Resumed:
		}
	}
	assert.True(t, started > 56 && started < 100, "started after %d s", started)
	assert.True(t, resolved > 105 && resolved < 125, "resolved after %d s", resolved)
}

func TestOnsetIsThatOfTheEpisode(t *testing.T) {
	for _, test := range []struct {
		rate  float64
		exact time.Duration
	}{
		{2, 5 * time.Second},   // found within the short window, whose buckets are that long
		{10, 60 * time.Second}, // found later, so that only the long window's buckets reach back
	} {
		condition := Condition{Long: time.Hour, Short: 5 * time.Minute, Rate: test.rate}
		meter := newMeter(Slack{Late: time.Minute}, condition.Long, condition.Short)
		var alert Alert
		begun := epoch - epoch%int64(time.Hour)
		fault := begun + int64(50*time.Minute+37*time.Second)
		for now := begun; now < begun+int64(2*time.Hour) && !alert.Firing; now += int64(time.Second) {
			c := Count{Good: 20}
			switch {
			case now == begun+int64(5*time.Minute):
				c = Count{Bad: 20} // one second long before, and over
			case now >= fault && now%int64(10*time.Second) != 0:
				c = Count{Bad: 20} // the fault spares every tenth second
			}
			meter.Add(now, c)
			alert.Step(condition, meter, now, 0.99)
		}
		require.True(t, alert.Firing)
		off := time.Duration(fault - alert.Onset)
		assert.True(t, off >= 0 && off < test.exact, "at a rate of %v the onset is off by %s", test.rate, off)
	}
}

// A restart may come with less room for events that are late, and so for slices that may still change.
func TestTheLatestSlicesOutliveARestartWithLessRoom(t *testing.T) {
	plan := func(late time.Duration) Plan {
		return Plan{Slack: Slack{Late: late}, Windows: []time.Duration{time.Hour}, Slices: Slices{Length: time.Minute, Target: 0.5}}
	}
	for start := range int64(7) {
		at := func(minute int64) int64 { return epoch/6e10*6e10 + (start+minute)*6e10 }
		was := NewMeter(NewForm(plan(5 * time.Minute)))
		for minute := range int64(6) {
			was.Add(at(minute), Count{Bad: 10})
			was.end(at(minute))
		}
		is := NewMeter(NewForm(plan(time.Minute)))
		is.Take(snapshot.NewReader(was.Put(nil)), at(6))
		is.Add(at(5)+1, Count{Good: 1})
		assert.Equal(t, Count{Bad: 6}, is.Sum(time.Hour, at(6)), "from %d", start)
	}
}
