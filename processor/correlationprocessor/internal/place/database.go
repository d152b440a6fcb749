package place

import (
	"hash/maphash"
	"net/netip"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// endpoint is what is said about a database. The strings are the attributes' own.
type endpoint struct {
	system, address string
	port            int64
	namespace       string
	// named is whether it is a named instance of SQL Server, which may listen at any port.
	named bool
	// local is whether a socket of the machine leads to it.
	local bool
}

// maxAddress is the length of the longest IPv6 address without a zone.
const maxAddress = 45

// Database reads which database a span has called. The caller's places tell whose localhost it is. It is false where that
// is not certain.
//
// A server is an address with a port. Where the port is not given, it is the default of the system, as the semantic
// conventions have it. A database is a name within a server, and a name alone, even with the system's, is none: two servers
// have the same. Addresses that mean another server at another place (localhost, sockets) stand within the caller's pod,
// container or node, the first of them that is known. Short names stand within the caller's Kubernetes namespace if that is
// given, in which name, name.namespace and name.namespace.svc.cluster.local are the same. Short names and private
// addresses are claimed by the caller's cluster.
func (x *Index) Database(into *Places, span pcommon.Map, caller *Places) bool {
	into.reset()
	var e endpoint
	e.ofSpan(span)
	return e.system != "" && x.place(into, &e, caller)
}

// LearnCall takes note that the service, under the name by which people know it, has called the database that its span
// tells. The scratch is for the database's places.
func (x *Index) LearnCall(now int64, service string, span pcommon.Map, caller, scratch *Places) {
	var e endpoint
	if e.ofSpan(span); e.system == "" || service == "" {
		return
	}
	// Most calls go where others went just before.
	flags := uint64(0)
	if e.named {
		flags |= 1
	}
	if e.local {
		flags |= 2
	}
	said := combine(combine(x.hash(e.address), x.hash(e.namespace)), combine(x.hash(e.system), uint64(e.port)<<2|flags))
	if !x.isNews(now, combine(said, caller.fingerprint), service) {
		return
	}
	scratch.reset()
	if x.place(scratch, &e, caller) {
		x.learn(now, service, scratch)
	}
}

// ofSpan reads what the attributes of a span say about the database that it has called.
func (e *endpoint) ofSpan(attributes pcommon.Map) {
	fallback := ""
	for key, value := range attributes.All() {
		if key == "" || key[0] != 'd' && key[0] != 's' && key[0] != 'n' {
			continue
		}
		switch key {
		case "server.address":
			if said := text(value); said != "" {
				e.address = said
			}
		case "net.peer.name":
			if e.address == "" {
				e.address = text(value)
			}
		case "net.peer.ip":
			fallback = text(value)
		case "server.port":
			if said := number(value); said != 0 {
				e.port = said
			}
		case "net.peer.port":
			if e.port == 0 {
				e.port = number(value)
			}
		case "network.transport", "net.transport":
			e.local = e.local || text(value) == "unix"
		case "db.mssql.instance_name":
			e.named = text(value) != ""
		default:
			e.about(key, value)
		}
	}
	if e.address == "" {
		e.address = fallback
	}
}

// about reads what is spelled alike on spans, resources and points.
func (e *endpoint) about(key string, value pcommon.Value) {
	switch key {
	case "db.system.name":
		if said := text(value); said != "" {
			e.system = said
		}
	case "db.system":
		if e.system == "" {
			e.system = text(value)
		}
	case "db.namespace":
		if said := text(value); said != "" {
			e.namespace = said
		}
	case "db.name":
		if e.namespace == "" {
			e.namespace = text(value)
		}
	case "db.redis.database_index":
		if e.namespace == "" && value.Type() == pcommon.ValueTypeInt && uint64(value.Int()) < uint64(len(digits)) {
			e.namespace = digits[value.Int() : value.Int()+1]
		}
	}
}

// digits spell what a redis calls its databases. Those that have two digits are rare: such a span is about the server.
const digits = "0123456789"

// ofResource reads what the resource of points says about a database, as receivers do.
func (e *endpoint) ofResource(attributes pcommon.Map) {
	instance := ""
	for key, value := range attributes.All() {
		switch key {
		case "server.address":
			e.address = text(value)
		case "server.port":
			e.port = number(value)
		case "mysql.instance.endpoint", "sqlserver.instance.endpoint":
			if e.address == "" {
				e.address = text(value)
			}
		case "postgresql.database.name", "sqlserver.database.name", "mongodb.database.name", "database":
			if e.namespace == "" {
				e.namespace = text(value)
			}
		case "sqlserver.instance.name":
			e.named = text(value) != ""
		case "service.instance.id":
			instance = text(value)
		default:
			e.about(key, value)
		}
	}
	// Some receivers give the server as the instance, and "unknown" for a server that they do not know.
	if e.address != "" || e.system != postgresql && e.system != sqlServer {
		return
	}
	if host, port := splitPort(instance); port != 0 && host != "unknown" {
		e.address = instance
	}
}

// ofPoint reads what a point adds to its resource.
func (e *endpoint) ofPoint(attributes pcommon.Map) {
	for key, value := range attributes.All() {
		switch key {
		case "database", "mongodb.database.name":
			if said := text(value); said != "" {
				e.namespace = said
			}
		case "db":
			if e.system == redis {
				e.namespace = text(value)
			}
		case "schema":
			if e.system == mySQL {
				e.namespace = text(value)
			}
		default:
			e.about(key, value)
		}
	}
}

// place is false for what is not certainly one server.
func (x *Index) place(into *Places, e *endpoint, around *Places) bool {
	e.normalise()
	if e.named && e.port == 0 || e.port < 0 || e.port > 65535 {
		return false
	}
	if e.port == 0 {
		e.port = defaultPort(e.system)
	}
	if e.port == 0 {
		return false
	}
	server := &into.at[Server]
	x.address(server, e, around)
	if server.count == 0 {
		return false
	}
	if name := x.hash(e.namespace); name != 0 {
		into.at[Database].within(server, name)
	}
	into.seal()
	return true
}

// normalise takes apart what some senders put into one attribute.
func (e *endpoint) normalise() {
	if host, port := splitPort(e.address); port != 0 {
		e.address = host
		if e.port == 0 {
			e.port = port
		}
	}
	e.address = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSuffix(e.address, "]"), "["), ".")
	if outer, inner, both := strings.Cut(e.namespace, "|"); both {
		switch e.system {
		case postgresql: // database|schema
			e.namespace = outer
		case sqlServer, formerSQLServer: // instance|database
			e.namespace, e.named = inner, true
		}
	}
}

