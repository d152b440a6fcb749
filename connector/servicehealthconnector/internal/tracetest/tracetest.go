// Package tracetest writes traces as text for tests: one span a line.
//
//	id parent service kind start-end [failed] [timeout] [broker] [peer=name] [layer=name] [op=name]
//
// Times are milliseconds. The parent of a root is "-".
package tracetest

import (
	"fmt"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/trace"
	"github.com/throughline-otel/throughline/internal/layer"
	"github.com/throughline-otel/throughline/internal/service"
)

// Epoch is the time in nanoseconds from which the milliseconds of a text count.
const Epoch = int64(1_700_000_000e9)

var kinds = map[string]ptrace.SpanKind{
	"server": ptrace.SpanKindServer, "client": ptrace.SpanKindClient, "producer": ptrace.SpanKindProducer,
	"consumer": ptrace.SpanKindConsumer, "internal": ptrace.SpanKindInternal, "unspecified": ptrace.SpanKindUnspecified,
}

// Records reads a text into records, with names numbered by table. It panics on a text that it does not understand.
func Records(table *names.Table, text string) []trace.Record {
	var records []trace.Record
	ids := map[string]uint64{"-": 0}
	number := func(id string) uint64 {
		if _, ok := ids[id]; !ok {
			ids[id] = uint64(len(ids))
		}
		return ids[id]
	}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		var start, end int64
		if _, err := fmt.Sscanf(fields[4], "%d-%d", &start, &end); err != nil {
			panic(fmt.Sprintf("%q: %v", line, err))
		}
		kind, ok := kinds[fields[3]]
		if !ok {
			panic(fmt.Sprintf("%q: no such kind", line))
		}
		r := trace.Record{
			ID: number(fields[0]), Parent: number(fields[1]), Start: Epoch + start*1e6, End: Epoch + end*1e6, Count: 1,
			Service: Service(table, fields[2]), Kind: uint8(kind), Layer: layer.Application,
		}
		if kind == ptrace.SpanKindClient {
			r.Flags |= trace.Call
		}
		operation := names.Operation{Service: r.Service, Kind: r.Kind, Name: fields[0][:1]}
		for _, field := range fields[5:] {
			key, value, _ := strings.Cut(field, "=")
			switch key {
			case "failed":
				r.Flags |= trace.Failed
			case "timeout":
				r.Flags |= trace.Failed | trace.TimedOut
			case "broker":
				r.Flags = r.Flags&^trace.Call | trace.Broker
			case "layer":
				r.Layer, _ = layer.Parse(value)
			case "peer":
				r.Peer = Peer(table, value)
				operation.Peer = r.Peer
			case "op":
				operation.Name = value
			default:
				panic(fmt.Sprintf("%q: what is %q?", line, field))
			}
		}
		r.Operation = table.Operation(operation)
		records = append(records, r)
	}
	return records
}

// Build reads a text into a trace.
func Build(table *names.Table, text string) *trace.Trace {
	var t trace.Trace
	t.Build(pcommon.TraceID{1}, Records(table, text))
	return &t
}

// Service is the number of a service.
func Service(table *names.Table, name string) uint32 {
	return table.Entity(names.Entity{Identity: service.Identity{Name: name}, Layer: layer.Application})
}

// Peer is the number of a peer.
func Peer(table *names.Table, name string) uint32 {
	return table.Entity(names.Entity{Identity: service.Identity{Name: name}, Layer: layer.External, Peer: true})
}
