// Package reader turns spans into records: it reads the semantic conventions, current and former, once and in one pass.
package reader

import (
	"cmp"
	"hash/maphash"
	"strings"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/dimension"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/trace"
	"github.com/throughline-otel/throughline/internal/layer"
	"github.com/throughline-otel/throughline/internal/service"
)

// Refusal is the reason for which a span is passed over.
type Refusal string

// The reasons for which a span is passed over.
const (
	Accepted     Refusal = ""
	NoService    Refusal = "no_service"
	NoID         Refusal = "zero_id"
	EndsTooEarly Refusal = "end_before_start"
	FromFuture   Refusal = "from_future"
	NoTime       Refusal = "no_time"
	TooLong      Refusal = "too_long"
)

// futureSlack is by how much a span may end after the present: clocks of hosts differ.
const futureSlack = int64(60e9)

// longest is how long a span may take, in nanoseconds. What takes longer has a wrong start.
const longest = int64(24 * 3600e9)

// maxCount bounds what one sampled span stands for: a threshold beyond comes from a mistake or from an attack.
const maxCount = 1 << 20

// maxRemembered bounds the length of names that are remembered, in bytes. Longer ones are looked up each time.
const maxRemembered = 256

// cacheSize bounds the names that one reader remembers. Past it the reader forgets all and asks the shared table again.
const cacheSize = 50_000

// Resource is what spans of one resource have in common.
type Resource struct {
	Service uint32
	Layer   layer.Layer
	// Version and Revision are what of the service is deployed, as far as the resource says so.
	Version, Revision string
	// Template is what its pod was made from, and Instance which of several it is, as far as the resource says so. These four
	// may be texts of the telemetry that was read.
	Template, Instance string

	attributes pcommon.Map
}

// Reader reads spans. It remembers the numbers of names, so that the shared table is asked only for new ones.
// It is not safe for concurrent use.
type Reader struct {
	table      *names.Table
	services   map[serviceKey]uint32
	peers      map[peerKey]peer
	generation uint32
	operations map[uint64]operation
	seed       maphash.Seed
	texts      map[string]uint32
	// dimensions is nil where there are none.
	dimensions *dimension.Reader

	state  string
	weight float64
}

type serviceKey struct {
	service.Identity
	layer layer.Layer
}

// peerKey holds the parts of a peer's name, so that the name is put together only once.
type peerKey struct {
	caller       uint32
	layer        layer.Layer
	source       names.Source
	system, name string
}

// peer is who is called: a service that sends telemetry, or somebody who does not.
type peer struct {
	number uint32
	// first is the number by which calls to it are known: of a service that was a peer, the peer's, since its callers do nothing new.
	first   uint32
	service bool
}

// operation is one that the reader remembers.
type operation struct {
	names.Operation
	number uint32
}

// New returns a reader over tables. That of dimensions may have none.
func New(table *names.Table, dimensions *dimension.Table) *Reader {
	r := &Reader{
		table:      table,
		services:   map[serviceKey]uint32{},
		peers:      map[peerKey]peer{},
		operations: map[uint64]operation{},
		seed:       maphash.MakeSeed(),
		texts:      map[string]uint32{},
	}
	if len(dimensions.Names()) > 0 {
		r.dimensions = dimension.NewReader(dimensions)
	}
	return r
}

// Resource reads what spans of a resource have in common. Service is names.None where the resource names none.
func (r *Reader) Resource(identity service.Identity, attributes pcommon.Map) Resource {
	if identity.Name == "" || len(identity.Name)+len(identity.Namespace)+len(identity.Environment) > 3*maxRemembered {
		return Resource{}
	}
	key := serviceKey{identity, layer.OfResource(attributes)}
	number, ok := r.services[key]
	if !ok {
		number = r.table.Entity(names.Entity{Identity: identity, Layer: key.layer})
		remember(r.services, serviceKey{r.table.EntityOf(number).Identity, key.layer}, number)
	}
	resource := Resource{Service: number, Layer: key.layer, attributes: attributes}
	resource.deployed(attributes)
	return resource
}

// deployed reads what is deployed, and where. Whatever of a Deployment in Kubernetes is rolled out gets another ReplicaSet,
// which is named after the template of its pods, and after which its pods are.
func (r *Resource) deployed(attributes pcommon.Map) {
	var deployment, pod text
	for key, value := range attributes.All() {
		switch key {
		case "service.version":
			set(&r.Version, value)
		case "vcs.ref.head.revision":
			set(&r.Revision, value)
		case "service.instance.id":
			set(&r.Instance, value)
		case "k8s.replicaset.name":
			set(&r.Template, value)
		case "k8s.deployment.name":
			set(&deployment, value)
		case "k8s.pod.name":
			set(&pod, value)
		}
	}
	if r.Instance == "" {
		r.Instance = pod
	}
	// A pod's name is that of its ReplicaSet and five letters, that of a ReplicaSet that of its Deployment and the
	// template's hash.
	if end := strings.LastIndexByte(pod, '-'); r.Template == "" && deployment != "" && end > len(deployment)+1 &&
		pod[len(deployment)] == '-' && strings.HasPrefix(pod, deployment) {
		r.Template = pod[:end]
	}
}

