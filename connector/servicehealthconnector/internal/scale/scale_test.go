package scale

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestStepsCoverEveryDuration(t *testing.T) {
	last := 0
	for ns := int64(1); ns < int64(2*time.Hour); ns += max(1, ns/50) {
		s := Step(ns)
		assert.GreaterOrEqual(t, s, last)
		if ns > 8000 && s < Steps-1 { // Below, a step is finer than a microsecond.
			assert.LessOrEqual(t, s-last, 1, "no step is left out, at %s", time.Duration(ns))
			assert.LessOrEqual(t, ns, Upper(s)+1000)
			assert.GreaterOrEqual(t, float64(ns)*1.26, float64(Upper(s)))
		}
		last = s
	}
	assert.Equal(t, 0, Step(-5))
	assert.Equal(t, Steps-1, Step(int64(2*time.Hour)))
}
