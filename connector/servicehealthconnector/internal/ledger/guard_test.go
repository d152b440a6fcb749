package ledger

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/burn"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/openslo"
)

// told runs a ledger of one objective for some seconds, with so many good and bad events in each, and says what was announced when.
func told(t *testing.T, o openslo.Objective, from, until int64, traffic func(at int64) (good, bad uint64)) []string {
	t.Helper()
	l := New([]openslo.Objective{o}, slack)
	var told []string
	for at := from; at < until; at++ {
		if good, bad := traffic(at); good+bad > 0 {
			require.True(t, l.AddCounts(Key{}, at*second, good, bad) || len(o.Maintenance) > 0)
		}
		for _, tr := range l.Evaluate(at * second) {
			text := []string{Started: "started", Resolved: "resolved", DataMissing: "no data", DataBack: "data"}[tr.Kind]
			text = fmt.Sprintf("%s %s@%d since %d", o.Conditions[tr.Condition].Severity, text, at, tr.Onset/second)
			if tr.Interruptions > 0 {
				text += fmt.Sprintf(", %d interruptions", tr.Interruptions)
			}
			told = append(told, text)
		}
	}
	return told
}

func TestOneEventOfFew(t *testing.T) {
	o := objective(alert("page", time.Minute, 5*time.Second, 2))
	few := func(at int64) (uint64, uint64) {
		if at >= 1050 {
			return 0, 1
		}
		return 1, 0
	}
	assert.Equal(t, []string{"page started@1061 since 1050"}, told(t, o, 1000, 1070, few), "two in ten of the last minute's 60")
	o.LeastEvents = 61
	assert.Empty(t, told(t, o, 1000, 1070, few))
	o.Conditions[0].LeastEvents = 60
	assert.Len(t, told(t, o, 1000, 1070, few), 1, "the condition's own goes before")

	l := New([]openslo.Objective{objective(alert("page", time.Minute, 5*time.Second, 2))}, slack)
	l.AddCounts(Key{}, 990*second, 18, 2)
	l.AddCounts(Key{}, 1001*second, 18, 22)
	transitions := l.Evaluate(1001 * second)
	require.Len(t, transitions, 1)
	assert.InDelta(t, 1.0/60/0.1, transitions[0].OfOne, 1e-9)
}

// Right after the first event the long window knows no more than the short one.
func TestABurnTakesSomePast(t *testing.T) {
	o := objective(alert("page", time.Minute, 5*time.Second, 2))
	mishap := func(at int64) (uint64, uint64) {
		if at < 1002 {
			return 0, 3
		}
		return 10, 0
	}
	assert.Empty(t, told(t, o, 1000, 1100, mishap), "six bad events of which one cannot tell whether they are few")
	assert.Equal(t, []string{"page started@1005 since 1000"}, told(t, o, 1000, 1100, func(int64) (uint64, uint64) { return 5, 5 }))
	sparse := func(at int64) (uint64, uint64) {
		if at%17 == 0 {
			return 0, 1
		}
		return 0, 0
	}
	assert.Equal(t, []string{"page started@1020 since 1003"}, told(t, o, 1000, 1060, sparse), "of little traffic not much of it is asked for")
}

// As OpenSLO writes them, without an annotation of ours, alerts have one window.
func TestAnAlertOfOneWindow(t *testing.T) {
	outage := func(at int64) (uint64, uint64) {
		if at >= 1200 && at < 1300 {
			return 0, 10
		}
		return 10, 0
	}
	for name, o := range map[string]openslo.Objective{
		"one window":        objective(alert("page", time.Minute, time.Minute, 2)),
		"two almost as one": objective(alert("page", time.Minute, 59*time.Second, 2)),
	} {
		got := told(t, o, 1000, 1500, outage)
		require.Len(t, got, 2, name)
		assert.Equal(t, "page started@1211 since 1200", got[0], name)
		assert.Contains(t, got[1], "page resolved@14", name)
	}
	broken := told(t, objective(alert("page", time.Minute, time.Minute, 2)), 1000, 1100, func(int64) (uint64, uint64) { return 0, 10 })
	assert.Equal(t, []string{"page started@1030 since 1000"}, broken, "half of the window is past enough")

	sparse := objective(alert("page", time.Hour, time.Hour, 2))
	sparse.Conditions[0].After = 10 * time.Minute
	rare := func(at int64) (uint64, uint64) {
		switch {
		case at%420 != 0:
			return 0, 0
		case at >= 20_000:
			return 0, 1
		}
		return 1, 0
	}
	got := told(t, sparse, 1000, 30_000, rare)
	require.Len(t, got, 1, "also where the first of its buckets is seldom filled")
	assert.Contains(t, got[0], "page started@2")
}

// A burn that comes and goes is announced once, and what one of two conditions of a severity bridges is no interruption.
func TestFlappingIsOneBurn(t *testing.T) {
	flapping := func(at int64) (uint64, uint64) {
		if at >= 1104 && at < 1188 && at%12 < 6 {
			return 0, 10
		}
		return 10, 0
	}
	fast := alert("page", 20*time.Second, 4*time.Second, 3)
	assert.Equal(t, []string{"page started@1107 since 1102", "page resolved@1190 since 1102, 6 interruptions"},
		told(t, objective(fast), 1000, 1300, func(at int64) (uint64, uint64) { return flapping(at + 2) }))
	slow := alert("page", 60*time.Second, 30*time.Second, 2)
	got := told(t, objective(fast, slow), 1000, 1400, func(at int64) (uint64, uint64) { return flapping(at + 2) })
	require.Len(t, got, 2)
	assert.Contains(t, got[1], " 1 interruptions", "from when on the slow condition burns, it goes on burning")
}

