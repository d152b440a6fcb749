package ledger

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/burn"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/openslo"
)

// The reader lets spans pass that end up to a minute after the present, since clocks of hosts differ, and windows end some seconds
// before the present. One such span must not push out of the short windows what is still asked for.
func TestAClockThatIsAheadChangesNoVerdict(t *testing.T) {
	const ahead = 10 * time.Second
	l := New([]openslo.Objective{objective(alert("page", 15*time.Second, 5*time.Second, 5))}, burn.Slack{Late: 5 * time.Minute, Ahead: ahead})
	horizon := 10_000 * second
	present := horizon + int64(ahead)
	for at := horizon - 20*second; at <= present; at += second {
		require.True(t, l.Add(Key{}, at, false, 10))
	}
	require.True(t, l.Add(Key{}, present+60*second, true, 1))
	require.True(t, l.Add(Key{}, horizon, false, 10), "who is on time still counts")
	transitions := l.Evaluate(horizon)
	require.Len(t, transitions, 1)
	assert.Equal(t, Started, transitions[0].Kind)
	for _, rate := range transitions[0].Reading.Rates {
		assert.True(t, rate.Known)
		assert.InDelta(t, 10, rate.Burn, 1e-9)
	}
}

func TestWhatIsNoCountIsRefused(t *testing.T) {
	l := New([]openslo.Objective{objective(alert("page", time.Minute, 5*time.Second, 2))}, slack)
	for _, count := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1, 1e300} {
		assert.False(t, l.Add(Key{}, 1000*second, false, count))
	}
	assert.False(t, l.AddCounts(Key{}, 1000*second, 1<<63, 0))
	assert.False(t, l.Add(Key{}, -1, true, 1))
	require.True(t, l.Add(Key{}, 1000*second, true, 1.5))
	l.Evaluate(1000 * second)
	assert.False(t, l.Add(Key{}, 900*second, true, 0.5), "too late, and with it its half")
	require.True(t, l.Add(Key{}, 1000*second, true, 1))
	l.Each(1000*second, func(r Reading) { assert.Equal(t, burn.Count{Good: 2}, r.Total) })
}

func TestTransitionsComeInOneOrder(t *testing.T) {
	for range 50 {
		l := New([]openslo.Objective{objective(
			alert("page", 20*time.Second, 5*time.Second, 5),
			alert("ticket", 20*time.Second, 5*time.Second, 4),
			alert("note", 20*time.Second, 5*time.Second, 3),
		)}, slack)
		for group := range uint32(8) {
			l.Add(Key{Group: group}, 990*second, true, 1)
			l.Add(Key{Group: group}, 1000*second, false, 10)
		}
		transitions := l.Evaluate(1000 * second)
		require.Len(t, transitions, 24)
		for i, tr := range transitions {
			require.Equal(t, uint32(i/3), tr.Group)
			require.Equal(t, i%3, tr.Condition)
		}
	}
}

// One clock that is ahead by more than events may be late must not shut out all the others.
func TestAnEarlyClockShutsOutNobody(t *testing.T) {
	l := New([]openslo.Objective{objective(alert("page", time.Minute, 5*time.Second, 2))}, burn.Slack{Late: 5 * time.Second, Ahead: 10 * time.Second})
	now := 10_000 * second
	for ; now < 10_100*second; now += second {
		l.Evaluate(now - 10*second)
		require.True(t, l.Add(Key{}, now+60*second, true, 1))
		require.True(t, l.Add(Key{}, now, true, 1))
		require.True(t, l.Add(Key{}, now-5*second, true, 1), "who is late, but not too late")
	}
	assert.Zero(t, l.Refused())
}
