package dependency

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheIndexIsAMap(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	x, want := newIndex(), map[uint64]*account{}
	for range 200_000 {
		edge := random.Uint64N(3000)
		switch {
		case want[edge] == nil:
			want[edge] = &account{}
			x.put(edge, want[edge])
		case random.IntN(3) > 0:
			delete(want, edge)
			x.remove(edge)
		}
		edge = random.Uint64N(3000)
		require.True(t, want[edge] == x.get(edge))
	}
	assert.Equal(t, len(want), x.size)
	assert.Positive(t, x.size)
}
