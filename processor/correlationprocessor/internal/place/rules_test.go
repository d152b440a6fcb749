package place

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

const (
	start     = int64(1_700_000_000_000_000_000)
	retention = 2 * time.Minute
	second    = int64(time.Second)
	minute    = int64(time.Minute)
)

// said is attributes by name.
type said map[string]any

func (s said) attributes(t testing.TB) pcommon.Map {
	attributes := pcommon.NewMap()
	require.NoError(t, attributes.FromRaw(s))
	return attributes
}

// runs has the service run where its resource says.
func runs(t testing.TB, x *Index, now int64, service string, resource said) {
	var p Places
	x.Resource(&p, resource.attributes(t))
	x.Learn(now, service, &p)
}

// calls has the service call the database that its span names, and tells whether it names one.
func calls(t testing.TB, x *Index, now int64, service string, resource, span said) bool {
	var own, database Places
	x.Resource(&own, resource.attributes(t))
	attributes := span.attributes(t)
	named := x.Database(&database, attributes, &own)
	x.LearnCall(now, service, attributes, &own, &database)
	return named
}

// about is who runs on, or calls, what a point is about.
func about(t testing.TB, x *Index, now int64, metric string, resource, point said) []string {
	var at, thing Places
	attributes := resource.attributes(t)
	x.Resource(&at, attributes)
	if !x.Described(&thing, SubjectOf(metric), attributes, &at, point.attributes(t)) {
		return nil
	}
	return x.Services(now, &thing)
}

