package place

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

type aspect uint8

const (
	aboutResource aspect = iota
	aboutNode
	aboutPod
	aboutContainer
	aboutProcess
	aboutDatabase
	aboutSomethingElse
)

// Subject is what the points of a metric are about, as far as its name tells.
type Subject struct {
	aspect aspect
	system string
}

// Known is whether the name of the metric tells.
func (s Subject) Known() bool {
	return s.aspect != aboutResource
}

// SubjectOf reads the name of a metric, with dots or as Prometheus writes it. Resources alone do not tell: a collector puts
// its own host's name onto what it has scraped elsewhere, and an SDK measures its host under its service's name.
func SubjectOf(metric string) Subject {
	first, rest := part(metric)
	switch first {
	case "system", "host", "hw", "node":
		return Subject{aspect: aboutNode}
	case "container":
		return Subject{aspect: aboutContainer}
	case "process":
		return Subject{aspect: aboutProcess}
	case "k8s":
		return kubernetes(rest)
	case "postgresql", "mysql", "mariadb", "redis", "valkey", "mongodb", "memcached", "couchdb", "cassandra", "elasticsearch",
		"opensearch", "neo4j":
		return Subject{aspect: aboutDatabase, system: first}
	case "sqlserver":
		return Subject{aspect: aboutDatabase, system: sqlServer}
	case "oracledb":
		return Subject{aspect: aboutDatabase, system: "oracle.db"}
	default:
		return Subject{}
	}
}

func kubernetes(rest string) Subject {
	switch object, _ := part(rest); object {
	case "node":
		return Subject{aspect: aboutNode}
	case "pod", "volume":
		return Subject{aspect: aboutPod}
	case "container":
		return Subject{aspect: aboutContainer}
	default:
		return Subject{aspect: aboutSomethingElse}
	}
}

func part(name string) (first, rest string) {
	if end := strings.IndexAny(name, "._"); end >= 0 {
		return name[:end], name[end+1:]
	}
	return name, ""
}

// Described finds the one thing that a point is about: what its metric is about, as far as its resource identifies it. It is
// false where that is not certain. The places are of the point's resource, which is given too for what they do not keep.
// Unless the subject is a database, all points of a metric and resource have the same answer.
//
// Where the metric's name does not tell, a resource that names a service is about the service's instance, and one that does
// not is about the most specific of process, container and pod. It is never about the host, which may be the collector's.
func (x *Index) Described(into *Places, about Subject, resource pcommon.Map, at *Places, point pcommon.Map) bool {
	into.reset()
	switch about.aspect {
	case aboutNode:
		return into.only(Node, at)
	case aboutPod:
		return into.only(Pod, at)
	case aboutContainer:
		return into.only(Container, at)
	case aboutProcess:
		if at.named {
			return into.only(Instance, at)
		}
		return into.only(Process, at)
	case aboutDatabase:
		return x.database(into, about.system, resource, at, point)
	case aboutSomethingElse:
		return false
	default:
		if at.named {
			return into.only(Instance, at)
		}
		return into.only(Process, at) || into.only(Container, at) || into.only(Pod, at)
	}
}

// database is the one that the resource or, where no service speaks, the point names. The points of a database are not about
// its whole server.
func (x *Index) database(into *Places, system string, resource pcommon.Map, at *Places, point pcommon.Map) bool {
	e := endpoint{system: system}
	e.ofResource(resource)
	if e.address == "" && at.named {
		return into.only(Instance, at)
	}
	e.ofPoint(point)
	// What the metric's name says is certain, and what the attributes say may be a dialect.
	e.system = system
	if !x.place(into, &e, at) {
		return false
	}
	if into.Has(Database) {
		into.at[Server].count = 0
		into.seal()
	}
	return true
}
