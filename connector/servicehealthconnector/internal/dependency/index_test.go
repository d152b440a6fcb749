package dependency

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestTheIndexIsAMap(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	x, want := newIndex(), map[uint64]*account{}
	for range 50_000 {
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
		if want[edge] != x.get(edge) {
			t.Fatal(edge)
		}
	}
	assert.Equal(t, len(want), x.size)
	assert.Positive(t, x.size)
}
