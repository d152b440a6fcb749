package activity

import (
	"math"
	"sync"
	"unsafe"

	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/recency"
)

const (
	smallest = 8

	spanBytes     = int64(unsafe.Sizeof(Span{}))
	instanceBytes = int64(unsafe.Sizeof(instance{})) + 48 // with its place in the map
)

// shard holds instances, which are also in a list from the one that sent something last to the one that is silent
// longest.
type shard struct {
	mu           sync.Mutex
	index        *Index
	budget, used int64
	latest       int64
	instances    map[Instance]*instance
	order        recency.List[instance, *instance]
	_            [64]byte // Shards are locked by different cores.
}

func (s *shard) add(now int64, of Instance, spans []Span) {
	s.expire(now)
	i, ok := s.instances[of]
	if ok {
		s.order.Touch(i)
	} else {
		if !s.makeRoom(instanceBytes+smallest*spanBytes, nil) {
			return
		}
		i = &instance{id: of, ring: make([]Span, smallest)}
		s.instances[of] = i
		s.account(instanceBytes + smallest*spanBytes)
		s.order.Push(i)
	}
	i.silentSince = s.latest
	s.grow(i, len(spans))
	i.add(s.latest, s.index.retention, spans)
}

// grow doubles the ring for as long as there are more spans, and room.
func (s *shard) grow(i *instance, more int) {
	for len(i.ring) < min(i.count+more, s.index.depth) {
		needed := int64(len(i.ring)) * spanBytes
		if !s.makeRoom(needed, i) {
			return
		}
		s.account(needed)
		i.resize(2 * len(i.ring))
	}
}

// expire lets go of the instances that have been silent for too long, and of all of them if the clock was set back by more
// than that: when anything was known, nobody can tell any longer.
func (s *shard) expire(now int64) {
	oldest := max(s.latest, now) - s.index.retention
	if now < oldest {
		s.latest, oldest = now, math.MaxInt64
	}
	s.latest = max(s.latest, now)
	for i := s.order.Oldest(); i != nil && i.silentSince < oldest; i = s.order.Oldest() {
		s.remove(i)
		s.index.byAge.Add(1)
	}
}

// makeRoom lets the oldest go until there is room for so many bytes, but not the one that is in use.
func (s *shard) makeRoom(needed int64, inUse *instance) bool {
	for s.used+needed > s.budget {
		oldest := s.order.Oldest()
		if oldest == inUse {
			return false
		}
		s.remove(oldest)
		s.index.bytes.Add(1)
	}
	return true
}

func (s *shard) remove(i *instance) {
	s.order.Remove(i)
	delete(s.instances, i.id)
	s.account(-instanceBytes - int64(len(i.ring))*spanBytes)
}

func (s *shard) account(bytes int64) {
	s.used += bytes
	s.index.used.Add(bytes)
}
