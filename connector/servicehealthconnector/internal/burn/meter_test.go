package burn

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func newMeter(slack Slack, windows ...time.Duration) *Meter {
	return NewMeter(NewForm(Plan{Slack: slack, Windows: windows, Budget: windows[0]}))
}

// happened is an event for the slow recomputation.
type happened struct {
	at int64
	Count
}

// slowSum is the sum over a window in the obvious way: all events whose bucket is among the window's.
func slowSum(events []happened, window time.Duration, now int64) Count {
	width := int64(max(window/60, time.Second))
	n := max(1, int64(window)/width)
	var sum Count
	for _, e := range events {
		if bucket := e.at / width; bucket <= now/width && bucket > now/width-n {
			sum.Good += e.Good
			sum.Bad += e.Bad
		}
	}
	return sum
}

func TestSumsEqualTheSlowRecomputation(t *testing.T) {
	windows := []time.Duration{5 * time.Second, 15 * time.Second, 5 * time.Minute, time.Hour, 6 * time.Hour, 30 * 24 * time.Hour}
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 0))
		const late, ahead = 2 * time.Minute, 10 * time.Second
		meter := newMeter(Slack{Late: late, Ahead: ahead}, windows...)
		now, latest := int64(1_700_000_000e9), int64(0)
		var events []happened
		for range 3000 {
			switch random.IntN(200) {
			case 0:
				now += random.Int64N(int64(3 * time.Hour)) // a gap
			default:
				now += random.Int64N(int64(5 * time.Second))
			}
			at := now
			if random.IntN(5) == 0 {
				at -= random.Int64N(int64(3 * time.Minute)) // late, at times too late
			}
			e := happened{at, Count{Good: random.Uint64N(5), Bad: random.Uint64N(2)}}
			require.True(t, meter.Add(e.at, e.Count))
			events = append(events, e)
			latest = max(latest, e.at)
		}
		for _, window := range windows {
			for _, after := range []time.Duration{-ahead, -ahead / 2, 0, time.Second, window / 3, window, 2 * window} {
				at := latest + int64(after)
				assert.Equal(t, slowSum(events, window, at), meter.Sum(window, at), "seed %d, window %s, %s after the last event", seed, window, after)
			}
		}
	}
}

func TestWindowEdges(t *testing.T) {
	const minute = int64(time.Minute)
	meter := newMeter(Slack{Late: time.Hour}, time.Hour)
	meter.Add(10*minute, Count{Bad: 1})
	assert.Equal(t, Count{Bad: 1}, meter.Sum(time.Hour, 10*minute), "the bucket of now belongs to the window")
	assert.Equal(t, Count{Bad: 1}, meter.Sum(time.Hour, 70*minute-1), "as do 59 whole ones before it")
	assert.Equal(t, Count{}, meter.Sum(time.Hour, 70*minute), "but no more")
	assert.Equal(t, Count{}, meter.Sum(time.Hour, 9*minute), "what is to come does not")
}

func TestNoDataIsNeverGood(t *testing.T) {
	_, known := Count{}.Rate(0.99)
	assert.False(t, known)
	rate, known := Count{Good: 98, Bad: 2}.Rate(0.99)
	assert.True(t, known)
	assert.InDelta(t, 2, rate, 1e-9)
}

func TestCoverageIsTheShareOfBucketsWithData(t *testing.T) {
	meter := newMeter(Slack{Late: time.Hour}, time.Minute)
	for second := range int64(30) {
		meter.Add((100+second)*int64(time.Second), Count{Good: 1})
	}
	assert.InDelta(t, 0.5, meter.Coverage(time.Minute, 129*int64(time.Second)), 1e-9)
	assert.InDelta(t, 0, meter.Coverage(time.Minute, 300*int64(time.Second)), 1e-9)
}

