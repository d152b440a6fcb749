package diagnosis

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/evidence"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/gauge"
)

// The services of the cases: a calls b and c, and b calls c.
const a, b, c = 2, 3, 4

func ways() []evidence.Way {
	return []evidence.Way{
		{Edge: evidence.Edge{Caller: a, Callee: b}, Compared: true},
		{Edge: evidence.Edge{Caller: a, Callee: c}, Compared: true},
		{Edge: evidence.Edge{Caller: b, Callee: c}, Compared: true},
	}
}

func shape(service uint32, weight float64) evidence.Finding {
	return evidence.Finding{Kind: evidence.Call, Service: service, Weight: weight}
}

func slow(service uint32, weight, excess float64) evidence.Finding {
	return evidence.Finding{Kind: evidence.Slow, Service: service, Weight: weight, Excess: excess}
}

func way(caller, callee uint32, weight, excess float64) evidence.Finding {
	return evidence.Finding{Kind: evidence.Gap, Service: caller, Callee: callee, Weight: weight, Excess: excess}
}

func never(uint32, int64) bool { return false }

func rests(uint32) (gauge.Strain, bool) { return gauge.Strain{}, false }

// A replayed stream gives the same verdicts, to the last bit.
func TestRankIsTheSameEachTime(t *testing.T) {
	var found []evidence.Finding
	for i := range uint32(40) {
		found = append(found, slow(2+i, 10+float64(i)/7, 1e6/float64(3+i)), way(2+i, 50, 10+float64(i)/3, 1e6/float64(7+i)))
	}
	first, _ := Rank(found, ways(), never, rests)
	for range 20 {
		again, _ := Rank(found, ways(), never, rests)
		require.Equal(t, first, again)
	}
}

func TestRank(t *testing.T) {
	tests := map[string]struct {
		found []evidence.Finding
		first uint32
		gap   bool
	}{
		"who calls a suspect suffers":         {[]evidence.Finding{shape(a, 25), shape(b, 20)}, b, false},
		"of a chain, the end":                 {[]evidence.Finding{shape(a, 40), shape(b, 40), shape(c, 40)}, c, false},
		"noise below is no excuse":            {[]evidence.Finding{shape(a, 25), shape(c, 4)}, a, false},
		"who loses most of the time":          {[]evidence.Finding{slow(a, 30, 1e6), slow(c, 30, 9e6)}, c, false},
		"all ways to one are its own":         {[]evidence.Finding{way(a, c, 15, 5e6), way(b, c, 15, 5e6)}, c, true},
		"all ways from one are its own":       {[]evidence.Finding{way(a, b, 15, 5e6), way(a, c, 15, 5e6)}, a, true},
		"one way of several is the callee's":  {[]evidence.Finding{way(a, b, 15, 5e6)}, b, true},
		"slow below, and otherwise than ever": {[]evidence.Finding{shape(a, 20), slow(c, 20, 5e6)}, c, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			suspects, most := Rank(test.found, ways(), never, rests)
			require.NotEmpty(t, suspects)
			assert.Equal(t, test.first, suspects[0].Entity)
			assert.Equal(t, test.gap, suspects[0].Gap)
			assert.Positive(t, most)
			for _, s := range suspects {
				assert.Positive(t, s.Score)
				assert.LessOrEqual(t, s.Score, 1.0)
			}
		})
	}
}

func TestWhoChangedJustBeforeIsLikelier(t *testing.T) {
	changed := func(service uint32, before int64) bool { return service == b && before == 7 }
	found := []evidence.Finding{shape(b, 20), shape(c, 20.5)}
	found[0].Since, found[1].Since = 7, 7
	apart := []evidence.Way{{Edge: evidence.Edge{Caller: a, Callee: b}}, {Edge: evidence.Edge{Caller: a, Callee: c}}}
	suspects, _ := Rank(found, apart, never, rests)
	assert.Equal(t, uint32(c), suspects[0].Entity)
	suspects, _ = Rank(found, apart, changed, rests)
	assert.Equal(t, uint32(b), suspects[0].Entity)
}

