package engine

import (
	"context"
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/sli"
)

// suspected are the sentences of the events that name suspects.
type suspected struct{ bodies []string }

func (*suspected) Metrics(context.Context, pmetric.Metrics) {}

func (s *suspected) Logs(_ context.Context, ld plog.Logs) {
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, r := range sl.LogRecords().All() {
				if r.EventName() == "service.suspected" {
					s.bodies = append(s.bodies, r.Body().Str())
				}
			}
		}
	}
}

// request is one whose spans are sent together.
type request struct {
	td ptrace.Traces
	id uint64
	at int64
}

// span adds one that takes so many milliseconds from an offset on, and returns its number.
func (r *request) span(of string, parent uint64, kind ptrace.SpanKind, name string, from, takes int64, attributes ...string) uint64 {
	rs := r.td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", of)
	span := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	r.id++
	id := func(n uint64) (id pcommon.SpanID) {
		binary.BigEndian.PutUint64(id[:], n)
		return id
	}
	var traceID pcommon.TraceID
	binary.BigEndian.PutUint64(traceID[8:], uint64(r.at))
	span.SetTraceID(traceID)
	span.SetSpanID(id(r.id))
	span.SetParentSpanID(id(parent))
	span.SetKind(kind)
	span.SetName(name)
	span.SetStartTimestamp(pcommon.Timestamp(r.at + from*1e6))
	span.SetEndTimestamp(pcommon.Timestamp(r.at + (from+takes)*1e6))
	for i := 0; i < len(attributes); i += 2 {
		span.Attributes().PutStr(attributes[i], attributes[i+1])
	}
	return r.id
}

// A peer that begins to send telemetry is called as before: its callers do nothing new.
func TestAPeerThatBecomesAServiceMakesNobodySuspect(t *testing.T) {
	buy := func(r *request, calls int, attributes ...string) uint64 {
		root := r.span("shop", 0, ptrace.SpanKindServer, "POST /buy", 0, 100)
		if calls > 1 {
			r.span("shop", root, ptrace.SpanKindClient, "SELECT", 5, 10, "db.system.name", "postgresql", "db.namespace", "shop")
		}
		return r.span("shop", root, ptrace.SpanKindClient, "POST", 20, 60, attributes...)
	}
	charge := func(r *request, parent uint64) {
		root := r.span("payments", parent, ptrace.SpanKindServer, "POST /charge", 30, 40)
		r.span("payments", root, ptrace.SpanKindInternal, "insert", 35, 20)
	}
	address := []string{"server.address", "pay.example.com"}
	tests := map[string]func(r *request, second int, answers bool){
		"answers a host": func(r *request, _ int, answers bool) {
			if call := buy(r, 2, address...); answers {
				charge(r, call)
			}
		},
		"answers a host, to whom shop calls nobody else": func(r *request, _ int, answers bool) {
			if call := buy(r, 1, address...); answers {
				charge(r, call)
			}
		},
		"answers one call in two": func(r *request, second int, answers bool) {
			if call := buy(r, 2, address...); answers && second%2 == 0 {
				charge(r, call)
			}
		},
		"has the name that it is called by": func(r *request, _ int, answers bool) {
			if call := buy(r, 2, "service.peer.name", "payments"); answers {
				charge(r, call)
			}
		},
		"has the name of its host": func(r *request, _ int, answers bool) {
			if call := buy(r, 2, "server.address", "payments"); answers {
				charge(r, call)
			}
		},
		"does not pass on the trace": func(r *request, _ int, answers bool) {
			if buy(r, 2, "service.peer.name", "payments"); answers {
				charge(r, 0)
			}
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			binder, err := sli.Compile(nil, componenttest.NewNopTelemetrySettings())
			require.NoError(t, err)
			var sink suspected
			e := New(Settings{
				TraceWindow: 10 * time.Second, MaxSpans: 10_000, MaxEdges: 10, MaxEdgesPerCaller: 10, Silence: time.Hour,
				FlushInterval: 15 * time.Second, Late: 5 * time.Minute, Binder: binder,
			}, &sink)
			now := dawn
			for second := range 1200 {
				for range 3 {
					r := request{td: ptrace.NewTraces(), at: now}
					test(&r, second, second >= 600)
					e.Traces(t.Context(), r.td, now+100e6)
					now += 300e6
				}
				now += 100e6
				e.TickWall(t.Context(), now)
			}
			assert.Empty(t, sink.bodies)
		})
	}
}
