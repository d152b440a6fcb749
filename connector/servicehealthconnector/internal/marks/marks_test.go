package marks

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/sli"
)

func TestEqualSetsHaveOneNumber(t *testing.T) {
	table := New()
	a, b := NewCache(table), NewCache(table)
	good := []Mark{{Objective: 1, Good: true}, {Objective: 2, Group: 7, Good: true}}
	bad := []Mark{{Objective: 1, Good: true}, {Objective: 2, Group: 7}}
	numbers := map[uint32]bool{}
	for _, marks := range [][]Mark{good, bad, good[:1], nil} {
		one, _ := a.Number(marks)
		for range 2 { // The second one is remembered.
			two, ok := b.Number(marks)
			assert.True(t, ok)
			assert.Equal(t, one, two)
		}
		assert.Equal(t, len(marks), len(table.Of(one).Marks))
		numbers[one] = true
	}
	assert.Len(t, numbers, 4)
	number, _ := a.Number(good)
	assert.True(t, table.Of(number).Good)
	number, _ = a.Number(bad)
	assert.False(t, table.Of(number).Good)
}

func TestASetIsACopy(t *testing.T) {
	table := New()
	marks := []Mark{{Objective: 1, Good: true}}
	number, _ := table.Number(marks)
	marks[0].Objective = 2
	assert.Equal(t, uint32(1), table.Of(number).Marks[0].Objective)
}

// Groups are named by strangers, and sets of them multiply.
func TestSetsBeyondTheBoundKeepTheirObjectives(t *testing.T) {
	table := New()
	for group := range uint32(mostGrouped + 1000) {
		number, ok := table.Number([]Mark{{Objective: 3}, {Objective: 5, Group: group + 2, Good: group%2 == 0}})
		assert.True(t, ok)
		if group >= mostGrouped {
			assert.Equal(t, []Mark{{Objective: 3}, {Objective: 5, Group: sli.OverflowGroup, Good: group%2 == 0}}, table.Of(number).Marks)
		}
	}
	assert.LessOrEqual(t, len(*table.sets.Load()), mostGrouped+2)
	for objective := range uint32(most) {
		table.Number([]Mark{{Objective: objective}})
	}
	_, ok := table.Number([]Mark{{Objective: most}})
	assert.False(t, ok)
	assert.Len(t, *table.sets.Load(), most)
}

// A service may have objectives with few groups, which are known, beside others whose many groups multiply.
func TestObjectivesWithFewGroupsKeepThemApart(t *testing.T) {
	table := New()
	const few, many, more = 7, 8, 9
	for i := range uint32(mostGrouped + step) {
		marks := []Mark{{few, 2 + i%3, i%2 == 0}, {many, 2 + i/3%900, i%4 < 2}, {more, 2 + i/2700, true}}
		number, _ := table.Number(marks)
		if !assert.Equal(t, marks[0], table.Of(number).Marks[0]) {
			return
		}
	}
	assert.Greater(t, len(*table.sets.Load()), mostGrouped, "there was no room for all")
}

func BenchmarkNumber(b *testing.B) {
	c := NewCache(New())
	marks := []Mark{{Objective: 1, Good: true}, {Objective: 2, Group: 7, Good: true}, {Objective: 9, Good: true}}
	b.ReportAllocs()
	for b.Loop() {
		c.Number(marks)
	}
}