func TestWhatAPointIsAbout(t *testing.T) {
	const id, other = "5dbd1a9b1f5d4b5bb0a6f1b2c3d4e5f6", "00000000000000000000000000000002"
	containerID := strings.Repeat("ab", 32)
	for _, given := range []struct {
		why    string
		runs   said
		metric string
		point  said
		meets  bool
	}{
		{"a pod by its uid", said{"k8s.pod.uid": "u"}, "k8s.pod.cpu.usage", said{"k8s.pod.uid": "u", "k8s.pod.name": "p"}, true},
		{"another uid", said{"k8s.pod.uid": "u"}, "k8s.pod.cpu.usage", said{"k8s.pod.uid": "v"}, false},
		{
			"a pod by its name",
			said{"k8s.pod.name": "p", "k8s.namespace.name": "n"},
			"k8s.pod.cpu.usage",
			said{"k8s.pod.name": "p", "k8s.namespace.name": "n", "k8s.pod.uid": "u"},
			true,
		},
		{
			"one name in two namespaces",
			said{"k8s.pod.name": "p", "k8s.namespace.name": "n"},
			"k8s.pod.cpu.usage",
			said{"k8s.pod.name": "p", "k8s.namespace.name": "m"},
			false,
		},
		{
			"one name in two clusters",
			said{"k8s.pod.name": "p", "k8s.namespace.name": "n", "k8s.cluster.name": "a"},
			"k8s.pod.cpu.usage",
			said{"k8s.pod.name": "p", "k8s.namespace.name": "n", "k8s.cluster.name": "b"},
			false,
		},
		{
			"one name and two uids",
			said{"k8s.pod.name": "p", "k8s.pod.uid": "u"},
			"k8s.pod.cpu.usage",
			said{"k8s.pod.name": "p", "k8s.pod.uid": "v"},
			false,
		},
		{
			"only the collector knows the namespace",
			said{"k8s.pod.name": "p"},
			"k8s.pod.cpu.usage",
			said{"k8s.pod.name": "p", "k8s.namespace.name": "n"},
			true,
		},
		{
			"only the service knows the namespace",
			said{"k8s.pod.name": "p", "k8s.namespace.name": "n"},
			"k8s.pod.cpu.usage",
			said{"k8s.pod.name": "p"},
			true,
		},
		{
			"a point of a node",
			said{"k8s.pod.uid": "u", "k8s.node.name": "n1"},
			"k8s.node.cpu.usage",
			said{"k8s.node.name": "n1"},
			true,
		},
		{
			"another node", said{"k8s.pod.uid": "u", "k8s.node.name": "n1"}, "k8s.node.cpu.usage", said{"k8s.node.name": "n2"}, false,
		},
		{
			"a node of another cluster",
			said{"k8s.node.name": "n1", "k8s.cluster.name": "a"},
			"k8s.node.cpu.usage",
			said{"k8s.node.name": "n1", "k8s.cluster.name": "b"},
			false,
		},
		{
			"a node by its host name",
			said{"k8s.pod.uid": "u", "k8s.node.name": "N1"},
			"system.cpu.utilization",
			said{"host.name": "n1", "host.id": id},
			true,
		},
		{
			"a node that the collector was told of, and its host",
			said{"k8s.node.name": "n1"},
			"system.cpu.utilization",
			said{"host.name": "host-1", "k8s.node.name": "n1"},
			true,
		},
		{
			"the name in a pod is the pod's",
			said{"k8s.pod.name": "p", "host.name": "p"},
			"system.cpu.utilization",
			said{"host.name": "p"},
			false,
		},
		{
			"the id in a pod may be the image's",
			said{"k8s.pod.name": "p", "host.id": id},
			"system.cpu.utilization",
			said{"host.id": id},
			false,
		},
		{
			"the name in a container is its id",
			said{"container.id": containerID, "host.name": containerID[:12]},
			"system.cpu.utilization",
			said{"host.name": containerID[:12]},
			false,
		},
		{
			"the collector put the host's name onto a container",
			said{"container.id": containerID, "host.name": "h"},
			"system.cpu.utilization",
			said{"host.name": "h"},
			true,
		},
		{"a host by its name", said{"host.name": "h"}, "system.cpu.utilization", said{"host.name": "h"}, true},
		{
			"a host by its id",
			said{"host.id": id, "host.name": "a"},
			"system.cpu.utilization",
			said{"host.id": id, "host.name": "b"},
			true,
		},
		{
			"one name and two ids",
			said{"host.id": id, "host.name": "h"},
			"system.cpu.utilization",
			said{"host.id": other, "host.name": "h"},
			false,
		},
		{
			"the id of a cloud and that of a machine",
			said{"host.id": id, "host.name": "h"},
			"system.cpu.utilization",
			said{"host.id": "i-0abc", "host.name": "h"},
			true,
		},
		{"localhost", said{"host.name": "localhost"}, "system.cpu.utilization", said{"host.name": "localhost"}, false},
		{"an empty name", said{"host.name": ""}, "system.cpu.utilization", said{"host.name": ""}, false},
		{"no text", said{"host.name": 7}, "system.cpu.utilization", said{"host.name": 7}, false},
		{
			"a container by its id, with and without its runtime",
			said{"container.id": containerID},
			"container.cpu.usage",
			said{"container.id": "containerd://" + containerID},
			true,
		},
		{
			"a container by its name in its pod",
			said{"k8s.pod.uid": "u", "k8s.container.name": "c", "container.id": containerID},
			"container.cpu.usage",
			said{"k8s.pod.uid": "u", "k8s.container.name": "c", "k8s.pod.name": "p"},
			true,
		},
		{
			"another container of the pod",
			said{"k8s.pod.uid": "u", "k8s.container.name": "c"},
			"container.cpu.usage",
			said{"k8s.pod.uid": "u", "k8s.container.name": "d"},
			false,
		},
		{
			"a container by its name in another pod",
			said{"k8s.pod.uid": "u", "k8s.container.name": "c"},
			"container.cpu.usage",
			said{"k8s.pod.uid": "v", "k8s.container.name": "c"},
			false,
		},
		{
			"a pod's metric of a container's resource",
			said{"k8s.pod.uid": "u"},
			"k8s.pod.cpu.usage",
			said{"k8s.pod.uid": "u", "k8s.container.name": "c"},
			true,
		},
		{
			"a container's metric is not about its pod",
			said{"k8s.pod.uid": "u"},
			"container.cpu.usage",
			said{"k8s.pod.uid": "u", "k8s.container.name": "c"},
			false,
		},
		{
			"a process of a host",
			said{"host.name": "h", "process.pid": 77},
			"process.cpu.time",
			said{"host.name": "h", "process.pid": "77", "process.executable.name": "shop"},
			true,
		},
		{
			"another process",
			said{"host.name": "h", "process.pid": 77},
			"process.cpu.time",
			said{"host.name": "h", "process.pid": 78},
			false,
		},
		{
			"another executable",
			said{"host.name": "h", "process.pid": 77, "process.executable.name": "a"},
			"process.cpu.time",
			said{"host.name": "h", "process.pid": 77, "process.executable.name": "b"},
			false,
		},
		{
			"init is no service",
			said{"host.name": "h", "process.pid": 1},
			"process.cpu.time",
			said{"host.name": "h", "process.pid": 1},
			false,
		},
		{
			"a container counts its processes itself",
			said{"host.name": "h", "container.id": containerID, "process.pid": 77},
			"process.cpu.time",
			said{"host.name": "h", "process.pid": 77},
			false,
		},
		{
			"an instance of a function",
			said{"faas.name": "f", "faas.instance": "i"},
			"memory.used",
			said{"faas.name": "f", "faas.instance": "i"},
			true,
		},
		{
			"the collector's host is not what it has scraped", said{"host.name": "h"}, "nginx.requests", said{"host.name": "h"}, false,
		},
		{"a deployment is no host", said{"host.name": "h"}, "k8s.deployment.available", said{"host.name": "h"}, false},
		{
			"a service's own metric is about the service",
			said{"host.name": "h"},
			"jvm.memory.used",
			said{"host.name": "h", "service.name": "s"},
			false,
		},
		{"the host that an SDK measures", said{"host.name": "h"}, "system.cpu.time", said{"host.name": "h", "service.name": "s"}, true},
		{"nothing", said{}, "system.cpu.time", said{}, false},
	} {
		x := NewIndex(1<<20, retention)
		runs(t, x, start, "shop", given.runs)
		found := about(t, x, start, given.metric, given.point, nil)
		assert.Equal(t, given.meets, len(found) == 1, "%s: %v", given.why, found)
	}
}

