package series

import (
	"hash/maphash"
	"math/bits"
	"strconv"

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

// Add takes note of one attribute, if it is one that tells series apart.
func (k *Key) Add(seed maphash.Seed, key string, value pcommon.Value) {
	slot := slotOf(key)
	if slot == none {
		return
	}
	hash, ok := hashOf(seed, value)
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

// hash is the same for equal keys.
func (k *Key) hash() uint64 {
	sum := uint64(k.has)
	for rest := k.has; rest != 0; rest &= rest - 1 {
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

// hashOf makes numbers and the texts of numbers equal: a status code is the one on a span and the other on a point that
// was scraped.
func hashOf(seed maphash.Seed, value pcommon.Value) (uint64, bool) {
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

// slotOf knows the attributes by their current and former names, and by what becomes of them on the way through
// Prometheus.
func slotOf(key string) int {
	if len(key) < len("db.name") {
		return none
	}
	switch key[0] {
	case 'h', 'r', 'd', 'm', 'e', 's', 'u', 'n':
	default:
		return none
	}
	switch key {
	case "http.request.method", "http_request_method", "http.method", "http_method":
		return httpRequestMethod
	case "http.route", "http_route":
		return httpRoute
	case "http.response.status_code", "http_response_status_code", "http.status_code", "http_status_code":
		return httpStatusCode
	case "rpc.system.name", "rpc_system_name", "rpc.system", "rpc_system":
		return rpcSystem
	case "rpc.service", "rpc_service":
		return rpcService
	case "rpc.method", "rpc_method":
		return rpcMethod
	case "rpc.grpc.status_code", "rpc_grpc_status_code":
		return rpcGRPCStatusCode
	case "rpc.response.status_code", "rpc_response_status_code":
		return rpcStatusCode
	case "db.system.name", "db_system_name", "db.system", "db_system":
		return dbSystem
	case "db.namespace", "db_namespace", "db.name", "db_name":
		return dbNamespace
	case "db.collection.name", "db_collection_name", "db.sql.table", "db_sql_table":
		return dbCollection
	case "db.operation.name", "db_operation_name", "db.operation", "db_operation":
		return dbOperation
	case "messaging.system", "messaging_system":
		return messagingSystem
	case "messaging.destination.name", "messaging_destination_name", "messaging.destination", "messaging_destination":
		return messagingDestination
	case "messaging.operation.name", "messaging_operation_name":
		return messagingOperation
	case "messaging.operation.type", "messaging_operation_type", "messaging.operation", "messaging_operation":
		return messagingOperationType
	case "error.type", "error_type":
		return errorType
	case "server.address", "server_address", "net.peer.name", "net_peer_name":
		return serverAddress
	case "server.port", "server_port", "net.peer.port", "net_peer_port":
		return serverPort
	case "url.scheme", "url_scheme", "http.scheme", "http_scheme":
		return urlScheme
	case "network.protocol.name", "network_protocol_name":
		return networkProtocolName
	case "network.protocol.version", "network_protocol_version":
		return networkProtocolVersion
	default:
		return none
	}
}
