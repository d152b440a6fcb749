package layer_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/throughline-otel/throughline/internal/layer"
)

func TestEveryLayerIsParsedFromItsName(t *testing.T) {
	for _, l := range []layer.Layer{
		layer.Client, layer.Edge, layer.Application, layer.Messaging, layer.Data, layer.Platform, layer.External,
	} {
		parsed, ok := layer.Parse(l.String())
		assert.True(t, ok, l)
		assert.Equal(t, l, parsed)
	}
}

func TestUnknownHasNoName(t *testing.T) {
	assert.Empty(t, layer.Unknown.String())
	assert.Empty(t, layer.Layer(200).String())
	for _, name := range []string{"", "Data", "database"} {
		l, ok := layer.Parse(name)
		assert.False(t, ok, name)
		assert.Equal(t, layer.Unknown, l)
	}
}

func TestAResourceSitsWhereItSaysItDoes(t *testing.T) {
	for name, given := range map[string]struct {
		attributes map[string]any
		want       layer.Layer
	}{
		"a service":                             {map[string]any{"service.name": "checkout"}, layer.Application},
		"a service in a pod":                    {map[string]any{"k8s.pod.name": "checkout-1", "service.name": "checkout"}, layer.Application},
		"a function":                            {map[string]any{"faas.name": "resize", "cloud.platform": "aws_lambda"}, layer.Application},
		"a function under its former attribute": {map[string]any{"faas.id": "arn:resize"}, layer.Application},
		"a browser by its attributes":           {map[string]any{"service.name": "shop-ui", "browser.platform": "Linux"}, layer.Client},
		"a browser by its SDK":                  {map[string]any{"service.name": "shop-ui", "telemetry.sdk.language": "webjs"}, layer.Client},
		"a phone":                               {map[string]any{"service.name": "shop-app", "device.model.identifier": "iPhone3,4"}, layer.Client},
		"an app on Android":                     {map[string]any{"service.name": "shop-app", "android.os.api_level": "34"}, layer.Client},
		"a proxy by its SDK":                    {map[string]any{"service.name": "checkout.shop", "telemetry.sdk.name": "envoy"}, layer.Edge},
		"a proxy that nobody named":             {map[string]any{"service.name": "unknown_service:nginx"}, layer.Edge},
		"a proxy by its default name":           {map[string]any{"service.name": "traefik"}, layer.Edge},
		"a sidecar":                             {map[string]any{"k8s.pod.name": "checkout-1", "k8s.container.name": "istio-proxy"}, layer.Edge},
		"a browser by its former runtime":       {map[string]any{"process.runtime.name": "browser"}, layer.Client},
		"a tablet by its system":                {map[string]any{"service.name": "shop-app", "os.name": "iPadOS"}, layer.Client},
		"an app that was installed":             {map[string]any{"service.name": "shop-app", "app.installation.id": "7"}, layer.Client},
		"an ingress by its deployment":          {map[string]any{"k8s.deployment.name": "ingress-nginx-controller"}, layer.Edge},
		"a mesh's proxy of a node":              {map[string]any{"k8s.daemonset.name": "ztunnel", "k8s.node.name": "n"}, layer.Edge},
		"a load balancer of a cloud":            {map[string]any{"cloud.resource_id": "arn:aws:elasticloadbalancing:eu-west-1:1:loadbalancer/a"}, layer.Edge},
		"a queue of a cloud":                    {map[string]any{"cloud.resource_id": "arn:aws-cn:sqs:eu-west-1:1:orders"}, layer.Messaging},
		"a database of a cloud":                 {map[string]any{"cloud.resource_id": "arn:aws:rds:eu-west-1:1:db:orders"}, layer.Data},
		"a function of a cloud":                 {map[string]any{"cloud.resource_id": "arn:aws:lambda:eu-west-1:1:function:a"}, layer.Application},
		"a function by its platform":            {map[string]any{"cloud.platform": "gcp_cloud_functions"}, layer.Application},
		"a machine of a cloud":                  {map[string]any{"cloud.platform": "aws_ec2", "cloud.resource_id": "arn:aws:ec2"}, layer.Platform},
		"a resource of another cloud":           {map[string]any{"cloud.resource_id": "//run.googleapis.com/a"}, layer.Platform},
		"a server's system and runtime":         {map[string]any{"os.name": "Debian", "process.runtime.name": "go"}, layer.Platform},
		"a meshed service":                      {map[string]any{"service.name": "checkout", "k8s.deployment.name": "checkout"}, layer.Application},
		"a pipeline":                            {map[string]any{"cicd.pipeline.name": "build"}, layer.Unknown},
		"a database":                            {map[string]any{"db.system.name": "postgresql", "host.name": "db-1"}, layer.Data},
		"a database under its former attribute": {map[string]any{"db.system": "mysql", "service.name": "orders-db"}, layer.Data},
		"a scraped database":                    {map[string]any{"postgresql.database.name": "orders"}, layer.Data},
		"a broker":                              {map[string]any{"messaging.system": "kafka", "service.name": "events"}, layer.Messaging},
		"a scraped broker":                      {map[string]any{"rabbitmq.queue.name": "orders", "host.name": "mq-1"}, layer.Messaging},
		"a pod":                                 {map[string]any{"k8s.pod.name": "checkout-1"}, layer.Platform},
		"a host":                                {map[string]any{"host.name": "node-1", "os.type": "linux"}, layer.Platform},
		"a container":                           {map[string]any{"container.id": "4f2a"}, layer.Platform},
		"a process":                             {map[string]any{"process.pid": 1}, layer.Platform},
		"a service with an empty name":          {map[string]any{"service.name": "", "host.name": "node-1"}, layer.Platform},
		"a service whose name is no text":       {map[string]any{"service.name": 7}, layer.Unknown},
		"a resource that says nothing":          {map[string]any{}, layer.Unknown},
		"a resource with attributes of no use":  {map[string]any{"team": "blue", "devices": "none", "": "x", ".": "y"}, layer.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, given.want, layer.OfResource(attributes(t, given.attributes)))
		})
	}
}