func TestWhichDatabaseAPointIsAbout(t *testing.T) {
	const pg = "postgresql.commits"
	for _, given := range []struct {
		why         string
		caller      said
		span        said
		metric      string
		from, point said
		meets       bool
	}{
		{
			"address and port", nil,
			said{"db.system.name": "postgresql", "server.address": "DB.example.com.", "server.port": 5433},
			pg,
			said{"server.address": "db.example.com", "server.port": 5433},
			nil, true,
		},
		{
			"former names", nil,
			said{"db.system": "postgresql", "net.peer.name": "db.example.com", "net.peer.port": 5433},
			pg,
			said{"server.address": "db.example.com", "server.port": "5433"},
			nil, true,
		},
		{
			"the default port", nil,
			said{"db.system": "postgresql", "net.peer.name": "db.example.com"},
			pg,
			said{"server.address": "db.example.com", "server.port": 5432},
			nil, true,
		},
		{
			"another port", nil,
			said{"db.system.name": "postgresql", "server.address": "d.e.f", "server.port": 5433},
			pg,
			said{"server.address": "d.e.f", "server.port": 5432},
			nil, false,
		},
		{
			"one database on two servers", nil,
			said{"db.system.name": "postgresql", "server.address": "a.b.c", "db.namespace": "orders"},
			pg,
			said{"server.address": "b.b.c", "postgresql.database.name": "orders"},
			nil, false,
		},
		{
			"a name and no server", nil,
			said{"db.system.name": "postgresql", "db.namespace": "orders"},
			pg,
			said{"postgresql.database.name": "orders"},
			nil, false,
		},
		{
			"two databases on one server", nil,
			said{"db.system.name": "postgresql", "server.address": "a.b.c", "db.namespace": "orders"},
			pg,
			said{"server.address": "a.b.c", "postgresql.database.name": "stock"},
			nil, false,
		},
		{
			"a database by its resource, and a schema", nil,
			said{"db.system.name": "postgresql", "server.address": "a.b.c", "db.namespace": "orders|public"},
			pg,
			said{"server.address": "a.b.c", "postgresql.database.name": "orders"},
			nil, true,
		},
		{
			"a database by its point", nil,
			said{"db.system": "mongodb", "net.peer.name": "a.b.c", "db.name": "orders"},
			"mongodb.data.size",
			said{"server.address": "a.b.c"},
			said{"database": "orders"},
			true,
		},
		{
			"all of a server", nil,
			said{"db.system": "postgresql", "net.peer.name": "a.b.c", "db.name": "orders"},
			"postgresql.bgwriter.maxwritten",
			said{"server.address": "a.b.c"},
			nil, true,
		},
		{
			"the server as the instance", nil,
			said{"db.system": "postgresql", "net.peer.name": "a.b.c", "db.name": "orders"},
			pg,
			said{"service.instance.id": "a.b.c:5432", "postgresql.database.name": "orders"},
			nil, true,
		},
		{
			"a server that the receiver does not know", nil,
			said{"db.system": "postgresql", "net.peer.name": "unknown"},
			pg,
			said{"service.instance.id": "unknown:5432"},
			nil, false,
		},
		{
			"an endpoint", nil,
			said{"db.system.name": "mysql", "server.address": "10.0.0.7"},
			"mysql.table.io.wait.count",
			said{"mysql.instance.endpoint": "10.0.0.7:3306"},
			nil, true,
		},
		{
			"the schema of a mysql", nil,
			said{"db.system.name": "mysql", "server.address": "10.0.0.7", "db.namespace": "orders"},
			"mysql.table.io.wait.count",
			said{"mysql.instance.endpoint": "10.0.0.7:3306"},
			said{"schema": "stock"},
			false,
		},
		{
			"the database of a redis", nil,
			said{"db.system": "redis", "net.peer.name": "a.b.c", "db.redis.database_index": 3},
			"redis.db.keys",
			said{"server.address": "a.b.c", "server.port": "6379"},
			said{"db": "3"},
			true,
		},
		{
			"a named instance that may be anywhere", nil,
			said{"db.system": "mssql", "net.peer.name": "a.b.c", "db.mssql.instance_name": "second"},
			"sqlserver.batch.request.rate",
			said{"server.address": "a.b.c"},
			nil, false,
		},
		{
			"a named instance with its port", nil,
			said{"db.system.name": "microsoft.sql_server", "server.address": "a.b.c", "server.port": 1500, "db.namespace": "x|orders"},
			"sqlserver.batch.request.rate",
			said{"server.address": "a.b.c", "server.port": 1500, "sqlserver.database.name": "orders"},
			nil, true,
		},
		{
			"IPv6", nil,
			said{"db.system.name": "postgresql", "server.address": "2001:DB8::1"},
			pg,
			said{"server.address": "[2001:db8:0::1]:5432"},
			nil, true,
		},
		{
			"localhost of one host",
			said{"host.name": "h"},
			said{"db.system": "postgresql", "net.peer.ip": "127.0.0.1"},
			pg,
			said{"host.name": "h", "server.address": "localhost"},
			nil, true,
		},
		{
			"localhost of two hosts",
			said{"host.name": "h"},
			said{"db.system": "postgresql", "server.address": "localhost"},
			pg,
			said{"host.name": "g", "server.address": "localhost"},
			nil, false,
		},
		{
			"localhost of nobody", nil,
			said{"db.system": "postgresql", "server.address": "localhost"},
			pg,
			said{"server.address": "localhost"},
			nil, false,
		},
		{
			"localhost of a pod is not its node's",
			said{"k8s.pod.uid": "u", "k8s.node.name": "h"},
			said{"db.system": "postgresql", "server.address": "::1"},
			pg,
			said{"host.name": "h", "server.address": "localhost"},
			nil, false,
		},
		{
			"a socket",
			said{"host.name": "h"},
			said{"db.system": "postgresql", "server.address": "/var/run/postgresql"},
			pg,
			said{"host.name": "h", "server.address": "localhost", "server.port": 5432},
			nil, true,
		},
		{
			"a short name and a full one",
			said{"k8s.namespace.name": "a"},
			said{"db.system": "postgresql", "server.address": "pg"},
			pg,
			said{"server.address": "pg.a.svc.cluster.local"},
			nil, true,
		},
		{
			"a short name in another namespace",
			said{"k8s.namespace.name": "a"},
			said{"db.system": "postgresql", "server.address": "pg"},
			pg,
			said{"server.address": "pg.b.svc"},
			nil, false,
		},
		{
			"a short name, and the collector does not say where it is",
			said{"k8s.namespace.name": "a"},
			said{"db.system": "postgresql", "server.address": "pg"},
			pg,
			said{"server.address": "pg"},
			nil, true,
		},
		{
			"a private address in two clusters",
			said{"k8s.cluster.name": "a"},
			said{"db.system": "postgresql", "server.address": "10.0.0.1"},
			pg,
			said{"server.address": "10.0.0.1", "k8s.cluster.name": "b"},
			nil, false,
		},
		{
			"a public address from two clusters",
			said{"k8s.cluster.name": "a"},
			said{"db.system": "postgresql", "server.address": "192.0.2.1"},
			pg,
			said{"server.address": "192.0.2.1", "k8s.cluster.name": "b"},
			nil, true,
		},
		{
			"addresses of a link", nil,
			said{"db.system": "postgresql", "server.address": "fe80::1"},
			pg,
			said{"server.address": "fe80::1"},
			nil, false,
		},
		{
			"several servers", nil,
			said{"db.system": "mongodb", "net.peer.name": "a.b,c.d"},
			"mongodb.data.size",
			said{"server.address": "a.b,c.d"},
			nil, false,
		},
		{
			"no database", nil,
			said{"server.address": "a.b.c", "server.port": 6379},
			"redis.uptime",
			said{"server.address": "a.b.c"},
			nil, false,
		},
		{
			"a system without a port", nil,
			said{"db.system": "other_sql", "server.address": "a.b.c"},
			pg,
			said{"server.address": "a.b.c"},
			nil, false,
		},
		{
			"a port out of range", nil,
			said{"db.system": "postgresql", "server.address": "a.b.c", "server.port": 1 << 20},
			pg,
			said{"server.address": "a.b.c", "server.port": 1 << 20},
			nil, false,
		},
		{
			"what a service measures of its database is about the service", nil,
			said{"db.system": "redis", "server.address": "a.b.c"},
			"redis.pool.size",
			said{"service.name": "s", "service.instance.id": "1"},
			said{"server.address": "a.b.c"},
			false,
		},
		{
			"the collector's host is not its database",
			said{"host.name": "h"},
			said{"db.system": "postgresql", "server.address": "a.b.c"},
			pg,
			said{"host.name": "h"},
			nil, false,
		},
	} {
		x := NewIndex(1<<20, retention)
		calls(t, x, start, "shop", given.caller, given.span)
		found := about(t, x, start, given.metric, given.from, given.point)
		assert.Equal(t, given.meets, len(found) == 1, "%s: %v", given.why, found)
	}
}

