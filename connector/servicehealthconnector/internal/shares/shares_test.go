package shares

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestWeight(t *testing.T) {
	assert.InDelta(t, 0, Weight(10, 100, 1, 10), 1e-9, "one share")
	assert.InDelta(t, 0, Weight(0, 100, 0, 10), 1e-9)
	assert.InDelta(t, 0, Weight(100, 100, 10, 10), 1e-9)
	// 2 ln 2 + 2 ln 2: each of four is certain, and half as likely with one share.
	assert.InDelta(t, 2.7726, Weight(0, 2, 2, 2), 1e-4)
	assert.InDelta(t, Weight(3, 20, 15, 30), Weight(15, 30, 3, 20), 1e-9)
}

func TestChanceIsSeldomCertain(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	certain := 0
	const looks = 100_000
	for range looks {
		var k, x float64
		for i := range 150 {
			switch happens := random.Float64() < 0.3; {
			case happens && i < 100:
				k++
			case happens:
				x++
			}
		}
		if Weight(k, 100, x, 50) >= Certain {
			certain++
		}
	}
	assert.Less(t, certain, 3*looks/10_000)
}
