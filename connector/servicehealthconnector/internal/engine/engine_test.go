package engine

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

const second = int64(time.Second)

func batchEnding(ends ...int64) ptrace.Traces {
	td := ptrace.NewTraces()
	spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for _, end := range ends {
		spans.AppendEmpty().SetEndTimestamp(pcommon.Timestamp(end))
	}
	return td
}

func TestTheEventClock(t *testing.T) {
	var c eventClock
	const wall = int64(1 << 60)
	assert.Equal(t, int64(0), c.see(batchEnding(), wall), "nothing was seen yet")
	assert.Equal(t, int64(20), c.see(batchEnding(10, 20, 1<<50), wall), "one wrong time does not move it")
	assert.Equal(t, int64(20), c.see(batchEnding(15), wall), "it never goes back")
	assert.Equal(t, int64(20), c.see(batchEnding(1<<62), wall), "nor beyond the present")
	assert.Equal(t, int64(30), c.see(batchEnding(30), wall))
}

func TestChanges(t *testing.T) {
	newChanges := func() *changes { return &changes{versions: map[uint32]*versions{}} }
	const front, back = 2, 3

	t.Run("the first version of a service is no change", func(t *testing.T) {
		c := newChanges()
		c.see(front, "1", 100*second)
		assert.Empty(t, c.fresh())
	})
	t.Run("while a rollout goes on, versions take turns, and it is one change", func(t *testing.T) {
		c := newChanges()
		for i := range int64(10) {
			c.see(front, []string{"1", "2"}[i%2], (100+i)*second)
		}
		assert.Len(t, c.fresh(), 1)
		for _, at := range []int64{108, 109} { // Whichever was seen last.
			found, ok := c.before(at*second, front)
			assert.True(t, ok)
			assert.Equal(t, "2", found.version)
		}
	})
	t.Run("what was taken back is not held against anybody", func(t *testing.T) {
		c := newChanges()
		c.see(front, "1", 100*second)
		c.see(front, "2", 110*second)
		c.see(front, "1", 120*second)
		_, ok := c.before(130*second, front)
		assert.False(t, ok)
	})
	t.Run("a change of the suspect goes before a later one of another service", func(t *testing.T) {
		c := newChanges()
		for _, service := range []uint32{front, back} {
			c.see(service, "1", 100*second)
		}
		c.see(front, "2", 110*second)
		c.see(back, "2", 112*second)
		found, _ := c.before(115*second, front)
		assert.Equal(t, uint32(front), found.service)
	})
	t.Run("versions are bounded", func(t *testing.T) {
		c := newChanges()
		for i := range int64(1000) {
			c.see(front, time.Duration(i).String(), 100*second+i)
		}
		assert.LessOrEqual(t, len(c.versions[front].last), maxVersions)
	})
}
