// Package series remembers a few telling spans of every series that the spans of a service fall into, so that the points
// of the service's metrics can name them.
package series

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/throughline-otel/throughline/internal/service"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/name"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/recency"
)

// maxInstances bounds where a point is looked for that does not say of which instance it is.
const maxInstances = 8

// Index finds series by the service that they belong to. It reads no clock: every call says what time it is, in
// nanoseconds.
type Index struct {
	// Seed is of the hashes in keys.
	Seed maphash.Seed

	budget, retention    int64
	used, byAge, byBytes atomic.Int64

	mu       sync.RWMutex
	sources  map[identity]*Source
	services map[service.Identity][]*Source
	order    recency.List[Source, *Source]
}

type identity struct {
	service  service.Identity
	instance string
}

// identify bounds the names that strangers give to their services and instances.
func identify(of service.Identity, instance string) identity {
	return identity{service.Identity{
		Namespace: name.Cut(of.Namespace), Name: name.Cut(of.Name), Environment: name.Cut(of.Environment),
	}, name.Cut(instance)}
}

// clone keeps nothing else alive.
func (id *identity) clone() identity {
	return identity{service.Identity{
		Namespace: strings.Clone(id.service.Namespace), Name: strings.Clone(id.service.Name),
		Environment: strings.Clone(id.service.Environment),
	}, strings.Clone(id.instance)}
}

func (id *identity) bytes() int64 {
	return name.Bytes(id.service.Namespace) + name.Bytes(id.service.Name) + name.Bytes(id.service.Environment) +
		name.Bytes(id.instance) + name.Bytes(id.service.String())
}

// NewIndex makes an index of at most maxBytes, which forgets what is older than retention.
func NewIndex(maxBytes int64, retention time.Duration) *Index {
	return &Index{
		Seed:      maphash.MakeSeed(),
		budget:    maxBytes,
		retention: int64(retention),
		sources:   map[identity]*Source{},
		services:  map[service.Identity][]*Source{},
	}
}

// Source returns the series of an instance, for the spans that it has just sent.
func (x *Index) Source(now int64, of service.Identity, instance string) *Source {
	id := identify(of, instance)
	x.mu.Lock()
	defer x.mu.Unlock()
	s, ok := x.sources[id]
	if ok {
		x.order.Touch(s)
	} else {
		id = id.clone()
		s = &Source{
			Service: id.service.String(),
			index:   x, identity: id, series: map[uint64]*one{}, used: sourceBytes + id.bytes(),
		}
		x.sources[id] = s
		s.sibling = len(x.services[id.service])
		x.services[id.service] = append(x.services[id.service], s)
		x.used.Add(s.used)
		x.order.Push(s)
	}
	s.latest = now
	x.trim(now, s)
	return s
}

// Size is how many bytes the index takes.
func (x *Index) Size() int64 {
	return x.used.Load()
}

// Evicted counts the series that have left so far.
func (x *Index) Evicted() recency.Evictions {
	return recency.Evictions{Age: x.byAge.Load(), Bytes: x.byBytes.Load()}
}

// find appends the sources that a point of the instance can be about.
func (x *Index) find(found []*Source, of service.Identity, instance string) []*Source {
	x.mu.RLock()
	defer x.mu.RUnlock()
	id := identify(of, instance)
	if instance == "" {
		all := x.services[id.service]
		return append(found, all[:min(len(all), maxInstances)]...)
	}
	if s, ok := x.sources[id]; ok {
		found = append(found, s)
	}
	if s, ok := x.sources[identity{id.service, ""}]; ok {
		found = append(found, s)
	}
	return found
}

// trim lets go of the sources that have been silent for too long, and of the oldest ones for as long as the bound is
// exceeded, but not of the one that is in use.
func (x *Index) trim(now int64, inUse *Source) {
	for s := x.order.Oldest(); s != nil && s != inUse; s = x.order.Oldest() {
		switch {
		case s.latest < now-x.retention:
			x.byAge.Add(x.remove(s))
		case x.used.Load() > x.budget:
			x.byBytes.Add(x.remove(s))
		default:
			return
		}
	}
}

func (x *Index) remove(s *Source) (series int64) {
	x.order.Remove(s)
	delete(x.sources, s.identity)
	siblings := x.services[s.identity.service]
	last := siblings[len(siblings)-1]
	siblings[s.sibling], last.sibling = last, s.sibling
	siblings[len(siblings)-1] = nil
	siblings = siblings[:len(siblings)-1]
	if len(siblings) == 0 {
		delete(x.services, s.identity.service)
	} else {
		x.services[s.identity.service] = siblings
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = true
	x.used.Add(-s.used)
	return int64(len(s.series))
}