func TestANameOfTwoStandsForNothingUntilOneOfThemHasGone(t *testing.T) {
	x := NewIndex(1<<20, retention)
	old := said{"k8s.pod.name": "db-0", "k8s.namespace.name": "n", "k8s.pod.uid": "old"}
	renewed := said{"k8s.pod.name": "db-0", "k8s.namespace.name": "n", "k8s.pod.uid": "new"}
	bare := said{"k8s.pod.name": "db-0", "k8s.namespace.name": "n"}
	runs(t, x, start, "former", old)
	assert.Equal(t, []string{"former"}, about(t, x, start, "k8s.pod.cpu.usage", bare, nil))

	now := start + second
	runs(t, x, now, "present", renewed)
	assert.Empty(t, about(t, x, now, "k8s.pod.cpu.usage", bare, nil))
	runs(t, x, now, "bare", bare)
	assert.Empty(t, about(t, x, now, "k8s.pod.cpu.usage", bare, nil))
	assert.Equal(t, []string{"former"}, about(t, x, now, "k8s.pod.cpu.usage", old, nil))
	assert.Equal(t, []string{"present"}, about(t, x, now, "k8s.pod.cpu.usage", renewed, nil))

	for now < start+rivalry {
		now += minute
		runs(t, x, now, "present", renewed)
	}
	assert.Equal(t, []string{"present"}, about(t, x, now, "k8s.pod.cpu.usage", bare, nil))
	assert.Equal(t, []string{"former"}, about(t, x, now, "k8s.pod.cpu.usage", old, nil), "by the id nothing is contested")
}

