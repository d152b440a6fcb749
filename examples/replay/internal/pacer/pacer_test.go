package pacer

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

var (
	begin = time.Date(2022, 8, 22, 3, 52, 19, 0, time.UTC)
	now   = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
)

// dues returns, in seconds after the first line, when lines at these seconds of the recording are due.
func dues(p *Pacer, events ...float64) []float64 {
	var out []float64
	for i, event := range events {
		due := p.Due(begin.Add(time.Duration(event*1e9)), now.Add(time.Duration(i)*time.Hour))
		out = append(out, due.Sub(now).Seconds())
	}
	return out
}

func TestDue(t *testing.T) {
	for name, test := range map[string]struct {
		speed        float64
		maxGap       time.Duration
		events, want []float64
	}{
		"own speed":                       {1, 0, []float64{0, 1, 3}, []float64{0, 1, 3}},
		"ten times":                       {10, 0, []float64{0, 1, 3}, []float64{0, 0.1, 0.3}},
		"half":                            {0.5, 0, []float64{0, 1, 3}, []float64{0, 2, 6}},
		"a late line does not wait":       {1, 0, []float64{0, 10, 9, 9.5, 11}, []float64{0, 10, 10, 10, 11}},
		"a gap is shortened":              {1, 5 * time.Second, []float64{0, 1, 601, 602}, []float64{0, 1, 6, 7}},
		"after the speed":                 {100, 5 * time.Second, []float64{0, 400, 1000}, []float64{0, 4, 9}},
		"a gap is kept":                   {1, 0, []float64{0, 600}, []float64{0, 600}},
		"another recording begins":        {1, 5 * time.Second, []float64{0, 100, 0, 1}, []float64{0, 5, 5, 6}},
		"one time from the future":        {1, 5 * time.Second, []float64{0, 1, 1e8, 2, 3}, []float64{0, 1, 6, 6, 7}},
		"as slow as it gets":              {1e-300, 0, []float64{0, 1, 2}, []float64{0, math.MaxInt64 / 1e9, math.MaxInt64 / 1e9}},
		"as slow as it gets, but bounded": {1e-300, time.Second, []float64{0, 1, 2}, []float64{0, 1, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			assert.InDeltaSlice(t, test.want, dues(New(test.speed, test.maxGap), test.events...), 1e-6)
		})
	}
}

func TestDueWithoutATime(t *testing.T) {
	p := New(1, 0)
	assert.Equal(t, now, p.Due(time.Time{}, now))
	assert.Zero(t, p.Shift())
	// The first line that has a time starts the clock.
	later := now.Add(time.Minute)
	assert.Equal(t, later, p.Due(begin, later))
	p.Due(begin.Add(2*time.Second), later)
	assert.Equal(t, later.Add(2*time.Second), p.Due(time.Time{}, later))
}

func TestShiftTakesTheHeadToItsDueTime(t *testing.T) {
	p := New(1, 5*time.Second)
	for _, event := range []float64{0, 1, 600, 601, 0, 1} {
		at := begin.Add(time.Duration(event * 1e9))
		assert.Equal(t, p.Due(at, now), at.Add(p.Shift()))
	}
	// A late line keeps its distance from the head.
	p = New(1, 5*time.Second)
	head := p.Due(begin.Add(10*time.Second), now)
	p.Due(begin.Add(9*time.Second), now)
	assert.Equal(t, head.Add(-time.Second), begin.Add(9*time.Second).Add(p.Shift()))
}