// Span reads one span. now is in nanoseconds since the epoch.
func (r *Reader) Span(resource Resource, span ptrace.Span, now int64) (trace.Record, Refusal) {
	record := trace.Record{
		ID:      trace.Number(span.SpanID()),
		Parent:  trace.Number(span.ParentSpanID()),
		Start:   int64(span.StartTimestamp()),
		End:     int64(span.EndTimestamp()),
		Service: resource.Service,
		Kind:    uint8(span.Kind()),
	}
	switch {
	case resource.Service == names.None:
		return record, NoService
	case record.ID == 0 || span.TraceID() == (pcommon.TraceID{}):
		return record, NoID
	case record.Start <= 0 || record.End <= 0:
		return record, NoTime
	case record.End < record.Start:
		return record, EndsTooEarly
	case record.End > now+futureSlack:
		return record, FromFuture
	case record.End-record.Start > longest:
		return record, TooLong
	}
	record.Count = r.count(span.TraceState().AsRaw())

	failed := span.Status().Code() == ptrace.StatusCodeError
	record.Layer = resource.Layer
	var a attributes
	var called peer
	if failed || saysMore(span.Kind(), resource.Layer) {
		a = read(span.Attributes())
		record.Layer = a.evidence.Layer(resource.Layer)
	}
	if failed {
		record.Flags |= trace.Failed
		record.ErrorType = uint16(r.text(a.errorType)) // names.MaxTexts fits
		if isTimeout(a.errorType) {
			record.Flags |= trace.TimedOut
		}
	}
	switch {
	case span.Kind() == ptrace.SpanKindClient && a.messagingType != "":
		record.Flags |= trace.Broker
		if a.messagingType == "receive" {
			record.Flags |= trace.Receives
		}
	case isCall(span.Kind(), &a):
		record.Flags |= trace.Call
		called = r.peer(resource.Service, &a)
		record.Peer = called.number
		if called.service {
			record.Flags |= trace.ToService
		}
	}
	if r.dimensions != nil {
		record.Dimensions = r.dimensions.Of(span.Attributes(), resource.attributes)
	}
	record.Operation = r.operation(names.Operation{
		Service: resource.Service, Peer: called.first, Kind: record.Kind, Name: span.Name(),
	})
	return record, Accepted
}

// saysMore says whether the attributes of a span that did not fail say anything that its resource does not. The attributes are
// most of what there is to read of a span.
func saysMore(kind ptrace.SpanKind, in layer.Layer) bool {
	switch kind {
	case ptrace.SpanKindServer, ptrace.SpanKindInternal, ptrace.SpanKindConsumer:
		return in == layer.Unknown || in == layer.Platform
	default:
		return true
	}
}

// attributes are those of a span that say whom it is about and how it ended. Of those with a former name, the current one counts.
type attributes struct {
	evidence layer.Evidence

	peerService   text // service.peer.name, peer.service
	dbSystem      text // db.system.name, db.system
	dbNamespace   text // db.namespace, db.name
	function      text // faas.invoked_name
	host          text // server.address, net.peer.name, http.host
	url           text // url.full, http.url
	service       text // rpc.service
	peerAddress   text // network.peer.address, net.sock.peer.addr, net.peer.ip
	messagingType text // messaging.operation.type, messaging.operation
	errorType     text
}

// text is the value of an attribute.
type text = string

func read(from pcommon.Map) attributes {
	var a attributes
	for key, value := range from.All() {
		a.evidence.Add(key)
		switch key {
		case "service.peer.name":
			set(&a.peerService, value)
		case "peer.service":
			fill(&a.peerService, value)
		case "db.system.name":
			set(&a.dbSystem, value)
		case "db.system":
			fill(&a.dbSystem, value)
		case "db.namespace":
			set(&a.dbNamespace, value)
		case "db.name":
			fill(&a.dbNamespace, value)
		case "faas.invoked_name":
			set(&a.function, value)
		case "server.address":
			set(&a.host, value)
		case "net.peer.name", "http.host":
			fill(&a.host, value)
		case "url.full":
			set(&a.url, value)
		case "http.url":
			fill(&a.url, value)
		case "rpc.service":
			set(&a.service, value)
		case "network.peer.address":
			set(&a.peerAddress, value)
		case "net.sock.peer.addr", "net.peer.ip":
			fill(&a.peerAddress, value)
		case "messaging.operation.type":
			set(&a.messagingType, value)
		case "messaging.operation":
			fill(&a.messagingType, value)
		case "error.type":
			set(&a.errorType, value)
		}
	}
	return a
}

// set takes the value of an attribute with a current name.
func set(to *text, value pcommon.Value) {
	if value.Type() == pcommon.ValueTypeStr && value.Str() != "" {
		*to = value.Str()
	}
}

// fill takes the value of an attribute with a former name.
func fill(to *text, value pcommon.Value) {
	if *to == "" {
		set(to, value)
	}
}

