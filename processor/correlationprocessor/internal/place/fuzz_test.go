package place

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

var known = []string{
	"service.name", "service.namespace", "service.instance.id", "deployment.environment.name", "deployment.environment",
	"process.pid",
	"process.executable.name", "container.id", "k8s.container.name", "k8s.pod.uid", "k8s.pod.name", "k8s.namespace.name",
	"k8s.cluster.name",
	"k8s.node.name", "host.id", "host.name", "faas.name", "faas.instance", "cloud.resource_id", "server.address", "server.port",
	"net.peer.name", "net.peer.port", "net.peer.ip", "network.transport", "db.system", "db.system.name", "db.name", "db.namespace",
	"db.redis.database_index", "db.mssql.instance_name", "mysql.instance.endpoint", "postgresql.database.name",
	"sqlserver.instance.name",
	"database", "db", "schema", "",
}

// FuzzPlaces has strangers say anything, of which each byte of keys picks a name and a part of values its value.
func FuzzPlaces(f *testing.F) {
	f.Add([]byte{0, 14, 15, 13, 10}, "shop\x00i-1\x00h\x00n\x00p", "system.cpu.time", int64(0), 1.0)
	f.Add([]byte{19, 20, 25, 28}, "[::1]:5432\x005433\x00postgresql\x00a|b", "postgresql.commits", int64(5), 2.0)
	f.Add([]byte{21, 25, 29}, "a.svc\x00redis\x003", "redis.db.keys", int64(-5), 3.0)
	f.Add([]byte{31, 18, 5, 7}, ":\x00:1\x00-1\x00://", "mysql.threads", int64(1<<62), 4.0)
	const limit = 128 << 10
	x := NewIndex(limit, retention)
	f.Fuzz(func(t *testing.T, keys []byte, values, metric string, at int64, value float64) {
		attributes := pcommon.NewMap()
		for i, said := range strings.Split(values, "\x00") {
			if i >= len(keys) {
				break
			}
			key := known[int(keys[i])%len(known)]
			if number := parseNumber(said); number != 0 && keys[i] >= 128 {
				attributes.PutInt(key, number)
			} else {
				attributes.PutStr(key, said)
			}
		}
		var own, called, thing Places
		x.Resource(&own, attributes)
		x.Learn(start, metric, &own)
		if x.Database(&called, attributes, &own) {
			require.NotEmpty(t, called.at[Server].count)
		}
		x.LearnCall(start, metric, attributes, &own, &called)
		if x.Described(&thing, SubjectOf(metric), attributes, &own, attributes) {
			x.Record(start, &thing, 1, start+at, value)
			require.NotNil(t, thing.mostSpecific())
		}
		require.LessOrEqual(t, len(x.Services(start, &own)), maxServices)
		x.Last(start, &own, 1)
		require.LessOrEqual(t, x.Size(), int64(limit))
	})
}