func TestASpanIsAboutWhatItTouches(t *testing.T) {
	for name, given := range map[string]struct {
		attributes map[string]any
		resource   layer.Layer
		want       layer.Layer
	}{
		"a query":                                {map[string]any{"db.system.name": "postgresql", "server.address": "db"}, layer.Application, layer.Data},
		"a query under former conventions":       {map[string]any{"net.peer.name": "db", "db.system": "mysql", "db.statement": "SELECT 1"}, layer.Application, layer.Data},
		"a published message":                    {map[string]any{"messaging.system": "kafka"}, layer.Application, layer.Messaging},
		"a message in a database, either order":  {map[string]any{"db.system": "redis", "messaging.system": "redis"}, layer.Application, layer.Messaging},
		"an HTTP call stays with its caller":     {map[string]any{"http.request.method": "GET", "peer.service": "bank"}, layer.Application, layer.Application},
		"an RPC call stays with its caller":      {map[string]any{"rpc.system": "grpc", "net.peer.name": "bank"}, layer.Application, layer.Application},
		"a request at a proxy":                   {map[string]any{"http.method": "GET"}, layer.Edge, layer.Edge},
		"a request in a browser":                 {map[string]any{"http.method": "GET"}, layer.Client, layer.Client},
		"a request to a service without name":    {map[string]any{"http.method": "GET"}, layer.Unknown, layer.Application},
		"a request to a pod without service":     {map[string]any{"rpc.method": "Pay"}, layer.Platform, layer.Application},
		"a call of a function without service":   {map[string]any{"faas.trigger": "http"}, layer.Unknown, layer.Application},
		"a query of GraphQL without service":     {map[string]any{"graphql.operation.type": "query"}, layer.Unknown, layer.Application},
		"a call of a public name":                {map[string]any{"http.request.method": "GET", "server.address": "api.shop.com"}, layer.Application, layer.Application},
		"a call of a model":                      {map[string]any{"gen_ai.provider.name": "openai", "gen_ai.request.model": "m"}, layer.Application, layer.Application},
		"a span without attributes":              {map[string]any{}, layer.Application, layer.Application},
		"a span with attributes that only sound": {map[string]any{"dbname": "x", "messaging": "y", "": "z", "httpd": 1}, layer.Unknown, layer.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, given.want, layer.OfSpan(ptrace.SpanKindClient, attributes(t, given.attributes), given.resource))
		})
	}
}

func TestLayersAreFoundWithoutAllocating(t *testing.T) {
	resource, span := benchmarkResource(t), benchmarkSpan(t)
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		layer.OfSpan(ptrace.SpanKindServer, span, layer.OfResource(resource))
	}))
}

func BenchmarkOfResource(b *testing.B) {
	resource := benchmarkResource(b)
	b.ReportAllocs()
	for b.Loop() {
		layer.OfResource(resource)
	}
}

func BenchmarkOfSpan(b *testing.B) {
	span := benchmarkSpan(b)
	b.ReportAllocs()
	for b.Loop() {
		layer.OfSpan(ptrace.SpanKindServer, span, layer.Application)
	}
}

func benchmarkResource(tb testing.TB) pcommon.Map {
	return attributes(tb, map[string]any{
		"service.name": "checkout", "service.namespace": "shop", "service.version": "1.2.3", "service.instance.id": "checkout-1",
		"telemetry.sdk.name": "opentelemetry", "telemetry.sdk.language": "go", "host.name": "node-1", "process.pid": 7,
		"k8s.pod.name": "checkout-1", "k8s.namespace.name": "shop",
	})
}

func benchmarkSpan(tb testing.TB) pcommon.Map {
	return attributes(tb, map[string]any{
		"http.request.method": "POST", "http.route": "/orders/{id}", "url.scheme": "http", "url.path": "/orders/7",
		"http.response.status_code": 200, "server.address": "checkout", "server.port": 8080, "network.protocol.version": "1.1",
		"user_agent.original": "Go-http-client/1.1",
	})
}

func attributes(tb testing.TB, raw map[string]any) pcommon.Map {
	m := pcommon.NewMap()
	require.NoError(tb, m.FromRaw(raw))
	return m
}