// isCall tells calls from other work. Instrumentations without kinds call, too, if they say whom.
func isCall(kind ptrace.SpanKind, a *attributes) bool {
	return kind == ptrace.SpanKindClient || kind == ptrace.SpanKindUnspecified && (a.peerService != "" || a.dbSystem != "")
}

// peer names who is called, for the case that nobody answers with a span of its own: by what the sender calls it, then as a
// database, a function, a host, a remote interface, a network. Who has the name of a service is that service: its span may be
// late, or sampled away.
func (r *Reader) peer(caller uint32, a *attributes) peer {
	key, ok := named(a)
	if !ok {
		return peer{}
	}
	key.caller = caller
	if g := r.table.Generation(); g != r.generation {
		clear(r.peers) // A peer may have become a service.
		r.generation = g
	}
	found, ok := r.peers[key]
	if !ok {
		key.name, key.system = strings.Clone(key.name), strings.Clone(key.system)
		found = r.resolve(key)
		if len(key.name)+len(key.system) <= maxRemembered {
			remember(r.peers, key, found)
		}
	}
	return found
}

// named is what a peer's name is made of, as it stands in the span.
func named(a *attributes) (key peerKey, ok bool) {
	key = peerKey{layer: layer.External}
	if a.dbSystem != "" {
		key.layer = layer.Data
	}
	switch {
	case a.peerService != "":
		key.name, key.source = a.peerService, names.FromCaller
	case a.dbSystem != "" && a.dbNamespace != "":
		key.system, key.name, key.source = a.dbSystem, a.dbNamespace, names.FromDatabase
	case a.dbSystem != "":
		key.system, key.name, key.source = a.dbSystem, cmp.Or(a.host, a.peerAddress), names.FromHost
	case a.function != "":
		key.name, key.source = a.function, names.FromFunction
	case !isAddress(a.host):
		key.name, key.source = a.host, names.FromHost
	case !isAddress(hostOf(a.url)):
		key.name, key.source = hostOf(a.url), names.FromHost
	case a.service != "":
		key.name, key.source = a.service, names.FromInterface
	default:
		key.name, key.source = cmp.Or(a.host, hostOf(a.url), a.peerAddress), names.FromHost
	}
	return key, key.name != "" || key.system != ""
}

// hostOf is the host and port of a URL, without the user.
func hostOf(url string) string {
	_, rest, ok := strings.Cut(url, "://")
	if !ok {
		return ""
	}
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	return rest[strings.LastIndexByte(rest, '@')+1:]
}

// resolve makes a peer of a name as it stands in a span.
func (r *Reader) resolve(key peerKey) peer {
	name, source := key.name, key.source
	if source == names.FromHost {
		if name, source = host(key.name); name == "" {
			if key.system == "" {
				return peer{}
			}
			source = names.FromSystem
		}
	}
	name = strings.Trim(key.system+":"+name, ":")
	if number, ok := r.table.ServiceNamed(name, key.caller); ok {
		if was, ok := r.table.Before(number, name, key.layer); ok {
			return peer{number, was, true}
		}
		return peer{number, number, true}
	}
	number := r.table.Peer(name, key.layer, source)
	return peer{number, number, false}
}

func isTimeout(errorType string) bool {
	switch errorType {
	case "":
		return false
	case "timeout", "DEADLINE_EXCEEDED", "4", "408", "504", "context.deadlineExceededError", "canceled", "CANCELLED", "1":
		return true
	}
	return strings.Contains(errorType, "imeout") || strings.Contains(errorType, "eadline")
}

// count is how many spans this one stands for, by the sampling threshold in its trace state.
// See https://opentelemetry.io/docs/specs/otel/trace/tracestate-handling/#sampling-threshold-value-th.
func (r *Reader) count(state string) float64 {
	if state == "" {
		return 1
	}
	if state == r.state {
		return r.weight
	}
	r.state, r.weight = strings.Clone(state), 1
	if parsed, err := sampling.NewW3CTraceState(state); err == nil {
		if count := parsed.OTelValue().AdjustedCount(); count >= 1 {
			r.weight = min(count, maxCount)
		}
	}
	return r.weight
}

func (r *Reader) operation(o names.Operation) uint32 {
	// To hash a struct with a text in it takes several times as long as to hash the text.
	hash := maphash.String(r.seed, o.Name) ^ (uint64(o.Service)<<32|uint64(o.Peer)<<8|uint64(o.Kind))*0x9E3779B97F4A7C15
	if known, ok := r.operations[hash]; ok && known.Operation == o {
		return known.number
	}
	number := r.table.Operation(o)
	if o.Name = strings.Clone(o.Name); len(o.Name) <= maxRemembered {
		remember(r.operations, hash, operation{o, number})
	}
	return number
}

func (r *Reader) text(s string) uint32 {
	if s == "" {
		return names.None
	}
	number, ok := r.texts[s]
	if !ok {
		number = r.table.Text(s)
		if len(s) <= maxRemembered {
			remember(r.texts, strings.Clone(s), number)
		}
	}
	return number
}

func remember[K comparable, V any](cache map[K]V, key K, value V) {
	if len(cache) >= cacheSize {
		clear(cache)
	}
	cache[key] = value
}
