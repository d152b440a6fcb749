package series

import (
	"hash/maphash"
	"math/bits"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// The attributes by which the series of a metric and the spans behind it tell each other apart. Each has a slot.
const (
	httpRequestMethod = iota
	httpRoute
	httpStatusCode
	rpcSystem
	rpcService
	rpcMethod
	rpcGRPCStatusCode
	rpcStatusCode
	dbSystem
	dbNamespace
	dbCollection
	dbOperation
	messagingSystem
	messagingDestination
	messagingOperation
	messagingOperationType
	errorType
	// A span need not have these, even if the point does. Where both have them, they agree.
	serverAddress
	serverPort
	urlScheme
	networkProtocolName
	networkProtocolVersion
	slotCount
)

// none is no slot.
const none = -1

// mask is a set of slots.
type mask uint32

const (
	httpSlots      mask = 1<<httpRequestMethod | 1<<httpRoute | 1<<httpStatusCode
	rpcSlots       mask = 1<<rpcSystem | 1<<rpcService | 1<<rpcMethod | 1<<rpcGRPCStatusCode | 1<<rpcStatusCode
	dbSlots        mask = 1<<dbSystem | 1<<dbNamespace | 1<<dbCollection | 1<<dbOperation
	messagingSlots mask = 1<<messagingSystem | 1<<messagingDestination | 1<<messagingOperation | 1<<messagingOperationType
	errorSlot      mask = 1 << errorType
	telling             = httpSlots | rpcSlots | dbSlots | messagingSlots
	required            = telling | errorSlot
)

// Key is what a span or a point says about the series that it belongs to. The zero Key is empty.
type Key struct {
	has    mask
	values [slotCount]uint64
}

// Reset makes the key empty.
func (k *Key) Reset() {
	// Values without their bit are never looked at.
	k.has = 0
}

// Add takes note of one attribute, if it is one that tells series apart.
func (k *Key) Add(seed maphash.Seed, key string, value pcommon.Value) {
	slot := slotOf(key)
	if slot == none {
		return
	}
	hash, ok := hashValue(seed, value)
	if !ok {
		return
	}
	// A span in the middle of its sender's migration has the same thing under its former and its current name.
	k.has |= 1 << slot
	k.values[slot] = hash
}

// Failed is whether there is a type of error.
func (k *Key) Failed() bool {
	return k.has&errorSlot != 0
}

// Infer adds the error type that the conventions prescribe for a failed request whose span only has a status code.
func (k *Key) Infer(failed bool) {
	if failed && k.has&(1<<errorType) == 0 && k.has&(1<<httpStatusCode) != 0 {
		k.has |= 1 << errorType
		k.values[errorType] = k.values[httpStatusCode]
	}
}

// Telling is whether the key has anything that tells one series from another.
func (k *Key) Telling() bool {
	return k.has&telling != 0
}

// Like tells whether both keys have the same of the attributes that a span must have, too.
func (k *Key) Like(other *Key) bool {
	return k.has&required == other.has&required
}

// hash is the same for equal keys.
func (k *Key) hash() uint64 {
	return k.hashOf(k.has)
}

// hashOf is the same for keys that have the same values in all slots of a set that both have.
func (k *Key) hashOf(slots mask) uint64 {
	sum := uint64(slots)
	for rest := slots; rest != 0; rest &= rest - 1 {
		slot := bits.TrailingZeros32(uint32(rest))
		high, low := bits.Mul64(k.values[slot]^uint64(slot+1)*0x9e3779b97f4a7c15, 0xd6e8feb86659fd93)
		sum += high ^ low
	}
	return sum
}

// agrees tells whether all slots of the set have the same value in both keys.
func (k *Key) agrees(other *Key, slots mask) bool {
	for rest := slots; rest != 0; rest &= rest - 1 {
		slot := bits.TrailingZeros32(uint32(rest))
		if k.values[slot] != other.values[slot] {
			return false
		}
	}
	return true
}

// equals tells whether both keys say the same.
func (k *Key) equals(other *Key) bool {
	return k.has == other.has && k.agrees(other, k.has)
}

// hashValue makes numbers and the texts of numbers equal: a status code is the one on a span and the other on a point that
// was scraped.
func hashValue(seed maphash.Seed, value pcommon.Value) (uint64, bool) {
	switch value.Type() {
	case pcommon.ValueTypeStr:
		return maphash.String(seed, value.Str()), value.Str() != ""
	case pcommon.ValueTypeInt:
		var buffer [20]byte
		return maphash.Bytes(seed, strconv.AppendInt(buffer[:0], value.Int(), 10)), true
	default:
		return 0, false
	}
}

// names are the attributes by their current and former names, and by what becomes of them on the way through Prometheus.
var names = [slotCount][]string{
	httpRequestMethod:      {"http.request.method", "http.method"},
	httpRoute:              {"http.route"},
	httpStatusCode:         {"http.response.status_code", "http.status_code"},
	rpcSystem:              {"rpc.system.name", "rpc.system"},
	rpcService:             {"rpc.service"},
	rpcMethod:              {"rpc.method"},
	rpcGRPCStatusCode:      {"rpc.grpc.status_code"},
	rpcStatusCode:          {"rpc.response.status_code"},
	dbSystem:               {"db.system.name", "db.system"},
	dbNamespace:            {"db.namespace", "db.name"},
	dbCollection:           {"db.collection.name", "db.sql.table"},
	dbOperation:            {"db.operation.name", "db.operation"},
	messagingSystem:        {"messaging.system"},
	messagingDestination:   {"messaging.destination.name", "messaging.destination"},
	messagingOperation:     {"messaging.operation.name"},
	messagingOperationType: {"messaging.operation.type", "messaging.operation"},
	errorType:              {"error.type"},
	serverAddress:          {"server.address", "net.peer.name"},
	serverPort:             {"server.port", "net.peer.port"},
	urlScheme:              {"url.scheme", "http.scheme"},
	networkProtocolName:    {"network.protocol.name"},
	networkProtocolVersion: {"network.protocol.version"},
}

// slots has the names in buckets of two, so that the path of every attribute of every span is one look and two comparisons at
// most. The multiplier was found to be one for which there is room for all.
var slots, multiplier = arrange()

type bucketOfNames [2]struct {
	name string
	slot int
}

func arrange() (table [512]bucketOfNames, by uint32) {
search:
	for by = 0x9e3779b1; ; by += 2 {
		table = [512]bucketOfNames{}
		for slot, all := range names {
			for _, name := range all {
				for _, spelled := range [...]string{name, strings.ReplaceAll(name, ".", "_")} {
					at := &table[place(spelled, by)]
					switch {
					case at[0].name == "":
						at[0].name, at[0].slot = spelled, slot
					case at[1].name == "":
						at[1].name, at[1].slot = spelled, slot
					default:
						continue search
					}
				}
			}
		}
		return table, by
	}
}

// place looks at the length of a name, and at four of its bytes.
func place(name string, by uint32) uint32 {
	n := len(name)
	said := uint32(n) | uint32(name[n-1])<<5 | uint32(name[n-3])<<11 | uint32(name[n/2])<<17 | uint32(name[2])<<23
	return said * by >> (32 - 9)
}

func slotOf(name string) int {
	if len(name) < len("db.name") {
		return none
	}
	at := &slots[place(name, multiplier)]
	switch name {
	case at[0].name:
		return at[0].slot
	case at[1].name:
		return at[1].slot
	default:
		return none
	}
}
