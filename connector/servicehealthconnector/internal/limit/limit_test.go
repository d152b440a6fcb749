package limit

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/dependency"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/health"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/tracetest"
)

func TestTheFirstLimitWhoseConditionIsMetCounts(t *testing.T) {
	table := names.New()
	core, logs := observer.New(zap.WarnLevel)
	set, err := Compile([]Limit{
		{Condition: `attributes["callee.service.name"] == "payments" and attributes["dependency.type"] == "rpc"`, Limit: health.Limit{Duration: 2}},
		{Condition: `attributes["caller.service.namespace"] == "shop"`, Limit: health.Limit{Duration: 3}},
		{Condition: `attributes["caller.service.namespace"] == nil and not IsMatch(attributes["callee.service.name"], "^free")`, Limit: health.Limit{Duration: 4}},
	}, component.TelemetrySettings{Logger: zap.New(core)})
	require.NoError(t, err)
	front, payments := tracetest.Service(table, "front"), tracetest.Service(table, "payments")
	of := func(e dependency.Edge) int64 { return set.Of(e, table).Duration }
	assert.EqualValues(t, 2, of(dependency.Edge{Caller: front, Callee: payments, Type: dependency.RPC}))
	assert.EqualValues(t, 4, of(dependency.Edge{Caller: front, Callee: payments, Type: dependency.Messaging}))
	assert.Zero(t, of(dependency.Edge{Caller: front, Callee: tracetest.Peer(table, "free.example.com")}))
	assert.Zero(t, of(dependency.Entry(payments)), "a service without a caller is no dependency")
	assert.Zero(t, logs.Len())
}

func TestAConditionThatFailsIsToldOnce(t *testing.T) {
	table := names.New()
	core, logs := observer.New(zap.WarnLevel)
	set, err := Compile([]Limit{
		{Condition: `ParseInt(attributes["callee.service.name"], 10) > 2`, Limit: health.Limit{Duration: 1}},
		{Limit: health.Limit{Duration: 2}},
	}, component.TelemetrySettings{Logger: zap.New(core)})
	require.NoError(t, err)
	for range 2 {
		edge := dependency.Edge{Caller: tracetest.Service(table, "front"), Callee: tracetest.Service(table, "payments")}
		assert.EqualValues(t, 2, set.Of(edge, table).Duration)
	}
	assert.Equal(t, 1, logs.Len())
}
