package burn

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestWindowsThatStayKeepTheirCounts(t *testing.T) {
	m := NewMeter(Slack{Late: time.Minute}, time.Hour, time.Minute)
	const second = int64(time.Second)
	m.Add(1000*second, Count{Good: 7, Bad: 3})
	m.Refit(Slack{Late: time.Minute}, time.Hour, 30*time.Second)
	assert.Equal(t, Count{Good: 7, Bad: 3}, m.Sum(time.Hour, 1000*second))
	assert.Equal(t, Count{}, m.Sum(30*time.Second, 1000*second))
	m.Add(1001*second, Count{Good: 1})
	assert.Equal(t, Count{Good: 8, Bad: 3}, m.Sum(time.Hour, 1001*second))
	assert.Equal(t, Count{Good: 1}, m.Sum(30*time.Second, 1001*second))
	assert.False(t, m.Add(930*second, Count{Good: 1}), "what is late still is")
}
