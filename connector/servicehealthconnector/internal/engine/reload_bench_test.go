package engine

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/ledger"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/openslo"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/sli"
)

// BenchmarkAdopt is for how long telemetry waits while one of a thousand objectives with ten groups each gets another target.
func BenchmarkAdopt(b *testing.B) {
	const groups = 10
	objectives := make([]openslo.Objective, 1000)
	for i := range objectives {
		objectives[i] = objective("o"+strconv.Itoa(i), `name == "good"`, 0.9)
	}
	compile := func(numbered []openslo.Objective) *sli.Binder {
		binder, err := sli.Compile(numbered, componenttest.NewNopTelemetrySettings())
		require.NoError(b, err)
		return binder
	}
	e := New(Settings{
		TraceWindow: 10 * time.Second, MaxSpans: 1000, MaxEdges: 10, MaxEdgesPerCaller: 10, Silence: time.Hour,
		FlushInterval: 15 * time.Second, Late: 5 * time.Minute, Objectives: objectives, Binder: compile(objectives),
	}, &latest{})
	now := 1_700_000_000 * second
	e.TickWall(b.Context(), now)
	for at := now - 3600*second; at < now; at += 60 * second {
		for i := range objectives {
			for group := range uint32(groups) {
				e.objectives.ledger.Add(ledger.Key{Objective: uint32(i), Group: group}, at, true, 1)
			}
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		b.StopTimer()
		objectives[0].Target = 0.9 + float64(i%2)/100
		numbered := e.Number(objectives, now)
		binder := compile(numbered)
		b.StartTimer()
		e.Adopt(b.Context(), numbered, binder, now)
	}
}
