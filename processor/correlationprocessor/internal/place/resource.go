package place

import (
	"hash/maphash"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// maxName bounds the names of hosts. A DNS name has at most 253 bytes.
const maxName = 253

// resource is what attributes say about where their sender is. The strings are the attributes' own.
type resource struct {
	serviceName, serviceNamespace, environment, instance string
	pid                                                  int64
	executable                                           string
	containerID, containerName                           string
	podUID, podName, namespace, cluster, nodeName        string
	hostID, hostName                                     string
	function, functionInstance                           string
}

func (r *resource) read(attributes pcommon.Map) {
	for key, value := range attributes.All() {
		switch key {
		case "service.name":
			r.serviceName = text(value)
		case "service.namespace":
			r.serviceNamespace = text(value)
		case "service.instance.id":
			r.instance = text(value)
		case "deployment.environment.name":
			r.environment = text(value)
		case "deployment.environment":
			if r.environment == "" {
				r.environment = text(value)
			}
		case "process.pid":
			r.pid = number(value)
		case "process.executable.name":
			r.executable = text(value)
		case "container.id":
			r.containerID = text(value)
		case "k8s.container.name":
			r.containerName = text(value)
		case "k8s.pod.uid":
			r.podUID = text(value)
		case "k8s.pod.name":
			r.podName = text(value)
		case "k8s.namespace.name":
			r.namespace = text(value)
		case "k8s.cluster.name":
			r.cluster = text(value)
		case "k8s.node.name":
			r.nodeName = text(value)
		case "host.id":
			r.hostID = text(value)
		case "host.name":
			r.hostName = text(value)
		case "faas.name":
			if r.function == "" {
				r.function = text(value)
			}
		case "cloud.resource_id":
			if said := text(value); said != "" {
				r.function = said
			}
		case "faas.instance":
			r.functionInstance = text(value)
		}
	}
}

// Resource reads the places of a resource, be it of spans or of points, from the semantic conventions:
//
//   - the node: host.id, host.name and k8s.node.name. The last two are one name. From within a container or a pod, host.id
//     and host.name are often the container's own. So in a pod only k8s.node.name is the node, and in another container
//     host.name unless it is the container's id. Names that every machine has for itself are no names.
//   - the pod: k8s.pod.uid; k8s.namespace.name and k8s.pod.name; k8s.pod.name alone. A cluster's or namespace's name that
//     only one side gives does not keep them apart, and two of them under one name do.
//   - the container: container.id; k8s.container.name within the pod; faas.instance within its function.
//   - the process: process.pid within the container, or on the node where there is neither container nor pod. The first
//     process of a node is its init and never a service, but it is the usual process of a container that is not told.
//   - the instance: the service with its service.instance.id, or else with the most specific of the above.
func (x *Index) Resource(into *Places, attributes pcommon.Map) {
	into.reset()
	var r resource
	r.read(attributes)
	into.cluster, into.namespace = x.hash(r.cluster), x.name(r.namespace)
	x.pod(into, &r)
	x.container(into, &r)
	x.node(into, &r)
	x.process(into, &r)
	x.instance(into, &r)
	into.seal()
}

func (x *Index) pod(into *Places, r *resource) {
	pod, id := &into.at[Pod], x.hash(r.podUID)
	if id != 0 {
		pod.add(combine(id, uint64(Pod)), &claims{})
	}
	name := combine(x.hash(r.podName), uint64(Pod))
	if r.podName == "" {
		return
	}
	if r.namespace != "" {
		pod.add(combine(name, into.namespace), &claims{clusterClaim: into.cluster, idClaim: id})
	}
	pod.add(name, &claims{clusterClaim: into.cluster, namespaceClaim: into.namespace, idClaim: id})
}

func (x *Index) container(into *Places, r *resource) {
	container := &into.at[Container]
	if _, id, prefixed := strings.Cut(r.containerID, "://"); prefixed {
		r.containerID = id
	}
	switch {
	case r.containerID != "":
		container.add(combine(x.hash(r.containerID), uint64(Container)), &claims{})
	case r.functionInstance != "" && r.function != "":
		container.add(combine(combine(x.hash(r.functionInstance), uint64(Container)), x.hash(r.function)), &claims{})
	}
	if r.containerName != "" {
		container.within(&into.at[Pod], combine(x.hash(r.containerName), uint64(Container)))
	}
}

func (x *Index) node(into *Places, r *resource) {
	node := &into.at[Node]
	var said claims
	said[clusterClaim] = into.cluster
	hostName := r.hostName
	switch {
	case into.Has(Pod), r.functionInstance != "":
		hostName = ""
	case into.Has(Container):
		if strings.HasPrefix(r.containerID, hostName) {
			hostName = ""
		}
	case r.hostID != "":
		id := x.hash(r.hostID)
		node.add(combine(id, uint64(Node)), &claims{})
		if isMachineID(r.hostID) {
			said[idClaim] = id
		} else {
			said[cloudIDClaim] = id
		}
	}
	name := x.hostName(r.nodeName)
	if name != 0 {
		node.add(combine(name, uint64(Node)), &said)
	}
	if other := x.hostName(hostName); other != 0 && other != name {
		node.add(combine(other, uint64(Node)), &said)
	}
}

func (x *Index) process(into *Places, r *resource) {
	if r.pid <= 0 {
		return
	}
	process, pid := &into.at[Process], combine(uint64(r.pid), uint64(Process))
	switch {
	case into.Has(Container):
		process.within(&into.at[Container], pid)
	case r.pid > 1 && !into.Has(Pod):
		process.within(&into.at[Node], pid)
	}
	executable := x.hash(r.executable)
	for i := range process.count {
		process.all[i].claims[executableClaim] = executable
	}
}

func (x *Index) instance(into *Places, r *resource) {
	if r.serviceName == "" {
		return
	}
	into.named = true
	into.service = combine(combine(x.hash(r.serviceName), x.hash(r.serviceNamespace)), x.hash(r.environment))
	if r.instance != "" {
		into.at[Instance].add(combine(into.service, x.hash(r.instance)), &claims{})
	} else if at := into.mostSpecific(); at != nil {
		into.at[Instance].add(combine(into.service, at.all[0].key), &claims{})
	}
}

// isMachineID tells the ids that machines give themselves, 16 bytes in hex with or without dashes, from those of clouds.
func isMachineID(id string) bool {
	digits := 0
	for i := range len(id) {
		switch c := id[i]; {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'f', c >= 'A' && c <= 'F':
			digits++
		case c != '-':
			return false
		}
	}
	return digits == 32
}

// hash is zero for nothing.
func (x *Index) hash(s string) uint64 {
	if s == "" {
		return 0
	}
	return maphash.String(x.seed, s) | 1
}

// name hashes without regard to the case of ASCII letters, as DNS does. It is zero for nothing and for what is too long.
func (x *Index) name(s string) uint64 {
	if s == "" || len(s) > maxName {
		return 0
	}
	var lower [maxName]byte
	for i := range len(s) {
		c := s[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower[i] = c
	}
	return maphash.Bytes(x.seed, lower[:len(s)]) | 1
}

// hostName is zero also for what every machine calls itself.
func (x *Index) hostName(s string) uint64 {
	s = strings.TrimSuffix(s, ".")
	if isLoopback(s) {
		return 0
	}
	return x.name(s)
}

func text(value pcommon.Value) string {
	if value.Type() == pcommon.ValueTypeStr {
		return value.Str()
	}
	return ""
}

// number is zero for what is none. Ports and process ids are texts with some senders.
func number(value pcommon.Value) int64 {
	switch value.Type() {
	case pcommon.ValueTypeInt:
		return value.Int()
	case pcommon.ValueTypeStr:
		return parseNumber(value.Str())
	default:
		return 0
	}
}

func parseNumber(s string) int64 {
	// Longer ones are no port and no process id, and an error would be allocated for them.
	if len(s) == 0 || len(s) > 10 {
		return 0
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0
		}
	}
	parsed, _ := strconv.ParseInt(s, 10, 64)
	return parsed
}
