// Package names gives small numbers to the names that spans carry, so that span records need no pointers
// and are compared by integers.
package names

import (
	"strings"
	"sync"
	"sync/atomic"
	"unicode"

	"github.com/throughline-otel/throughline/internal/layer"
	"github.com/throughline-otel/throughline/internal/service"
)

// Bounds on what a table holds. Names come from strangers: what goes beyond is told apart no longer,
// but is still counted, under the name Overflow.
const (
	MaxEntities   = 20_000
	MaxOperations = 100_000
	MaxTexts      = 1_000
)

// maxPeers bounds the peers among the entities, so that who calls many leaves room for services.
const maxPeers = MaxEntities / 2

// maxLength bounds a name, in bytes.
const maxLength = 256

// Overflow is the name of everything that no longer fits into a table.
const Overflow = "other"

// The numbers of the first rows of each table.
const (
	// None stands for no name.
	None uint32 = 0
	// Other stands for all names beyond a bound.
	Other uint32 = 1
)

// Entity is a service that sends telemetry, or a peer that is known from its callers' spans only.
type Entity struct {
	service.Identity
	Layer layer.Layer
	Peer  bool
}

// Source is what an entity's name was read from.
type Source uint8

// The sources, the surest first.
const (
	// FromTelemetry is the resource of the entity's own telemetry.
	FromTelemetry Source = iota
	// FromCaller is what its callers call it: service.peer.name or peer.service.
	FromCaller
	// FromDatabase is a database's system and namespace.
	FromDatabase
	// FromFunction is the name under which a function is invoked.
	FromFunction
	// FromHost is the name of a host.
	FromHost
	// FromInterface is the remote interface that was called, without a host.
	FromInterface
	// FromSystem is a database's system, all else being unknown.
	FromSystem
	// FromNetwork is the network of an IP address.
	FromNetwork
)

var sources = [...]struct {
	name       string
	confidence float64
}{
	FromTelemetry: {"telemetry", 1},
	FromCaller:    {"service.peer.name", 1},
	FromDatabase:  {"db.namespace", 1},
	FromFunction:  {"faas.invoked_name", 1},
	FromHost:      {"server.address", 0.9},
	FromInterface: {"rpc.service", 0.5},
	FromSystem:    {"db.system.name", 0.5},
	FromNetwork:   {"network.peer.address", 0.3},
}

// String is the source as an attribute's value: the current name of what was read.
func (s Source) String() string { return sources[s].name }

// Confidence is how sure it is that the name stands for one peer and no other, from 0 to 1.
func (s Source) Confidence() float64 { return sources[s].confidence }

// isOne says whether who answered under such a name once is whom it means each time.
func (s Source) isOne() bool { return s.Confidence() >= sources[FromHost].confidence }

// Operation is what a service does under one span name and kind and, for outgoing calls, toward one peer. That peer it stays when it
// begins to send telemetry.
type Operation struct {
	Service uint32
	Peer    uint32
	Kind    uint8
	Name    string
}

// Table numbers entities, operations and texts from 2 on; a number never changes its meaning, but a peer may begin to send
// telemetry. It is safe for concurrent use.
type Table struct {
	mu sync.RWMutex
	// entities are numbered whether they are peers or services: a peer and a service of one name are one, or they would be two
	// series of one identity. peers counts the peers.
	entities   numbered[Entity]
	peers      int
	operations numbered[Operation]
	texts      numbered[string]
	// services are the numbers of the services of each name; generation counts them all.
	services   map[string][]uint32
	generation atomic.Uint32
	// sources are those of peers. What is not in it sends telemetry.
	sources map[uint32]Source
	// answered is, for each peer, the service that answered calls to it: None before there was any, Other if there were several,
	// or may be.
	answered [MaxEntities]atomic.Uint32
}

// New returns a table that holds the rows None and Other only.
func New() *Table {
	return &Table{
		entities:   newNumbered(MaxEntities, Entity{}, Entity{Identity: service.Identity{Name: Overflow}}),
		operations: newNumbered(MaxOperations, Operation{}, Operation{Name: Overflow}),
		texts:      newNumbered(MaxTexts, "", Overflow),
		services:   map[string][]uint32{},
		sources:    map[uint32]Source{},
	}
}

