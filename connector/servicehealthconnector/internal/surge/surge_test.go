package surge

import (
	"fmt"
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

// rises lets slots of a hundred requests pass, of which one operation has a share, and returns what rose when.
func rises(slots int, share func(slot int) float64) (all []string) {
	var m Mix
	for i := range slots {
		const requests = 100
		m.Add(1, requests*share(i))
		m.Add(2, requests*(1-share(i)))
		if r, ok := m.Close(requests); ok {
			all = append(all, fmt.Sprintf("%d: operation %d to %.2f from %.2f", i, r.Operation, r.Share, r.Most))
		}
	}
	return all
}

func TestAnOperationBecomesHalfOfAll(t *testing.T) {
	assert.Equal(t, []string{"200: operation 1 to 0.50 from 0.10"}, rises(400, func(slot int) float64 {
		if slot >= 200 {
			return 0.9
		}
		return 0.1
	}), "once")
}

func TestAMixHasToBeSettled(t *testing.T) {
	assert.Empty(t, rises(settled, func(slot int) float64 { return float64(slot/60) / 2 }))
}

func TestAMixThatWasThereWithinTheHour(t *testing.T) {
	assert.Equal(t, []string{"490: operation 1 to 0.50 from 0.10"}, rises(3000, func(slot int) float64 {
		if slot%500 >= 490 {
			return 0.9
		}
		return 0.1
	}))
}

func TestFewRequestsHaveNoShares(t *testing.T) {
	var m Mix
	for i := range 1000 {
		m.Add(uint32(i/500), enough/Window-1)
		_, rises := m.Close(enough/Window - 1)
		assert.False(t, rises)
	}
}

func TestOperationsAreBounded(t *testing.T) {
	var m Mix
	for i := range uint32(1000) {
		m.Add(i, 1)
	}
	assert.Len(t, m.operations, maxOperations)
	for range stretches*perStretch + waiting + settled {
		m.Add(1000, 100)
		m.Close(100)
	}
	assert.Len(t, m.operations, 1, "those that are over make room")
}

// Of 60 requests in ten seconds, each is for one of five operations, by chance.
func TestADayOfChanceIsNoRise(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var m Mix
	for range 17280 {
		for range 30 {
			m.Add(uint32(random.IntN(5)), 1)
		}
		r, rises := m.Close(30)
		assert.False(t, rises, r)
	}
}

func BenchmarkMix(b *testing.B) {
	var m Mix
	b.ReportAllocs()
	for b.Loop() {
		for i := range uint32(maxOperations) {
			m.Add(i, 10)
		}
		m.Close(10 * maxOperations)
	}
}