// localhost is a name for oneself.
const localhost = 0x6c6f63616c686f73

func (x *Index) address(server *spellings, e *endpoint, around *Places) {
	port := combine(uint64(e.port), uint64(Server))
	if e.local || strings.HasPrefix(e.address, "/") || isLoopback(e.address) {
		for _, kind := range [...]Kind{Pod, Container, Node} {
			if around.Has(kind) {
				server.within(&around.at[kind], combine(port, localhost))
				return
			}
		}
		return
	}
	if address, ok := parseAddress(e.address); ok {
		// Another link has the same addresses, and nobody says which link it is.
		if address.IsLinkLocalUnicast() {
			return
		}
		var said claims
		if address.IsPrivate() {
			said[clusterClaim] = around.cluster
		}
		bytes := address.As16()
		server.add(combine(maphash.Bytes(x.seed, bytes[:]), port), &said)
		return
	}
	if strings.ContainsAny(e.address, ",;/\\@: ") {
		return
	}
	host := e.address
	if end := len(host) - len(".svc.cluster.local"); end > 0 && strings.EqualFold(host[end:], ".svc.cluster.local") {
		host = host[:end]
	} else if end := len(host) - len(".svc"); end > 0 && strings.EqualFold(host[end:], ".svc") {
		host = host[:end]
	}
	label, rest, _ := strings.Cut(host, ".")
	first := x.name(label)
	if first == 0 || rest != "" && x.name(rest) == 0 {
		return
	}
	var said claims
	if !strings.Contains(rest, ".") {
		said[clusterClaim] = around.cluster
	}
	switch {
	case rest != "":
		server.add(combine(combine(first, x.name(rest)), port), &said)
	case around.namespace != 0:
		server.add(combine(combine(first, around.namespace), port), &said)
		said[namespaceClaim] = around.namespace
		fallthrough
	default:
		server.add(combine(first, port), &said)
	}
}

// splitPort is of host:port and [host]:port. The port is zero where there is none.
func splitPort(s string) (host string, port int64) {
	colon := strings.LastIndexByte(s, ':')
	if colon <= 0 {
		return s, 0
	}
	host, port = s[:colon], parseNumber(s[colon+1:])
	if port == 0 || strings.Contains(host, ":") && host[0] != '[' {
		return s, 0
	}
	return host, port
}

// isLoopback tells the names and addresses by which every machine means itself.
func isLoopback(s string) bool {
	if len(s) >= len("localhost") && strings.EqualFold(s[:len("localhost")], "localhost") {
		return len(s) == len("localhost") || s[len("localhost")] == '.'
	}
	address, ok := parseAddress(s)
	return ok && (address.IsLoopback() || address.IsUnspecified())
}

// parseAddress is false for names. It looks before it parses, because an error would have to be allocated.
func parseAddress(s string) (netip.Addr, bool) {
	if len(s) < len("::") || len(s) > maxAddress || s[0] > '9' && !strings.Contains(s, ":") {
		return netip.Addr{}, false
	}
	address, err := netip.ParseAddr(s)
	return address.Unmap(), err == nil
}

const (
	postgresql      = "postgresql"
	sqlServer       = "microsoft.sql_server"
	formerSQLServer = "mssql"
	mySQL           = "mysql"
	redis           = "redis"
)

// defaultPort is of the systems by their current and former names. It is zero for those that have none.
func defaultPort(system string) int64 {
	switch system {
	case postgresql, "cockroachdb.postgresql":
		return 5432
	case mySQL, "mariadb":
		return 3306
	case sqlServer, formerSQLServer:
		return 1433
	case redis, "valkey":
		return 6379
	case "mongodb":
		return 27017
	case "oracle.db", "oracle":
		return 1521
	case "cassandra":
		return 9042
	case "elasticsearch", "opensearch":
		return 9200
	case "memcached":
		return 11211
	case "couchdb":
		return 5984
	case "neo4j":
		return 7687
	case "cockroachdb":
		return 26257
	default:
		return 0
	}
}
