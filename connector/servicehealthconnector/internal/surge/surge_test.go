package surge

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
)

// surges lets slots of so many requests pass, and returns in which there was a surge.
func surges(slots int, requests func(slot int) float64) (all []int) {
	var w Watch
	for i := range slots {
		if _, surge := w.Close(requests(i)); surge {
			all = append(all, i)
		}
	}
	return all
}

func TestTwiceAsManyAreASurgeOnce(t *testing.T) {
	assert.Equal(t, []int{201}, surges(400, func(slot int) float64 {
		if slot >= 200 {
			return 200
		}
		return 100
	}), "when the second slot of them is over")
}

func TestAWatchHasToBeSettled(t *testing.T) {
	assert.Empty(t, surges(100, func(slot int) float64 { return float64(1 + slot/50*1000) }))
}

func TestFewRequestsAreNoSurge(t *testing.T) {
	assert.Empty(t, surges(400, func(slot int) float64 { return float64(slot / 200 * 20) }))
}

func TestWhatCameWithinTheHourIsUsual(t *testing.T) {
	daily := func(slot int) float64 {
		if slot%500 >= 490 { // A job, every forty minutes.
			return 500
		}
		return 100
	}
	assert.Equal(t, []int{490}, surges(3000, daily), "the first one after the start is not known")
}

func TestASurgeSaysHowMany(t *testing.T) {
	var w Watch
	for range 200 {
		w.Close(100)
	}
	s, surge := w.Close(900)
	assert.True(t, surge)
	assert.Equal(t, Surge{Requests: 1000, Most: 200}, s)
}

// Bursts of one to twenty requests, and an hour in which twice as many come as in another.
func TestADayOfBurstsIsNoSurge(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	const day = 17280
	found := surges(day, func(slot int) float64 {
		n := 0.0
		for range 10 + 10*slot/(day/2) {
			n += float64(random.IntN(20))
		}
		return n
	})
	assert.Empty(t, found)
}

func BenchmarkClose(b *testing.B) {
	var w Watch
	b.ReportAllocs()
	for b.Loop() {
		w.Close(100)
	}
}