func TestWhoWorksHarderIsLikelier(t *testing.T) {
	strained := func(service uint32) (gauge.Strain, bool) {
		return gauge.Strain{Name: "container.cpu.usage", Weight: 100}, service == b
	}
	apart := []evidence.Way{{Edge: evidence.Edge{Caller: a, Callee: b}}, {Edge: evidence.Edge{Caller: a, Callee: c}}}
	suspects, most := Rank([]evidence.Finding{shape(b, 20), shape(c, 20.5)}, apart, never, strained)
	assert.Equal(t, uint32(b), suspects[0].Entity)
	assert.Equal(t, "container.cpu.usage", suspects[0].Strain.Name)
	assert.InDelta(t, 20.5, most, 1e-9, "it is no finding")
	suspects, _ = Rank([]evidence.Finding{shape(b, 20), shape(c, 25)}, apart, never, strained)
	assert.Equal(t, uint32(c), suspects[0].Entity, "it does not say much")
	suspects, _ = Rank([]evidence.Finding{shape(c, 25)}, apart, never, strained)
	assert.Len(t, suspects, 1, "it makes nobody suspect")
}

func TestReached(t *testing.T) {
	assert.Equal(t, map[uint32]bool{a: true, b: true, c: true}, Reached(a, ways()))
	assert.Equal(t, map[uint32]bool{b: true, c: true}, Reached(b, ways()))
	assert.Equal(t, map[uint32]bool{9: true}, Reached(9, ways()))
}

func TestWhomAnotherEventNamedIsNoNews(t *testing.T) {
	var alarm Alarm
	alarm.Announce(0, b)
	assert.True(t, alarm.Announced(b))
	suspects, most := Rank([]evidence.Finding{shape(b, certain)}, ways(), never, rests)
	assert.Empty(t, alarm.Decide(1e9, suspects, most, 10))
	assert.NotEmpty(t, alarm.Decide(1e9, []Suspect{{Entity: c, Weight: certain}}, certain, 10), "somebody else is")
}

func TestRankOfNothing(t *testing.T) {
	suspects, most := Rank(nil, ways(), never, rests)
	assert.Empty(t, suspects)
	assert.Zero(t, most)
}

func TestCirclesEnd(t *testing.T) {
	circle := append(ways(), evidence.Way{Edge: evidence.Edge{Caller: c, Callee: a}})
	suspects, _ := Rank([]evidence.Finding{shape(a, 25), shape(b, 20)}, circle, never, rests)
	assert.Equal(t, uint32(a), suspects[0].Entity)
}

func TestAlarm(t *testing.T) {
	const services, second = 10, int64(1e9)
	enough := Threshold(services) + 1
	var alarm Alarm
	decide := func(now int64, found ...evidence.Finding) []Suspect {
		suspects, most := Rank(found, ways(), never, rests)
		return alarm.Decide(now, suspects, most, services)
	}
	assert.Empty(t, decide(0, shape(b, enough-2)), "too little")
	first := decide(second, shape(b, enough))
	require.NotEmpty(t, first)
	assert.Equal(t, uint32(b), first[0].Entity)
	assert.Empty(t, decide(2*second, shape(b, enough)), "no news")
	assert.Empty(t, decide(50*second, shape(b, 0.8*enough)), "wavers")
	second1 := decide(51*second, shape(b, enough), shape(c, enough))
	require.NotEmpty(t, second1)
	assert.Equal(t, uint32(c), second1[0].Entity, "another one is news")
	assert.Empty(t, decide(200*second), "it is over")
	assert.NotEmpty(t, decide(201*second, shape(b, enough)), "and begins again")
}

func TestThresholdGrowsWithServices(t *testing.T) {
	assert.Greater(t, Threshold(100), Threshold(10))
}
