package reader

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/dimension"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/internal/layer"
	"github.com/throughline-otel/throughline/internal/service"
)

func TestHostsAreTamed(t *testing.T) {
	for address, want := range map[string]string{
		"cards.example.com": "cards.example.com", "cards.example.com.": "cards.example.com", "cards.example.com:8443": "cards.example.com",
		"10.1.2.3": "10.1.2.0/24", "10.1.2.3:5432": "10.1.2.0/24", "::ffff:10.1.2.3": "10.1.2.0/24", "[2001:db8:1:2::3]:443": "2001:db8:1::/48",
		"fe80::1%eth0": "fe80::/48", "127.0.0.1": "", "::1": "", "0.0.0.0": "", "localhost": "", "Localhost:80": "", "": "",
		"redis-0.redis.svc.cluster.local": "redis-*.redis.svc.cluster.local", "ip-10-0-0-1.ec2.internal": "ip-*.ec2.internal",
		"cart-7d9f8b6c5d-x2x9z": "cart-*", "cart-7d9f8b6c5d-abcde": "cart-*", "db01.internal": "db01.internal", "s3.us-east-1.amazonaws.com": "s3.us-east-1.amazonaws.com",
		"d3a7f1c09b2e.cloudfront.net": "*.cloudfront.net", "orders.d3a7f1c09b2e.eu-west-1.rds.amazonaws.com": "orders.*.eu-west-1.rds.amazonaws.com",
		"550e8400-e29b-41d4-a716-446655440000.example.com": "*.example.com", "service2serv.example.com": "service2serv.example.com",
	} {
		name, _ := host(address)
		assert.Equal(t, want, name, address)
	}
}

// Who answers at one of such hosts says nothing of who does at another.
func TestAHostWhoseNameIsAnAddressIsANetwork(t *testing.T) {
	for address, want := range map[string]names.Source{
		"ip-10-0-1-7.ec2.internal": names.FromNetwork, "ec2-54-1-2-3.compute-1.amazonaws.com": names.FromNetwork, "10-0-1-7.pod.cluster.local": names.FromNetwork,
		"d3a7f1c09b2e.cloudfront.net": names.FromNetwork, "3f2a9c81d0b7": names.FromNetwork,
		"redis-0.redis.svc": names.FromHost, "cart-7d9f8b6c5d-x2x9z": names.FromHost, "node-10-0-1": names.FromHost, "v-1-2-3-2026.example.com": names.FromHost,
	} {
		_, source := host(address)
		assert.Equal(t, want, source, address)
	}
}

func TestPeersAreNamedByWhatIsSurest(t *testing.T) {
	for name, test := range map[string]struct {
		attributes map[string]any
		want       string
		source     names.Source
	}{
		"the caller's own name": {map[string]any{
			"service.peer.name": "billing", "db.system.name": "postgresql", "server.address": "10.0.0.7",
		}, "billing", names.FromCaller},
		"its current name before the former one": {map[string]any{"peer.service": "old", "service.peer.name": "new"}, "new", names.FromCaller},
		"whatever comes first":                   {map[string]any{"service.peer.name": "new", "peer.service": "old"}, "new", names.FromCaller},
		"a database and its namespace":           {map[string]any{"db.system": "mysql", "db.name": "shop", "server.address": "db.internal"}, "mysql:shop", names.FromDatabase},
		"a database and its host":                {map[string]any{"db.system.name": "redis", "server.address": "redis-3.internal"}, "redis:redis-*.internal", names.FromHost},
		"a database and its network":             {map[string]any{"db.system.name": "redis", "network.peer.address": "10.0.0.7"}, "redis:10.0.0.0/24", names.FromNetwork},
		"a database alone":                       {map[string]any{"db.system.name": "redis", "server.address": "localhost"}, "redis", names.FromSystem},
		"a function":                             {map[string]any{"faas.invoked_name": "resize", "server.address": "lambda.eu-west-1.amazonaws.com"}, "resize", names.FromFunction},
		"a host":                                 {map[string]any{"server.address": "cards.example.com", "url.full": "https://other.example.com/"}, "cards.example.com", names.FromHost},
		"a host by its former name":              {map[string]any{"net.peer.name": "cards.example.com"}, "cards.example.com", names.FromHost},
		"a host in a URL":                        {map[string]any{"server.address": "10.0.0.7", "http.url": "https://user:pass@cards.example.com:8443/pay?x=@y"}, "cards.example.com", names.FromHost},
		"an interface":                           {map[string]any{"rpc.service": "shop.Payments", "server.address": "10.0.0.7"}, "shop.Payments", names.FromInterface},
		"a network":                              {map[string]any{"net.peer.ip": "10.0.0.7"}, "10.0.0.0/24", names.FromNetwork},
		"nothing":                                {map[string]any{"server.address": "localhost", "db.system": 5}, "", names.FromTelemetry},
	} {
		t.Run(name, func(t *testing.T) {
			table := names.New()
			r := New(table, dimension.New(nil))
			from := resource(r)
			for range 2 { // The second one is remembered.
				record, _ := r.Span(from, newSpan(test.attributes), now)
				assert.Equal(t, test.want, table.EntityOf(record.Peer).Name)
				assert.Equal(t, test.source, table.SourceOf(record.Peer))
			}
		})
	}
}

func TestAPeerThatBeginsToSendTelemetryIsThatService(t *testing.T) {
	table := names.New()
	r := New(table, dimension.New(nil))
	from := resource(r)
	span := newSpan(map[string]any{"service.peer.name": "billing"})
	before, _ := r.Span(from, span, now)
	assert.True(t, table.EntityOf(before.Peer).Peer)
	table.Entity(names.Entity{Identity: service.Identity{Name: "billing"}, Layer: layer.Application})
	after, _ := r.Span(from, span, now)
	assert.False(t, table.EntityOf(after.Peer).Peer)
}
