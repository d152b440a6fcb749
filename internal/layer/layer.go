// Package layer says where in a deep system something sits: from the device in a user's hand down to the host.
package layer

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Layer is a stratum of a deep system. The order is the way of a request, from the outside in.
type Layer uint8

const (
	// Unknown means that nothing said where it sits.
	Unknown Layer = iota
	// Client is software on a user's device.
	Client
	// Edge is what stands between clients and services, or between services: gateways, proxies, meshes.
	Edge
	// Application is a service.
	Application
	// Messaging is a broker, a queue, a topic.
	Messaging
	// Data is a database or a cache.
	Data
	// Platform is what the others run on: hosts, containers, clusters, clouds.
	Platform
	// External is what somebody else runs.
	External
)

var names = [...]string{
	Unknown:     "",
	Client:      "client",
	Edge:        "edge",
	Application: "application",
	Messaging:   "messaging",
	Data:        "data",
	Platform:    "platform",
	External:    "external",
}

// String is the layer's name as it stands in attributes and configuration, empty for Unknown.
func (l Layer) String() string {
	if int(l) >= len(names) {
		return ""
	}
	return names[l]
}

// Parse is the inverse of String. Unknown has no name, so the empty string is not one either.
func Parse(name string) (Layer, bool) {
	for l := Client; l <= External; l++ {
		if names[l] == name {
			return l, true
		}
	}
	return Unknown, false
}

// OfResource says where the emitter sits. What it says about itself in particular (a browser, a proxy, a database)
// counts for more than that it has a service's name, and that for more than what it runs on.
func OfResource(attributes pcommon.Map) Layer {
	var saw [len(names)]bool
	for key, value := range attributes.All() {
		saw[ofResourceAttribute(key, value)] = true
	}
	for _, l := range [...]Layer{Messaging, Data, Client, Edge, Application, Platform} {
		if saw[l] {
			return l
		}
	}
	return Unknown
}

// OfSpan says what a span is about: a call to a database is about the data layer, wherever it is made from. A call to
// another service keeps its emitter's layer, because only the trace as a whole shows who answered it.
func OfSpan(_ ptrace.SpanKind, attributes pcommon.Map, resource Layer) Layer {
	var e Evidence
	for key := range attributes.All() {
		e.Add(key)
	}
	return e.Layer(resource)
}

// Evidence is what the keys of a span's attributes say about its layer. It serves those who have other reasons to walk
// the attributes, and so do not want OfSpan to walk them again.
type Evidence uint8

const (
	message Evidence = 1 << iota
	query
	request
)

// Add takes note of the key of one attribute.
func (e *Evidence) Add(key string) {
	// Most keys on a span are none of these: one byte rules them out.
	if len(key) < len("db.") {
		return
	}
	switch key[0] {
	case 'd':
		if strings.HasPrefix(key, "db.") {
			*e |= query
		}
	case 'm':
		if strings.HasPrefix(key, "messaging.") {
			*e |= message
		}
	case 'h':
		if strings.HasPrefix(key, "http.") {
			*e |= request
		}
	case 'r':
		if strings.HasPrefix(key, "rpc.") {
			*e |= request
		}
	case 'f':
		if strings.HasPrefix(key, "faas.") {
			*e |= request
		}
	}
}

// Layer is what the keys so far amount to, on a span of an emitter that sits in the given layer.
func (e Evidence) Layer(resource Layer) Layer {
	switch {
	case e&message != 0:
		// A queue that is kept in a database has attributes of both, and what it is used for is the message.
		return Messaging
	case e&query != 0:
		return Data
	case e&request != 0 && (resource == Unknown || resource == Platform):
		// Hosts and clusters answer no requests: a service that has not been given a name does.
		return Application
	default:
		return resource
	}
}

func ofResourceAttribute(key string, value pcommon.Value) Layer {
	switch key {
	case "service.name":
		return ofServiceName(value)
	case "telemetry.sdk.name":
		if isText(value) && isProxy(value.Str()) {
			return Edge
		}
		return Unknown
	case "telemetry.sdk.language":
		if isText(value) && value.Str() == "webjs" {
			return Client
		}
		return Unknown
	case "process.executable.name", "container.name", "k8s.container.name":
		if isText(value) && isProxy(value.Str()) {
			return Edge
		}
		return Platform
	case "faas.name", "faas.id":
		return Application
	case "app.installation.id":
		return Client
	}
	group, _, _ := strings.Cut(key, ".")
	if len(group) == len(key) {
		return Unknown
	}
	switch group {
	case "browser", "device", "android", "ios":
		return Client
	case "envoy", "istio", "nginx", "haproxy", "traefik", "kong", "apisix":
		return Edge
	case "messaging", "kafka", "rabbitmq", "activemq", "pulsar", "nats":
		return Messaging
	case "db", "postgresql", "mysql", "mongodb", "redis", "elasticsearch", "oracledb", "sqlserver", "cassandra", "couchdb",
		"clickhouse", "memcached", "snowflake":
		return Data
	case "k8s", "host", "container", "process", "os", "cloud", "aws", "azure", "gcp", "openshift", "system":
		return Platform
	}
	return Unknown
}

func ofServiceName(value pcommon.Value) Layer {
	if !isText(value) || value.Str() == "" {
		return Unknown
	}
	if isProxy(strings.TrimPrefix(value.Str(), "unknown_service:")) {
		return Edge
	}
	return Application
}

// isProxy knows the names that gateways, proxies and meshes give themselves unless told otherwise.
func isProxy(name string) bool {
	switch name {
	case "envoy", "nginx", "haproxy", "traefik", "kong", "APISIX", "caddy", "istio-proxy", "linkerd-proxy", "linkerd2-proxy":
		return true
	}
	return false
}

func isText(value pcommon.Value) bool {
	return value.Type() == pcommon.ValueTypeStr
}
