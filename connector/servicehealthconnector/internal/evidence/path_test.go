package evidence

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// Were two strata one, a usual thing in the one would be an odd thing in the other.
func TestStrataOfSeveralKindsAreApart(t *testing.T) {
	const numbers = 50
	of := map[uint64]bool{}
	var n int
	add := func(hash uint64) {
		of[hash] = true
		n++
	}
	for x := range uint32(numbers) {
		add(mix(ofFailures, x))
		add(mix(ofRecordsApart, x))
		for y := range uint32(numbers) {
			add(mix(mix(ofOperation, x), y))
			add(mix(mix(ofEnding, x), y))
			for z := range uint32(numbers) {
				add(mix(mix(mix(ofCaller, x), y), z))
			}
		}
	}
	assert.Len(t, of, n)
}