func TestAlert(t *testing.T) {
	condition := Condition{Long: 15 * time.Second, Short: 5 * time.Second, Rate: 10}
	const target = 0.99
	for name, test := range map[string]struct {
		// good and bad events of each second, and what happens in which second.
		good, bad []uint64
		want      string
	}{
		"all good":                           {repeat(20, 40), nil, ""},
		"an outage starts and ends":          {repeat(20, 60), at(20, 40, 20), "started@21 onset@20, paused@49, resolved@54 onset@20"},
		"a single failure is a mishap":       {repeat(1, 40), at(20, 21, 1), ""},
		"a silence neither starts nor ends":  {append(repeat(20, 25), make([]uint64, 40)...), at(20, 25, 20), "started@21 onset@20"},
		"no data at all":                     {make([]uint64, 40), nil, ""},
		"a rate that stays below is no burn": {repeat(100, 60), at(10, 60, 9), ""},
		"one bad second in the long past":    {repeat(20, 60), at(5, 6, 1), ""},
		"a burn that comes back is another":  {repeat(20, 80), append(at(10, 20, 20), append(make([]uint64, 30), at(0, 10, 20)...)...), "started@11 onset@10, paused@29, resolved@34 onset@10, started@51 onset@50, paused@69, resolved@74 onset@50"},
		"but not if it does so soon":         {repeat(20, 80), append(at(10, 20, 20), append(make([]uint64, 11), at(0, 10, 20)...)...), "started@11 onset@10, paused@29, resumed@31, paused@50, resolved@55 onset@10"},
		"an end that is not seen is none":    {append(repeat(20, 40), append(make([]uint64, 20), repeat(20, 30)...)...), at(20, 40, 20), "started@21 onset@20, paused@65, resolved@70 onset@20"},
		"less than half is not seen":         {append(repeat(20, 40), append(append(make([]uint64, 4), 20), make([]uint64, 20)...)...), at(20, 40, 20), "started@21 onset@20"},
	} {
		t.Run(name, func(t *testing.T) {
			meter := newMeter(Slack{Late: time.Minute}, condition.Long, condition.Short)
			var alert Alert
			got := ""
			const start = int64(1_700_000_000)
			for second := range max(len(test.good), len(test.bad)) {
				now := (start + int64(second)) * int64(time.Second)
				c := Count{Good: value(test.good, second), Bad: value(test.bad, second)}
				if c.Total() > 0 {
					meter.Add(now, c)
				}
				onset := func() int64 { return alert.Onset/int64(time.Second) - start }
				switch alert.Step(condition, meter, now, target) {
				case Unchanged:
				case Paused:
					got += fmt.Sprintf(", paused@%d", second)
				case Resumed:
					got += fmt.Sprintf(", resumed@%d", second)
				case Started:
					got += fmt.Sprintf(", started@%d onset@%d", second, onset())
				case Resolved:
					got += fmt.Sprintf(", resolved@%d onset@%d", second, onset())
				}
			}
			if got != "" {
				got = got[2:]
			}
			assert.Equal(t, test.want, got)
		})
	}
}

func repeat(v uint64, n int) []uint64 { return at(0, n, v) }

func at(from, to int, v uint64) []uint64 {
	s := make([]uint64, to)
	for i := from; i < to; i++ {
		s[i] = v
	}
	return s
}

func value(s []uint64, i int) uint64 {
	if i < len(s) {
		return s[i]
	}
	return 0
}

// What waits to be put into the rings is counted all the same, wherever it falls and whenever one looks.
func TestAMeterCountsWhatItHasNotSortedYet(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	windows := []time.Duration{90 * time.Second, 5 * time.Minute, 7 * time.Minute}
	m := newMeter(Slack{Late: time.Hour, Ahead: 10 * time.Second}, windows...)
	plain := map[int64]uint64{}
	const begin = int64(10_000e9)
	for i := range int64(20_000) {
		at := begin + i*37e6 - random.Int64N(3e9)
		require.True(t, m.Add(at, Count{Good: 1}))
		plain[at]++
		if i%97 != 0 {
			continue
		}
		now := begin + i*37e6
		for _, window := range windows {
			r := find(m.rings, window)
			var want uint64
			for at, n := range plain {
				if at >= r.first(now) && at < (now/r.width+1)*r.width {
					want += n
				}
			}
			require.Equal(t, want, m.Sum(window, now).Good)
		}
	}
}

func TestNoBucketBeginsWithinAStep(t *testing.T) {
	assert.Equal(t, int64(time.Second), Step())
	assert.Equal(t, int64(time.Second), Step(5*time.Minute, time.Hour, 30*24*time.Hour, 10*time.Second))
	assert.Equal(t, int64(time.Second/2), Step(5*time.Minute, 90*time.Second))
}
