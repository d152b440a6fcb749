package series

import (
	"hash/maphash"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// Identity tells a series from all others: 128 bits of a hash with secret seeds, so that nobody can make two series one on
// purpose, and a name of any length costs no memory.
type Identity [2]uint64

// Hasher makes identities. Its seeds are its own, so that identities of two of them have nothing to do with each other. It is
// safe for concurrent use.
type Hasher struct {
	seeds [2]maphash.Seed
}

// NewHasher returns a hasher.
func NewHasher() *Hasher {
	return &Hasher{seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}}
}

// Resource is what all series of a resource have in common.
func (h *Hasher) Resource(r pcommon.Resource) Identity { return h.attributes(r.Attributes()) }

// Scope is what all series of a scope of that resource have in common.
func (h *Hasher) Scope(resource Identity, s pcommon.InstrumentationScope) Identity {
	type scope struct {
		resource, attributes Identity
		name, version        string
	}
	return hash(h, scope{resource, h.attributes(s.Attributes()), s.Name(), s.Version()})
}

// Metric is what all series of a metric of that scope have in common. A metric that changes its kind begins anew.
func (h *Hasher) Metric(scope Identity, m pmetric.Metric) Identity {
	type metric struct {
		scope      Identity
		name, unit string
		kind       pmetric.MetricType
	}
	return hash(h, metric{scope, m.Name(), m.Unit(), m.Type()})
}

// Series is the identity of the series of that metric with these attributes, in whatever order.
func (h *Hasher) Series(metric Identity, attributes pcommon.Map) Identity {
	return hash(h, [2]Identity{metric, h.attributes(attributes)})
}

// attributes adds up what single ones make, since senders have them in any order.
func (h *Hasher) attributes(all pcommon.Map) Identity {
	type attribute struct {
		key, text string
		whole     int64
		broken    float64
		kind      pcommon.ValueType
	}
	var sum Identity
	for key, v := range all.All() {
		a := attribute{key: key, kind: v.Type()}
		switch v.Type() {
		case pcommon.ValueTypeStr:
			a.text = v.Str()
		case pcommon.ValueTypeInt:
			a.whole = v.Int()
		case pcommon.ValueTypeDouble:
			if a.broken = v.Double(); a.broken != a.broken {
				a.text, a.broken = "NaN", 0 // It would have another hash each time.
			}
		default:
			a.text = v.AsString()
		}
		one := hash(h, a)
		sum[0] += one[0]
		sum[1] += one[1]
	}
	return sum
}

func hash[V comparable](h *Hasher, v V) Identity {
	return Identity{maphash.Comparable(h.seeds[0], v), maphash.Comparable(h.seeds[1], v)}
}
