package health

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
)

// plainTail adds up the terms of the binomial distribution.
func plainTail(x, n int, p float64) float64 {
	var sum float64
	for k := x; k <= n; k++ {
		lc, _ := math.Lgamma(float64(n) + 1)
		lk, _ := math.Lgamma(float64(k) + 1)
		lr, _ := math.Lgamma(float64(n-k) + 1)
		sum += math.Exp(lc - lk - lr + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p))
	}
	return sum
}

func TestTheTailIsThatOfTheBinomialDistribution(t *testing.T) {
	for _, n := range []int{1, 2, 10, 57, 300, 5000} {
		for _, p := range []float64{1e-6, 0.001, 0.05, 0.3, 0.5, 0.97} {
			for x := 1; x <= n; x += max(1, n/23) {
				want := plainTail(x, n, p)
				if want > 1e-200 {
					assert.InEpsilon(t, want, tail(float64(x), float64(n), p), 1e-6, "x=%d n=%d p=%g", x, n, p)
				}
			}
		}
	}
}

func TestTheTailOfNoNumbers(t *testing.T) {
	assert.Equal(t, 1.0, tail(0, 0, 0.5))
	assert.Equal(t, 1.0, tail(0, 10, 0))
	assert.Equal(t, 0.0, tail(1, 10, 0))
	assert.Equal(t, 1.0, tail(5, 10, 1))
	half := tail(2.5, 7.25, 0.2)
	assert.True(t, tail(3, 7.25, 0.2) < half && half < tail(2, 7.25, 0.2), "between whole numbers it lies between theirs")
}

func TestTheUpperEndOfAShare(t *testing.T) {
	assert.Equal(t, 1.0, upper(0, 0, 2))
	assert.InDelta(t, 4.0/104, upper(0, 100, 2), 1e-12)
	assert.InDelta(t, 0.6, upper(50, 100, 2), 0.01)
	assert.InDelta(t, 1, upper(100, 100, 2), 1e-9)
}
