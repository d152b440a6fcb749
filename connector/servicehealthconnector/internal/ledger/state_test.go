package ledger

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/burn"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/openslo"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/snapshot"
)

// restarted is a new ledger with the state of another one.
func restarted(t testing.TB, l *Ledger, present int64) *Ledger {
	again := New(l.objectives, burn.Slack{Late: l.slack.Late, Ahead: time.Duration(l.ahead)})
	for i := range l.Len() {
		key, _ := l.Changed(i)
		_, err := again.Take(key, snapshot.NewReader(l.Put(i, nil)), present)
		require.NoError(t, err)
	}
	return again
}

// every kind of budget, and every guard.
func everything() []openslo.Objective {
	asks := alert("page", 5*time.Minute, 20*time.Second, 2)
	asks.AnnounceNoData = true
	alerts := []openslo.Alert{asks, alert("page", 10*time.Minute, time.Minute, 1.5), alert("ticket", 30*time.Minute, 5*time.Minute, 1)}
	day := &openslo.Calendar{Start: time.Unix(0, 0).UTC(), Count: 1, Unit: openslo.Day}
	all := []openslo.Objective{
		{Window: time.Hour},
		{Window: 24 * time.Hour, Calendar: day},
		{Window: time.Hour, Slices: openslo.Slices{Length: 10 * time.Second, Target: 0.8}},
		{Window: 24 * time.Hour, Calendar: day, Slices: openslo.Slices{Length: 30 * time.Second, Ratio: true}},
		{Window: time.Hour, LeastEvents: 100},
	}
	for i := range all {
		all[i].Name, all[i].Target, all[i].Conditions = string(rune('a'+i)), 0.9, alerts
	}
	return all
}

// Whatever happens, a ledger that was restarted at any time goes on like one that was not.
func TestARestartChangesNothing(t *testing.T) {
	for range 2 {
		seed := rand.Uint64()
		random := rand.New(rand.NewPCG(seed, 0))
		one := New(everything(), burn.Slack{Late: time.Minute, Ahead: 5 * time.Second})
		other := New(everything(), burn.Slack{Late: time.Minute, Ahead: 5 * time.Second})
		transitions := 0
		bad := false
		for now := 86_000 * second; now < 89_000*second; now += second {
			if random.IntN(300) == 0 {
				bad = !bad
			}
			silent := now%(1000*second) > 900*second
			for objective := range uint32(len(one.objectives)) {
				if silent || random.IntN(3) > 0 {
					continue
				}
				key := Key{Objective: objective, Group: random.Uint32N(2)}
				at := now - random.Int64N(70*second) + random.Int64N(10*second)
				count := random.Float64() * 10
				good := !bad || random.IntN(3) > 0
				require.Equal(t, one.Add(key, at, good, count), other.Add(key, at, good, count), "seed %d", seed)
			}
			want, got := one.Evaluate(now-5*second), other.Evaluate(now-5*second)
			require.Equal(t, want, got, "seed %d at %d", seed, now/second)
			transitions += len(want)
			if random.IntN(50) == 0 {
				before := other
				other = restarted(t, before, now)
				other.present, other.refused = before.present, before.refused
				for i, a := range before.inOrder {
					other.inOrder[i].began = a.began
				}
				// Time stood still for what was about to happen, since nobody knows how long it did.
				for _, a := range one.inOrder {
					for i := range a.alerts {
						a.alerts[i].Take(snapshot.NewReader(a.alerts[i].Put(nil)))
					}
				}
			}
		}
		var want, got []Reading
		one.Each(89_000*second, func(r Reading) { want = append(want, r) })
		other.Each(89_000*second, func(r Reading) { got = append(got, r) })
		require.Equal(t, want, got, "seed %d", seed)
		assert.Positive(t, transitions)
	}
}

