// Package shared keeps one value for all who ask under the same key, for as long as one of them holds it.
package shared

import "sync"

// Map hands out values that are counted by reference. The zero Map is ready for use.
type Map[K comparable, V any] struct {
	mu      sync.Mutex
	entries map[K]*entry[V]
}

type entry[V any] struct {
	value   V
	holders int
}

// Acquire returns the value under the key, and makes it first if nobody holds it. The value is let go by calling
// release, once or more often, which tells on its first call whether nobody holds the value any longer.
func (m *Map[K, V]) Acquire(key K, create func() V) (value V, release func() (last bool)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.entries == nil {
		m.entries = map[K]*entry[V]{}
	}
	e, ok := m.entries[key]
	if !ok {
		e = &entry[V]{value: create()}
		m.entries[key] = e
	}
	e.holders++
	return e.value, sync.OnceValue(func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		e.holders--
		if e.holders > 0 {
			return false
		}
		delete(m.entries, key)
		return true
	})
}