// Entity returns the number of e, None if it has no name, or Other when there is no more room for it.
func (t *Table) Entity(e Entity) uint32 {
	e.Name, e.Namespace, e.Environment = Clean(e.Name), Clean(e.Namespace), Clean(e.Environment)
	switch {
	case e.Name == "":
		return None
	case e.Identity == (service.Identity{Name: Overflow}):
		return Other // Two rows of one name would be two series of one identity.
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	key := Entity{Identity: e.Identity, Layer: e.Layer}
	number, known := t.entities.numbers[key]
	switch {
	case known && (e.Peer || !t.entities.rows[number].Peer):
		return number
	case known:
		t.peers--
		delete(t.sources, number)
	case e.Peer && t.peers >= maxPeers:
		return Other
	default:
		if number = t.entities.add(key); number == Other {
			return Other
		}
	}
	t.entities.rows[number].Peer = e.Peer
	if e.Peer {
		t.peers++
	} else {
		t.services[e.Name] = append(t.services[e.Name], number)
		t.generation.Add(1)
	}
	return number
}

// Peer returns the number of a peer, or Other when the table is full. Where it was named in several ways, the first one counts.
func (t *Table) Peer(name string, in layer.Layer, from Source) uint32 {
	number := t.Entity(Entity{Identity: service.Identity{Name: name}, Layer: in, Peer: true})
	if number <= Other {
		return number
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, known := t.sources[number]; !known && t.entities.rows[number].Peer {
		t.sources[number] = from
		if !from.isOne() {
			t.answered[number].Store(Other)
		}
	}
	return number
}

// SourceOf is what an entity's name was read from.
func (t *Table) SourceOf(number uint32) Source {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.sources[number]
}

// Before returns the peer that a service was until it sent telemetry: a peer of that name and layer that was known before it.
func (t *Table) Before(number uint32, name string, in layer.Layer) (uint32, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	was, known := t.entities.numbers[Entity{Identity: service.Identity{Name: name}, Layer: in}]
	return was, known && was < number && t.entities.rows[was].Peer
}

// Answered notes that a service answered a call to a peer: behind the peer's address is that service, unless another one
// answers there, too, as one may wherever the name is that of a network, a kind of database or an interface.
func (t *Table) Answered(peer, service uint32) {
	if peer <= Other || service <= Other || peer == service {
		return
	}
	switch was := t.answered[peer].Load(); was {
	case service, Other:
	case None:
		t.answered[peer].CompareAndSwap(None, service)
	default:
		t.answered[peer].Store(Other)
	}
}

// Behind returns the service that is known to answer calls to a peer.
func (t *Table) Behind(peer uint32) (uint32, bool) {
	service := t.answered[peer].Load()
	return service, service > Other
}

// Generation changes whenever there is a new service.
func (t *Table) Generation() uint32 { return t.generation.Load() }

// ServiceNamed returns the service of that name which the caller, a service, would mean: the one of its own namespace and
// environment, or the only one there is.
func (t *Table) ServiceNamed(name string, caller uint32) (uint32, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	found := t.services[name]
	from := t.entities.rows[caller]
	for _, number := range found {
		if e := t.entities.rows[number]; e.Namespace == from.Namespace && e.Environment == from.Environment {
			return number, true
		}
	}
	if len(found) == 1 {
		return found[0], true
	}
	return None, false
}

// ServicesOf appends the services of an identity that are known, in whatever layers they have been seen.
func (t *Table) ServicesOf(id service.Identity, into []uint32) []uint32 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, number := range t.services[id.Name] {
		if t.entities.rows[number].Identity == id {
			into = append(into, number)
		}
	}
	return into
}

// Operation returns the number of o, or Other when the table is full.
func (t *Table) Operation(o Operation) uint32 {
	o.Name = Clean(o.Name)
	return lookup(t, &t.operations, o)
}

// Text returns the number of s, None for the empty text, or Other when the table is full.
func (t *Table) Text(s string) uint32 {
	switch s = Clean(s); s {
	case "":
		return None
	case Overflow:
		return Other // As among entities.
	}
	return lookup(t, &t.texts, s)
}

// EntityOf returns the entity with this number.
func (t *Table) EntityOf(number uint32) Entity { return row(t, &t.entities, number) }

// OperationOf returns the operation with this number.
func (t *Table) OperationOf(number uint32) Operation { return row(t, &t.operations, number) }

// TextOf returns the text with this number.
func (t *Table) TextOf(number uint32) string { return row(t, &t.texts, number) }

type numbered[K comparable] struct {
	rows    []K
	numbers map[K]uint32
	most    int
}

func newNumbered[K comparable](most int, none, other K) numbered[K] {
	return numbered[K]{rows: []K{none, other}, numbers: map[K]uint32{}, most: most}
}

// add gives a number to a key that has none yet, or Other when there is no more room.
func (n *numbered[K]) add(key K) uint32 {
	if len(n.rows) >= n.most {
		return Other
	}
	number := uint32(len(n.rows))
	n.rows = append(n.rows, key)
	n.numbers[key] = number
	return number
}

func lookup[K comparable](t *Table, n *numbered[K], key K) uint32 {
	t.mu.RLock()
	number, ok := n.numbers[key]
	t.mu.RUnlock()
	if ok {
		return number
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if number, ok = n.numbers[key]; ok {
		return number
	}
	return n.add(key)
}

func row[K comparable](t *Table, n *numbered[K], number uint32) K {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return n.rows[number]
}

// Clean makes a name fit to be kept and sent on: a copy, because the sender's string is part of a request that must not
// stay in memory for a name's sake; bounded; without what does not print, since it will stand in terminals and on pages; and
// valid, because an exporter refuses a whole request for one invalid string.
func Clean(name string) string {
	name = name[:min(len(name), maxLength)]
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, strings.ToValidUTF8(strings.Clone(name), ""))
}
