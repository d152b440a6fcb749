package series

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestAnotherObjectiveDoesNotCountThePast(t *testing.T) {
	const second = int64(1e9)
	s := New(10)
	s.Begin(1000 * second)
	add := func(objective uint32, start, at, total int64) (float64, Outcome) {
		p := Point{Start: start * second, At: at * second, Total: Amount{Whole: total}}
		increase, outcome := s.Add(Key{Objective: objective}, p, at*second)
		return increase.Total, outcome
	}
	for objective := range uint32(2) {
		n, outcome := add(objective, 1010, 1020, 5)
		assert.Equal(t, Counted, outcome)
		assert.InDelta(t, 5, n, 0)
	}
	s.Restart(1025*second, 1)
	n, outcome := add(0, 1010, 1030, 7)
	assert.Equal(t, Counted, outcome)
	assert.InDelta(t, 2, n, 0, "who stays counts on")
	_, outcome = add(1, 1010, 1030, 7)
	assert.Equal(t, Past, outcome)
	n, outcome = add(1, 1010, 1040, 8)
	assert.Equal(t, Counted, outcome)
	assert.InDelta(t, 1, n, 0)
	assert.Equal(t, 2, s.Len())
}
