package place

import (
	"fmt"
	"testing"
)

var (
	podResource = said{
		"service.name": "cart", "service.namespace": "shop", "service.instance.id": "c0ffee", "k8s.namespace.name": "shop",
		"k8s.pod.name": "cart-7d9f-abcde", "k8s.pod.uid": "0b6a4f2e-6d1f-4d55-8a43-0b2cf9f4a111", "k8s.container.name": "cart",
		"k8s.node.name": "node-1", "host.name": "cart-7d9f-abcde", "process.pid": 1, "telemetry.sdk.language": "go",
	}
	databaseSpan = said{
		"db.system.name": "postgresql", "db.namespace": "orders", "server.address": "postgres", "server.port": 5432,
		"db.query.text": "SELECT * FROM orders WHERE id = ?", "db.operation.name": "SELECT",
	}
)

func BenchmarkResource(b *testing.B) {
	x := NewIndex(1<<24, retention)
	attributes := podResource.attributes(b)
	var p Places
	b.ReportAllocs()
	for b.Loop() {
		x.Resource(&p, attributes)
	}
}

func BenchmarkDatabase(b *testing.B) {
	x := NewIndex(1<<24, retention)
	attributes := databaseSpan.attributes(b)
	var own, p Places
	x.Resource(&own, podResource.attributes(b))
	b.ReportAllocs()
	for b.Loop() {
		x.Database(&p, attributes, &own)
	}
}

func BenchmarkLearnCall(b *testing.B) {
	x := NewIndex(1<<24, retention)
	attributes := databaseSpan.attributes(b)
	var own, p Places
	x.Resource(&own, podResource.attributes(b))
	b.ReportAllocs()
	for b.Loop() {
		x.LearnCall(start, "shop/cart", attributes, &own, &p)
	}
}

func BenchmarkDescribed(b *testing.B) {
	x := NewIndex(1<<24, retention)
	resource := said{"server.address": "postgres.shop", "server.port": 5432, "postgresql.database.name": "orders"}.attributes(b)
	point := said{"db.namespace": "orders", "source": "heap_hit"}.attributes(b)
	var own, p Places
	x.Resource(&own, resource)
	subject := SubjectOf("postgresql.blocks_read")
	b.ReportAllocs()
	for b.Loop() {
		x.Described(&p, subject, resource, &own, point)
	}
}

func BenchmarkLearn(b *testing.B) {
	x := NewIndex(1<<24, retention)
	var p Places
	x.Resource(&p, podResource.attributes(b))
	b.Run("known", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			x.Learn(start, "shop/cart", &p)
		}
	})
	b.Run("once_a_tick", func(b *testing.B) {
		b.ReportAllocs()
		now := start
		for b.Loop() {
			now += tick
			x.Learn(now, "shop/cart", &p)
		}
	})
}

func BenchmarkServices(b *testing.B) {
	x := NewIndex(1<<24, retention)
	for i := range 12 {
		runs(b, x, start, fmt.Sprint("service ", i), said{"host.name": "h", "host.id": "i-1"})
	}
	var p Places
	x.Resource(&p, said{"host.name": "h", "host.id": "i-1"}.attributes(b))
	b.ReportAllocs()
	for b.Loop() {
		x.Services(start, &p)
	}
}

func BenchmarkRecord(b *testing.B) {
	x := NewIndex(1<<24, retention)
	var p Places
	x.Resource(&p, said{"k8s.pod.uid": "u", "k8s.pod.name": "p", "k8s.namespace.name": "n"}.attributes(b))
	now := start
	b.ReportAllocs()
	for b.Loop() {
		now++
		x.Record(now, &p, 1, now, 1)
	}
}

func BenchmarkLast(b *testing.B) {
	x := NewIndex(1<<24, retention)
	measures(b, x, start, "k8s.node.memory.usage", said{"k8s.node.name": "node-1"}, start, 1)
	var p Places
	x.Resource(&p, podResource.attributes(b))
	b.ReportAllocs()
	for b.Loop() {
		x.Last(start, &p, 3)
	}
}