func TestTwoWhoKeepAskingForOneNameNeverGetIt(t *testing.T) {
	x := NewIndex(1<<20, retention)
	for now := start; now < start+60*minute; now += minute {
		first := said{"host.name": "h", "host.id": strings.Repeat("a", 32)}
		other := said{"host.name": "h", "host.id": strings.Repeat("b", 32)}
		runs(t, x, now, "a", first)
		runs(t, x, now, "b", other)
		require.Empty(t, about(t, x, now, "system.cpu.time", said{"host.name": "h"}, nil))
		require.Equal(t, []string{"a"}, about(t, x, now, "system.cpu.time", first, nil))
	}
}

func TestAPodAnswersForItselfAndANodeForAllOfItsPods(t *testing.T) {
	x := NewIndex(1<<20, retention)
	runs(t, x, start, "web", said{"k8s.pod.uid": "1", "k8s.node.name": "n"})
	runs(t, x, start, "cart", said{"k8s.pod.uid": "2", "k8s.node.name": "n"})
	assert.Equal(t, []string{"cart", "web"}, about(t, x, start, "k8s.node.cpu.usage", said{"k8s.node.name": "n"}, nil))
	assert.Equal(t, []string{"web"}, about(t, x, start, "k8s.pod.cpu.usage", said{"k8s.pod.uid": "1", "k8s.node.name": "n"}, nil))
	assert.Empty(t, about(t, x, start, "k8s.pod.cpu.usage", said{"k8s.pod.uid": "3", "k8s.node.name": "n"}, nil))
}

func TestAnInstanceIsKnownByItsIdAndByWhereItRuns(t *testing.T) {
	x := NewIndex(1<<20, retention)
	instances := func(resource said) []uint64 {
		var p Places
		x.Resource(&p, resource.attributes(t))
		return p.AppendInstances(nil)
	}
	byID := instances(said{"service.name": "shop", "service.instance.id": "a", "k8s.pod.name": "shop-0", "k8s.namespace.name": "prod"})
	byPod := instances(said{"service.name": "shop", "k8s.pod.name": "shop-0", "k8s.namespace.name": "prod"})
	assert.Subset(t, byID, byPod)
	assert.NotEqual(t, byID[0], byPod[0])
	assert.Empty(t, instances(said{"k8s.pod.name": "shop-0"}), "no service speaks")
	for _, other := range []said{
		{"service.name": "mail", "k8s.pod.name": "shop-0", "k8s.namespace.name": "prod"},
		{"service.name": "shop", "k8s.pod.name": "shop-1", "k8s.namespace.name": "prod"},
		{"service.name": "shop", "service.instance.id": "b"},
	} {
		for _, key := range instances(other) {
			assert.NotContains(t, byID, key, "%v", other)
		}
	}
}
