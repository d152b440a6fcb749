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
//
// It never comes to External. Whether a peer is somebody else's can't be seen from one span: a public name is what one's
// own gateway has as well, a name of a model's provider is also given to a model that runs next door, and a peer's name
// may be that of a service whose spans are just not here yet. Who has whole traces, or the user, must say it.
type Evidence uint8

const (
	message Evidence = 1 << iota
	query
	request
)

// Add takes note of the key of one attribute.
func (e *Evidence) Add(key string) {
	// Most keys on a span are of no layer: their first byte rules them out before anything is called. A byte that is no
	// lower-case letter shifts all bits away.
	if key != "" && telling>>(key[0]-'a')&1 != 0 {
		e.add(key)
	}
}

// telling has a bit for the first letter of each prefix that add knows.
const telling uint32 = 1<<('d'-'a') | 1<<('f'-'a') | 1<<('g'-'a') | 1<<('h'-'a') | 1<<('m'-'a') | 1<<('r'-'a')

func (e *Evidence) add(key string) {
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
	case 'g':
		if strings.HasPrefix(key, "graphql.") {
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
		return ofServiceName(text(value))
	case "telemetry.sdk.name":
		return only(isProxy(text(value)), Edge)
	case "telemetry.sdk.language":
		return only(text(value) == "webjs", Client)
	case "process.runtime.name":
		// So the SDK for browsers said it before it had a language of its own.
		if text(value) == "browser" {
			return Client
		}
		return Platform
	case "os.name":
		if isMobile(text(value)) {
			return Client
		}
		return Platform
	case "process.executable.name", "container.name", "k8s.container.name", "k8s.deployment.name", "k8s.daemonset.name":
		if isProxy(text(value)) {
			return Edge
		}
		return Platform
	case "cloud.platform":
		return ofCloudPlatform(text(value))
	case "cloud.resource_id":
		return ofCloudResource(text(value))
	case "faas.name", "faas.id":
		return Application
	case "app.installation.id", "app.build_id":
		return Client
	}
	group, _, _ := strings.Cut(key, ".")
	if len(group) == len(key) {
		return Unknown
	}
	switch group {
	case "browser", "device", "android", "ios":
		return Client
	case "envoy", "istio", "nginx", "haproxy", "traefik", "kong", "apisix", "bigip":
		return Edge
	case "messaging", "kafka", "rabbitmq", "activemq", "pulsar", "nats", "rocketmq", "solace":
		return Messaging
	case "db", "postgresql", "mysql", "mongodb", "mongodb_atlas", "redis", "elasticsearch", "oracledb", "oracle", "sqlserver",
		"cassandra", "couchdb", "couchbase", "clickhouse", "memcached", "snowflake", "aerospike", "riak", "saphana":
		return Data
	case "k8s", "host", "container", "process", "os", "cloud", "aws", "azure", "gcp", "openshift", "system", "heroku",
		"cloudfoundry", "oracle_cloud", "hw", "mainframe", "zos", "vcenter":
		return Platform
	}
	return Unknown
}

func ofServiceName(name string) Layer {
	switch {
	case name == "":
		return Unknown
	case isProxy(strings.TrimPrefix(name, "unknown_service:")):
		return Edge
	default:
		return Application
	}
}

// isProxy knows the names that gateways, proxies and meshes give themselves unless told otherwise.
func isProxy(name string) bool {
	switch name {
	case "envoy", "nginx", "haproxy", "traefik", "kong", "APISIX", "apisix", "caddy", "tyk", "krakend",
		"istio-proxy", "istio-ingressgateway", "istio-egressgateway", "ztunnel", "linkerd-proxy", "linkerd2-proxy",
		"kuma-sidecar", "consul-dataplane", "cilium-envoy", "ingress-nginx-controller":
		return true
	}
	return false
}

// isMobile knows the names of operating systems that run on nothing but users' devices.
func isMobile(system string) bool {
	switch system {
	case "Android", "iOS", "iPadOS", "watchOS", "tvOS", "visionOS":
		return true
	}
	return false
}

// ofCloudPlatform tells functions, which are applications whatever their name, from what else clouds run.
func ofCloudPlatform(platform string) Layer {
	switch platform {
	case "aws_lambda", "azure.functions", "azure_functions", "gcp_cloud_functions", "alibaba_cloud_fc", "tencent_cloud_scf":
		return Application
	}
	return Platform
}

// ofCloudResource reads of an Amazon Resource Name, arn:partition:service:…, what the cloud itself runs for its users.
func ofCloudResource(id string) Layer {
	rest, ok := strings.CutPrefix(id, "arn:")
	if !ok {
		return Platform
	}
	_, rest, _ = strings.Cut(rest, ":")
	service, _, _ := strings.Cut(rest, ":")
	switch service {
	case "elasticloadbalancing", "apigateway", "execute-api", "cloudfront":
		return Edge
	case "sqs", "sns", "kinesis", "kafka", "mq":
		return Messaging
	case "rds", "dynamodb", "elasticache", "memorydb", "redshift":
		return Data
	case "lambda":
		return Application
	}
	return Platform
}

// only is the layer if what speaks for it holds.
func only(holds bool, l Layer) Layer {
	if holds {
		return l
	}
	return Unknown
}

// text is the value if it is one, and else empty.
func text(value pcommon.Value) string {
	if value.Type() != pcommon.ValueTypeStr {
		return ""
	}
	return value.Str()
}
