package fleet

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/snapshot"
)

// puts returns what of a fleet has changed since the last call.
func puts(f *Fleet) map[Run][]byte {
	values := map[Run][]byte{}
	f.Put(func(run Run, value []byte) { values[run] = value })
	return values
}

func blamedOn(culprit string) func(pmetric.Metric, pmetric.NumberDataPoint) {
	return func(m pmetric.Metric, p pmetric.NumberDataPoint) {
		m.SetName("slo.bad_events.blamed")
		p.Attributes().Remove("outcome")
		p.Attributes().PutStr("culprit.service.name", culprit)
		p.Attributes().PutStr("culprit.layer", "external")
		p.Attributes().PutStr("culprit.relation", "dependency")
		p.Attributes().PutStr("culprit.reason", "error")
	}
}

func TestHowFarEachCountedSurvives(t *testing.T) {
	f, a, b := newFleet(t), gateway{"a", began + 1}, gateway{"b", began - 1000}
	take(f, a.tells(point{at: began + 4, route: "/pay"}, point{at: began + 5, events: 2, route: "/pay"},
		point{at: began + 5, events: 9, change: blamedOn("cards.example.com")}), began+20)
	take(f, b.tells(point{at: began + 5, events: 7}), began+20)
	values := puts(f)
	require.Len(t, values, 2)
	assert.Empty(t, puts(f), "nothing has changed")
	f.Touch(Run{"throughline", "b", "9000000000000"})
	assert.Len(t, puts(f), 1)

	again := newFleet(t)
	again.since = 0
	for run, value := range values {
		require.NoError(t, again.TakeRun(run, snapshot.NewReader(value)))
	}
	again.Begin((began + 30) * second)
	assert.Equal(t, began*second, again.since)
	assert.Empty(t, take(again, a.tells(point{at: began + 5, events: 2, route: "/pay"}), began+40), "it was counted before")
	assert.Equal(t, []grown{{began + 25, 4}}, take(again, a.tells(point{at: began + 25, events: 6, route: "/pay"}), began+40))
	assert.Equal(t, []grown{{began + 25, 1}},
		take(again, a.tells(point{at: began + 25, events: 10, change: blamedOn("cards.example.com")}), began+40))
	assert.Equal(t, []grown{{began + 25, 1}}, take(again, b.tells(point{at: began + 25, events: 8}), began+40))
	assert.Equal(t, []grown{{began + 27, 5}}, take(again, gateway{"c", began + 22}.tells(point{at: began + 27, events: 5}), began+40),
		"who began while nobody listened is heard from its beginning")
}

func TestOtherDocuments(t *testing.T) {
	f, a := newFleet(t), gateway{"a", began + 1}
	take(f, a.tells(point{at: began + 5, events: 7}), began+20)
	f.Adopt(f.objectives, f.binder, nil, (began+30)*second)
	assert.Equal(t, []grown{{began + 35, 1}}, take(f, a.tells(point{at: began + 35, events: 8}), began+40), "it is the same objective")
	f.Adopt(f.objectives, f.binder, []uint32{1}, (began+50)*second)
	assert.Zero(t, f.series)
	assert.Empty(t, take(f, a.tells(point{at: began + 55, events: 9}), began+60), "it is another one, that was not listened for before")
	assert.Equal(t, []grown{{began + 56, 1}}, take(f, a.tells(point{at: began + 56, events: 10}), began+60))
}

func FuzzTakeRun(f *testing.F) {
	of := newFleet(f)
	take(of, gateway{"a", began + 1}.tells(point{at: began + 5, events: 2, route: "/pay"}), began+20)
	for _, value := range puts(of) {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		fleet := newFleet(t)
		if fleet.TakeRun(Run{"throughline", "a", "1"}, snapshot.NewReader(value)) != nil {
			assert.Zero(t, fleet.series)
			assert.Empty(t, fleet.runs)
		}
	})
}
