package trace

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// Span IDs come from strangers, who may choose them so that a hash that they know puts all of them into one place.
func TestChosenIDsDoNotCrowd(t *testing.T) {
	const n = 10_000
	// inverse undoes the multiplication by which a Fibonacci hash spreads its keys: by Newton's method modulo 2 to the 64th.
	const golden = 0x9E3779B97F4A7C15
	inverse := uint64(1)
	for range 6 {
		inverse *= 2 - golden*inverse
	}
	for name, id := range map[string]func(uint64) uint64{
		"to spread to small numbers": func(i uint64) uint64 { return i * inverse },
		"one after the other":        func(i uint64) uint64 { return i },
		"without low bits":           func(i uint64) uint64 { return i << 40 },
	} {
		t.Run(name, func(t *testing.T) {
			var ids table
			ids.reset(n)
			for i := range uint64(n) {
				assert.True(t, ids.put(id(i+1), int32(i)))
			}
			run, longest := 0, 0
			for _, value := range ids.values {
				if run++; value == None {
					run = 0
				}
				longest = max(longest, run)
			}
			assert.Less(t, longest, 500)
		})
	}
}