// Conditions may differ in nothing but for how long they wait, or in the guard.
func TestConditionsOfTheSameWindowsKeepTheirOwnState(t *testing.T) {
	page, ticket := alert("page", time.Minute, 5*time.Second, 2), alert("ticket", time.Minute, 5*time.Second, 2)
	ticket.After = time.Hour
	for _, alerts := range [][]openslo.Alert{{page, ticket}, {ticket, page}} {
		l, now := burning(t, alerts...)
		l = restarted(t, l, now)
		assert.Empty(t, l.Evaluate(now))
		for _, f := range readings(l, now)[0].Firing {
			assert.Equal(t, f.Severity == "page", f.Firing)
		}
		other := objective(alerts...)
		other.Target = 0.8
		withdrawn, _ := l.Adopt([]openslo.Objective{other}, now)
		assert.Empty(t, withdrawn)
		assert.Empty(t, l.Evaluate(now))
	}
}

// The clock may have been wrong before.
func TestNothingInAStateIsLaterThanThePresent(t *testing.T) {
	asks := alert("page", time.Minute, 10*time.Second, 2)
	asks.AnnounceNoData = true
	l, now := burning(t, asks)
	l.inOrder[0].since = now
	for ; !l.inOrder[0].episodes[0].silent; now += second {
		l.Evaluate(now)
	}
	present := 500 * second
	again := restarted(t, l, present)
	assert.Equal(t, present, readings(again, present)[0].Since)
	assert.Empty(t, again.Evaluate(present))
	present += again.slack.Ahead.Nanoseconds() + second
	again.Add(Key{}, present, true, 1)
	told := again.Evaluate(present)
	require.Len(t, told, 1)
	assert.Equal(t, DataBack, told[0].Kind)
	assert.LessOrEqual(t, again.inOrder[0].episodes[0].onset, present)
}

func TestWhatIsCountedKeepsItsIdentity(t *testing.T) {
	o := everything()[2]
	id := Identity(&o)
	same := o
	same.Target, same.Window, same.Conditions, same.DisplayName, same.LeastEvents = 0.5, time.Minute, nil, "x", 7
	same.Maintenance, same.Source.File, same.Indicator.Total.Source.Line = []openslo.Interval{{}}, "x", 5
	assert.Equal(t, id, Identity(&same))
	for name, change := range map[string]func(*openslo.Objective){
		"name":      func(o *openslo.Objective) { o.Name = "z" },
		"service":   func(o *openslo.Objective) { o.Service.Name = "z" },
		"signal":    func(o *openslo.Objective) { o.Indicator.Signal = openslo.Logs },
		"total":     func(o *openslo.Objective) { o.Indicator.Total.Text = "z" },
		"good":      func(o *openslo.Objective) { o.Indicator.Good.Text = "z" },
		"bad":       func(o *openslo.Objective) { o.Indicator.Bad.Text = "z" },
		"threshold": func(o *openslo.Objective) { o.Indicator.Threshold = 3 },
		"raw":       func(o *openslo.Objective) { o.Indicator.RawIsBad = true },
		"exclude":   func(o *openslo.Objective) { o.Exclude.Text = "z" },
		"slices":    func(o *openslo.Objective) { o.Slices.Target = 0.7 },
		"groups":    func(o *openslo.Objective) { o.GroupBy = []string{"z"} },
	} {
		other := o
		change(&other)
		assert.NotEqual(t, id, Identity(&other), name)
	}
}

func FuzzTake(f *testing.F) {
	l := New(everything(), slack)
	for objective := range uint32(len(l.objectives)) {
		for i := range int64(100) {
			l.AddCounts(Key{Objective: objective}, 90_000*second+i*37*second, uint64(i), 30)
			l.Evaluate(90_000*second + i*37*second)
		}
		f.Add(uint8(objective), l.Put(int(objective), nil))
	}
	f.Fuzz(func(_ *testing.T, objective uint8, state []byte) {
		l := New(everything(), slack)
		key := Key{Objective: uint32(objective) % uint32(len(l.objectives))}
		if _, err := l.Take(key, snapshot.NewReader(state), 100_000*second); err != nil {
			return
		}
		l.AddCounts(key, 100_001*second, 1, 1)
		l.Evaluate(100_001 * second)
		l.Each(100_001*second, func(Reading) {})
		l.Put(0, nil)
	})
}
