package ledger

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/burn"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/openslo"
)

// burning has an objective of which everything is bad for a minute until now, and says so.
func burning(t *testing.T, alerts ...openslo.Alert) (l *Ledger, now int64) {
	t.Helper()
	l = New([]openslo.Objective{objective(alerts...)}, slack)
	started := 0
	for now = 1000 * second; now < 1060*second; now += second {
		l.Add(Key{}, now, false, 1)
		started += len(l.Evaluate(now))
	}
	require.Positive(t, started)
	return l, now
}

func readings(l *Ledger, now int64) []Reading {
	var all []Reading
	l.Each(now, func(r Reading) { all = append(all, r) })
	return all
}

func TestAnotherTargetKeepsCountsAndBurns(t *testing.T) {
	page := alert("page", time.Minute, 5*time.Second, 2)
	l, now := burning(t, page)
	other := objective(page, alert("ticket", 2*time.Minute, time.Minute, 1))
	other.Target = 0.8
	other.Conditions[0].Runbook = "https://example.com"
	withdrawn, closed := l.Adopt([]openslo.Objective{other}, now)
	assert.Empty(t, withdrawn)
	assert.Empty(t, closed)
	r := readings(l, now)[0]
	assert.Equal(t, burn.Count{Bad: 60}, r.Total)
	assert.InDelta(t, -4, r.Remaining, 1e-9)
	assert.Equal(t, []Firing{{"page", true}, {"ticket", false}}, r.Firing)
	_, changed := l.Changed(0)
	assert.True(t, changed, "it has to be saved")
	assert.Empty(t, l.Evaluate(now), "nothing is announced again")
}

func TestABurnWhoseConditionIsGoneIsWithdrawn(t *testing.T) {
	l, now := burning(t, alert("page", time.Minute, 5*time.Second, 2), alert("ticket", time.Minute, 5*time.Second, 1))
	withdrawn, closed := l.Adopt([]openslo.Objective{objective(alert("page", 30*time.Second, 5*time.Second, 2),
		alert("ticket", time.Minute, 5*time.Second, 1))}, now)
	require.Len(t, withdrawn, 1)
	assert.Empty(t, closed)
	assert.Equal(t, 0, withdrawn[0].Condition)
	assert.Equal(t, 1000*second, withdrawn[0].Onset)
	assert.Equal(t, []Firing{{"page", false}, {"ticket", true}}, readings(l, now)[0].Firing)
}

// Whoever gets the other severity was not told of the burn.
func TestABurnOfAnotherSeverityIsAnnouncedToIt(t *testing.T) {
	page, urgent := alert("page", time.Minute, 5*time.Second, 2), alert("urgent", time.Minute, 5*time.Second, 2)
	l, now := burning(t, page)
	withdrawn, _ := l.Adopt([]openslo.Objective{objective(urgent)}, now)
	require.Len(t, withdrawn, 1)
	started := l.Evaluate(now)
	require.Len(t, started, 1)
	assert.Equal(t, Started, started[0].Kind)
	assert.Equal(t, []Firing{{"urgent", true}}, readings(l, now)[0].Firing)

	l, now = burning(t, page)
	l.objectives = []openslo.Objective{objective(urgent)}
	l = restarted(t, l, now)
	assert.Len(t, l.Evaluate(now), 1, "also if it changed while no collector ran")
}

func TestABurnOfAnObjectiveThatIsGoneIsWithdrawnOnce(t *testing.T) {
	for name, becomes := range map[string][]openslo.Objective{
		"it is gone":                  {},
		"its number is free":          {{}},
		"it counts something else":    {func() openslo.Objective { o := objective(); o.Exclude.Text = "true"; return o }()},
		"another one has its number":  {{Name: "other"}},
		"its number is now another's": {{}, objective()},
	} {
		t.Run(name, func(t *testing.T) {
			l, now := burning(t, alert("page", time.Minute, 5*time.Second, 2), alert("page", time.Minute, 5*time.Second, 1))
			withdrawn, closed := l.Adopt(becomes, now)
			require.Len(t, withdrawn, 1)
			require.Len(t, closed, 1)
			assert.Equal(t, Key{}, closed[0].Key)
			assert.Equal(t, burn.Count{Bad: 60}, withdrawn[0].Reading.Total)
			assert.Empty(t, readings(l, now))
		})
	}
}

func TestAConditionMayAskForMoreEventsThanItsObjective(t *testing.T) {
	page, ticket := alert("page", time.Minute, 5*time.Second, 2), alert("ticket", time.Minute, 5*time.Second, 2)
	page.LeastEvents = 50
	o := objective(page, ticket)
	o.LeastEvents = 20
	l := New([]openslo.Objective{o}, slack)
	started := map[string]int64{}
	for now := 1000 * second; now < 1060*second; now += second {
		l.Add(Key{}, now, false, 1)
		for _, tr := range l.Evaluate(now) {
			started[o.Conditions[tr.Condition].Severity] = (now - 1000*second) / second
		}
	}
	assert.Equal(t, map[string]int64{"ticket": 19, "page": 49}, started)
}
