package shared_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/shared"
)

func TestAValueLivesAsLongAsSomebodyHoldsIt(t *testing.T) {
	var m shared.Map[string, *int]
	first, releaseFirst := m.Acquire("a", func() *int { return new(int) })
	second, releaseSecond := m.Acquire("a", func() *int { panic("there is one") })
	other, releaseOther := m.Acquire("b", func() *int { return new(int) })
	assert.Same(t, first, second)
	assert.NotSame(t, first, other)

	assert.False(t, releaseFirst())
	assert.False(t, releaseFirst(), "a second release is none")
	assert.True(t, releaseSecond())
	assert.True(t, releaseOther())

	again, release := m.Acquire("a", func() *int { return new(int) })
	assert.NotSame(t, first, again)
	assert.True(t, release())
}
