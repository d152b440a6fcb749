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

const second = int64(time.Second)

var slack = burn.Slack{Late: time.Minute}

func objective(alerts ...openslo.Alert) openslo.Objective {
	return openslo.Objective{Name: "o", Target: 0.9, Window: time.Hour, Conditions: alerts}
}

func alert(severity string, long, short time.Duration, rate float64) openslo.Alert {
	return openslo.Alert{Severity: severity, Long: long, Short: short, BurnRate: rate}
}

func TestSampledEventsAreExactInTheSum(t *testing.T) {
	l := New([]openslo.Objective{objective(alert("page", time.Minute, 5*time.Second, 2))}, slack)
	for range 300 {
		l.Add(Key{}, 1000*second, true, 1.0/0.3)
	}
	l.Each(1000*second, func(r Reading) {
		assert.InDelta(t, 1000, float64(r.Total.Good), 1, "300 spans that each stand for 3⅓")
	})
}

// A share of an event may come from anybody. However it rounds, less than nothing is never counted.
func TestPartsOfEventsNeverTakeAny(t *testing.T) {
	part := 1 - rounding
	for range 8 {
		part = math.Nextafter(part, 0)
	}
	for range 16 {
		l := New([]openslo.Objective{objective(alert("page", time.Minute, 5*time.Second, 2))}, slack)
		l.Add(Key{}, 1000*second, true, part)
		l.Add(Key{}, 1000*second, true, 1)
		before := readings(l, 1000*second)[0].Total
		l.Add(Key{}, 1000*second, true, 1e-300)
		assert.Equal(t, before, readings(l, 1000*second)[0].Total, "%b", part)
		part = math.Nextafter(part, 1)
	}
}

func TestTenTenthsAreAnEvent(t *testing.T) {
	l := New([]openslo.Objective{objective(alert("page", time.Minute, 5*time.Second, 2))}, slack)
	for range 10_000 {
		l.Add(Key{}, 1000*second, true, 0.9)
		l.Add(Key{}, 1000*second, false, 1-0.9)
	}
	l.Each(1000*second, func(r Reading) { assert.Equal(t, burn.Count{Good: 9000, Bad: 1000}, r.Total) })
}

func TestEventsThatComeTooLateAreRefused(t *testing.T) {
	l := New([]openslo.Objective{objective(alert("page", time.Minute, 5*time.Second, 2))}, slack)
	l.Add(Key{}, 1000*second, true, 1)
	l.Evaluate(1000 * second)
	assert.True(t, l.Add(Key{}, 940*second, true, 0))
	assert.False(t, l.Add(Key{}, 940*second-1, false, 1))
	assert.False(t, l.AddCounts(Key{}, 900*second, 0, 5))
	assert.Equal(t, uint64(6), l.Refused())
	assert.False(t, l.Add(Key{}, 900*second, true, 10), "events of one time come as one")
	assert.False(t, l.Add(Key{}, 900*second, true, 0.5))
	assert.Equal(t, uint64(17), l.Refused())
	assert.False(t, l.AddCounts(Key{}, 1000*second, 1<<63, 0))
	assert.Equal(t, uint64(18), l.Refused())
	l.Each(1000*second, func(r Reading) { assert.Equal(t, burn.Count{Good: 1}, r.Total) })
}

// Two conditions of one severity are one burn to whom it is announced; another severity is another.
func TestABurnIsAnnouncedOncePerSeverity(t *testing.T) {
	l := New([]openslo.Objective{objective(
		alert("page", 20*time.Second, 5*time.Second, 5),
		alert("page", 40*time.Second, 5*time.Second, 4),
		alert("ticket", time.Minute, 5*time.Second, 3),
	)}, slack)
	var told []string
	for now := 1000 * second; now < 1200*second; now += second {
		l.Add(Key{}, now, now < 1020*second || now >= 1060*second, 10)
		for _, tr := range l.Evaluate(now) {
			word := "resolved "
			if tr.Kind == Started {
				word = "started "
			}
			told = append(told, word+l.objectives[0].Conditions[tr.Condition].Severity)
			assert.Equal(t, 1020*second, tr.Onset)
		}
	}
	assert.ElementsMatch(t, []string{"started page", "started ticket", "resolved page", "resolved ticket"}, told)
}

func TestGroupsHaveAccountsOfTheirOwn(t *testing.T) {
	l := New([]openslo.Objective{objective(alert("page", 20*time.Second, 5*time.Second, 5))}, slack)
	for now := 1000 * second; now < 1010*second; now += second {
		l.Add(Key{Group: 2}, now, true, 10)
		l.Add(Key{Group: 3}, now, false, 10)
	}
	transitions := l.Evaluate(1009 * second)
	require.Len(t, transitions, 1)
	assert.Equal(t, uint32(3), transitions[0].Group)
}

func TestReading(t *testing.T) {
	l := New([]openslo.Objective{objective(alert("page", time.Minute, 10*time.Second, 5))}, slack)
	now := 10_000 * second
	l.Add(Key{}, now, true, 80)
	l.Add(Key{}, now, false, 5)
	r := l.read(l.accounts[Key{}], now)
	rate := 5.0 / 85 / 0.1
	assert.True(t, r.Known)
	assert.InDelta(t, 1-rate, r.Remaining, 1e-9)
	assert.InDelta(t, (1-rate)*3600/rate, r.Exhaustion, 1e-6, "what is left, at the present rate")
	assert.InDelta(t, 1.0/60, r.Coverage, 1e-9)

	r = l.read(l.accounts[Key{}], now+int64(3*time.Minute))
	assert.False(t, r.Rates[0].Known, "no data is never good")
	assert.True(t, math.IsInf(r.Exhaustion, 1))
}

func BenchmarkAdd(b *testing.B) {
	l := New([]openslo.Objective{objective(
		alert("page", time.Hour, 5*time.Minute, 5), alert("page", 6*time.Hour, 30*time.Minute, 4),
		alert("ticket", 24*time.Hour, 2*time.Hour, 3), alert("ticket", 72*time.Hour, 6*time.Hour, 2),
	)}, slack)
	now := 1000 * second
	b.ReportAllocs()
	for b.Loop() {
		now += 1000
		l.Add(Key{}, now, true, 1)
	}
}
