// Package place knows what services run on, and which databases they call, so that the points of these things can name
// the services, and the spans of the services get what was measured there.
//
// A thing has several spellings: a pod may be told by its uid, or by its namespace and name. Spellings that are ids are
// believed. A name is shared by all who use it, for as long as nobody contradicts: it carries claims (the id behind it,
// its cluster, its namespace), and while two claims differ, the name stands for nothing. So senders of which one gives
// more than another meet under what both give, and two things of one name are kept apart from when anybody tells them apart.
package place

import (
	"math/bits"
	"slices"
)

// Kind is what a place is. The order is from the most specific to the widest.
type Kind uint8

const (
	// Database is a database within a server.
	Database Kind = iota
	// Server is an endpoint of a database system: an address and a port.
	Server
	// Instance is one instance of a service, by service.instance.id or by where it runs.
	Instance
	// Process is a process within a container, or directly on a host.
	Process
	// Container is a container, or an instance of a function.
	Container
	// Pod is a Kubernetes pod.
	Pod
	// Node is a host, virtual or not, or a Kubernetes node.
	Node
	kindCount
)

// What a sender may say beside a name. Zero is for what was not said, and never contradicts.
const (
	clusterClaim = iota
	namespaceClaim
	// An id as the machine knows it and one as its cloud knows it are two names of one thing, so they have a claim each.
	idClaim
	cloudIDClaim
	executableClaim
	claimCount
)

type claims [claimCount]uint64

// contradict tells whether both sides say something, and not the same.
func (c *claims) contradict(other *claims) bool {
	for i, said := range c {
		if said != 0 && other[i] != 0 && said != other[i] {
			return true
		}
	}
	return false
}

func (c *claims) any() bool {
	return *c != claims{}
}

// adopt takes over what has not been said yet.
func (c *claims) adopt(other *claims) {
	for i, said := range other {
		if c[i] == 0 {
			c[i] = said
		}
	}
}

// spelling is one way of telling a place, by a seeded hash.
type spelling struct {
	key    uint64
	claims claims
}

// maxSpellings is of a container: by its id, and within each spelling of its pod.
const maxSpellings = 4

// spellings of one place.
type spellings struct {
	count int
	all   [maxSpellings]spelling
}

func (s *spellings) add(key uint64, said *claims) {
	added := &s.all[s.count]
	added.key, added.claims = key, *said
	s.count++
}

// within adds what is known by a name inside of another place.
func (s *spellings) within(outer *spellings, name uint64) {
	for i := range outer.count {
		s.add(combine(outer.all[i].key, name), &outer.all[i].claims)
	}
}

// Places is where something is, by kind. It holds hashes only, so that it may be kept and used again. It is large: hand
// it on by its address.
type Places struct {
	at          [kindCount]spellings
	namespace   uint64
	cluster     uint64
	named       bool // a service speaks
	service     uint64
	fingerprint uint64
}

// Has tells whether a place of this kind is known.
func (p *Places) Has(kind Kind) bool {
	return p.at[kind].count > 0
}

// AppendInstances appends the hashes by which an instance of the service is known, the most certain one first: its own id,
// and the service within each spelling of its container and its pod. It appends none where no service speaks.
func (p *Places) AppendInstances(to []uint64) []uint64 {
	if !p.named {
		return to
	}
	for _, kind := range [...]Kind{Instance, Container, Pod} {
		at := &p.at[kind]
		for i := range at.count {
			key := at.all[i].key
			if kind != Instance {
				key = combine(p.service, key)
			}
			if !slices.Contains(to, key) {
				to = append(to, key)
			}
		}
	}
	return to
}

func (p *Places) reset() {
	for kind := range p.at {
		p.at[kind].count = 0
	}
	p.namespace, p.cluster, p.named, p.service, p.fingerprint = 0, 0, false, 0, 0
}

// only makes these places the one place of another's.
func (p *Places) only(kind Kind, of *Places) bool {
	if !of.Has(kind) {
		return false
	}
	p.at[kind] = of.at[kind]
	p.seal()
	return true
}

// seal makes the fingerprint by which all of this is known again.
func (p *Places) seal() {
	var sum uint64
	for kind := range p.at {
		at := &p.at[kind]
		for i := range at.count {
			sum = combine(sum+at.all[i].key, uint64(kind))
			for _, said := range at.all[i].claims {
				sum = bits.RotateLeft64(sum, 7) + said
			}
		}
	}
	p.fingerprint = sum
}

// mostSpecific is the place that answers for all of them.
func (p *Places) mostSpecific() *spellings {
	for kind := range p.at {
		if p.at[kind].count > 0 {
			return &p.at[kind]
		}
	}
	return nil
}

// combine makes one hash of two. It is seeded as soon as one of them is, and every key has one that is.
func combine(a, b uint64) uint64 {
	high, low := bits.Mul64(a^0x9e3779b97f4a7c15, b^0xd6e8feb86659fd93)
	return high ^ bits.RotateLeft64(low, 32) ^ a
}
