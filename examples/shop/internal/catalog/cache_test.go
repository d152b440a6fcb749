package catalog

import (
	"testing"
	"time"
)

func TestCache(t *testing.T) {
	var c cache
	now := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	ends := now.Add(ttl)
	has := func(at time.Time) bool { _, ok := c.get(7, at); return ok }

	if has(now) {
		t.Error("the new cache is not empty")
	}
	c.put(Item{ID: 7, Name: "seven"}, ends)
	if item, ok := c.get(7, ends.Add(-1)); !ok || item.Name != "seven" {
		t.Errorf("got %v, %v", item, ok)
	}
	if has(ends) {
		t.Error("an entry outlived its time")
	}
}

func TestSpread(t *testing.T) {
	for range 100 {
		if d := spread(); d < ttl/2 || d >= ttl+ttl/2 {
			t.Fatalf("an entry lives for %s", d)
		}
	}
}
