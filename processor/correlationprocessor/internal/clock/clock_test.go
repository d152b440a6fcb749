package clock

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestTimeRunsEvenlyHoweverTheWallClockIsSet(t *testing.T) {
	c := New()
	began := c.began.UnixNano()
	for _, given := range []struct {
		elapsed, set, want time.Duration
	}{
		{0, 0, 0},
		{time.Second, 0, 0},
		{2 * time.Second, exact - 1, 0},
		{3 * time.Second, exact, exact},
		{4 * time.Second, 50 * time.Minute, 50 * time.Minute},
		{5 * time.Second, -24 * time.Hour, -24 * time.Hour},
		{6 * time.Second, 0, 0},
	} {
		now := c.tell(given.elapsed, began+int64(given.elapsed+given.set))
		assert.Equal(t, began+int64(given.elapsed), now)
		assert.Equal(t, now+int64(given.want), c.Wall(now))
		assert.Equal(t, now, c.Of(c.Wall(now)))
	}
}

func TestNowIsTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Minute)
		c := New()
		for range 3 {
			time.Sleep(7 * time.Second)
			assert.Equal(t, time.Now().UnixNano(), c.Now())
			assert.Equal(t, time.Now().UnixNano(), c.Wall(c.Now()))
		}
	})
}

func BenchmarkNow(b *testing.B) {
	c := New()
	b.ReportAllocs()
	for b.Loop() {
		c.Now()
	}
}
