package catalog

import (
	"math/rand/v2"
	"sync"
	"time"
)

// ttl is long enough for a few percent of misses and short enough for the database to be in the
// picture at all times. It is spread so that entries of one age do not all end at once.
const ttl = 60 * time.Second

func spread() time.Duration { return ttl/2 + rand.N(ttl) }

// cache keeps items for their time to live. The zero value is empty.
type cache struct {
	mu    sync.Mutex
	items map[int]entry
}

type entry struct {
	item Item
	ends time.Time
}

func (c *cache) get(id int, now time.Time) (Item, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.items[id]
	return e.item, ok && now.Before(e.ends)
}

func (c *cache) put(item Item, ends time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.items == nil {
		c.items = make(map[int]entry)
	}
	c.items[item.ID] = entry{item, ends}
}