// Of two policies that share a severity, one may ask for silence at the end.
func TestTheEndIsToldToWhoAsks(t *testing.T) {
	silent, asks := alert("page", time.Minute, 20*time.Second, 2), alert("page", 20*time.Second, 5*time.Second, 2)
	asks.AnnounceResolved = true
	for _, alerts := range [][]openslo.Alert{{silent, asks}, {asks, silent}} {
		l, now := burning(t, alerts...)
		var transitions []Transition
		for ; now < 1300*second; now += second {
			l.AddCounts(Key{}, now, 10, 0)
			transitions = append(transitions, l.Evaluate(now)...)
		}
		require.Len(t, transitions, 1)
		assert.True(t, alerts[transitions[0].Condition].AnnounceResolved)

		l, now = burning(t, alerts...)
		withdrawn, _ := l.Adopt(nil, now)
		require.Len(t, withdrawn, 1)
		assert.True(t, alerts[withdrawn[0].Condition].AnnounceResolved)
	}
}

func TestNoDataIsToldToWhoAsks(t *testing.T) {
	asks := alert("page", time.Minute, 10*time.Second, 2)
	asks.AnnounceNoData = true
	busy := func(at int64) (uint64, uint64) {
		if at < 1100 || at >= 1150 {
			return 10, 0
		}
		return 0, 0
	}
	sparse := func(at int64) (uint64, uint64) {
		if good, _ := busy(at); at%7 == 0 {
			return good, 0
		}
		return 0, 0
	}
	assert.Equal(t, []string{"page no data@1109 since 1099", "page data@1150 since 1099"}, told(t, objective(asks), 1000, 1200, busy))
	assert.Empty(t, told(t, objective(asks), 1000, 1200, sparse), "it has been silent for as long as it may be")
	assert.Equal(t, []string{"page no data@1159 since 1099"}, told(t, objective(asks), 1000, 1200, func(at int64) (uint64, uint64) {
		if at > 1100 {
			return 0, 0
		}
		return sparse(at)
	}))
	assert.Empty(t, told(t, objective(alert("page", time.Minute, 10*time.Second, 2)), 1000, 1200, busy), "nobody asks")

	maintained := objective(asks)
	maintained.Maintenance = []openslo.Interval{{From: time.Unix(1100, 0), To: time.Unix(1150, 0)}}
	assert.Empty(t, told(t, maintained, 1000, 1200, busy), "in maintenance no data is missing")
}

func TestAfterARestartSilenceBeginsAnew(t *testing.T) {
	asks := alert("page", time.Minute, 10*time.Second, 2)
	asks.AnnounceNoData = true
	l := New([]openslo.Objective{objective(asks)}, slack)
	for at := 1000 * second; at < 1100*second; at += second {
		l.AddCounts(Key{}, at, 10, 0)
		require.Empty(t, l.Evaluate(at))
	}
	again := restarted(t, l, 1500*second)
	for at := 1500 * second; at < 1560*second; at += second {
		require.Empty(t, again.Evaluate(at), "the time without a collector is not the service's silence")
	}
	require.Len(t, again.Evaluate(1560*second), 1)
}

func TestExhaustionOfACalendarsWindow(t *testing.T) {
	day := time.Date(2026, 5, 4, 0, 0, 0, 0, time.UTC)
	o := objective(alert("page", time.Hour, 10*time.Minute, 2))
	o.Window, o.Calendar = 24*time.Hour, &openslo.Calendar{Start: day, Count: 1, Unit: openslo.Day}
	l := New([]openslo.Objective{o}, burn.Slack{Late: time.Minute})
	add := func(from, until time.Duration, good, bad uint64) {
		for at := from; at < until; at += time.Minute {
			l.AddCounts(Key{}, day.Add(at).UnixNano(), good, bad)
		}
	}
	look := func(after time.Duration) (reading Reading) {
		l.Each(day.Add(after).UnixNano(), func(r Reading) { reading = r })
		return reading
	}
	add(0, 4*time.Hour, 100, 0)
	add(4*time.Hour, 6*time.Hour, 80, 20)
	r := look(6*time.Hour - 1)
	assert.InDelta(t, 1-2.0/3, r.Remaining, 1e-9, "a third of six hours at twice the rate")
	assert.InDelta(t, 6*3600.0/3, r.Exhaustion, 1, "two hours later half of eight hours were at twice the rate")
	assert.InDelta(t, 1, r.Coverage, 1e-9)

	add(6*time.Hour, 23*time.Hour, 100, 0)
	add(23*time.Hour, 24*time.Hour, 80, 20)
	assert.True(t, math.IsInf(look(24*time.Hour-1).Exhaustion, 1), "the next day has a budget of its own")
	assert.Equal(t, Reading{}.Remaining, look(24*time.Hour).Remaining)
	assert.False(t, look(24*time.Hour).Known)
}
