package reader

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/dimension"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/trace"
	"github.com/throughline-otel/throughline/internal/service"
)

const now = int64(1_700_000_000e9)

func newSpan(attributes map[string]any) ptrace.Span {
	s := ptrace.NewSpan()
	s.SetTraceID(pcommon.TraceID{1})
	s.SetSpanID(pcommon.SpanID{2})
	s.SetKind(ptrace.SpanKindClient)
	s.SetName("call")
	s.SetStartTimestamp(pcommon.Timestamp(now - 1e9))
	s.SetEndTimestamp(pcommon.Timestamp(now))
	if err := s.Attributes().FromRaw(attributes); err != nil {
		panic(err)
	}
	return s
}

func resource(r *Reader) Resource {
	attributes := pcommon.NewMap()
	attributes.PutStr("service.name", "front")
	return r.Resource(service.Of(attributes), attributes)
}

func TestTimeoutsAreToldFromOtherFailures(t *testing.T) {
	for errorType, want := range map[string]bool{
		"timeout": true, "context.deadlineExceededError": true, "java.net.SocketTimeoutException": true, "504": true, "DEADLINE_EXCEEDED": true,
		"": false, "500": false, "connection_refused": false, "NullPointerException": false,
	} {
		table := names.New()
		r := New(table, dimension.New(nil))
		span := newSpan(map[string]any{"error.type": errorType})
		span.Status().SetCode(ptrace.StatusCodeError)
		record, refusal := r.Span(resource(r), span, now)
		assert.Equal(t, Accepted, refusal)
		assert.True(t, record.Has(trace.Failed))
		assert.Equal(t, want, record.Has(trace.TimedOut), errorType)
		assert.Equal(t, errorType, table.TextOf(uint32(record.ErrorType)))
	}
}

func TestASampledSpanCountsAsOftenAsItSays(t *testing.T) {
	for state, want := range map[string]float64{
		"": 1, "ot=th:8": 2, "ot=th:c": 4, "vendor=1,ot=th:c;rv:12345678901234": 4, "ot=th:0": 1, "ot=th:zz": 1, "=": 1,
	} {
		r := New(names.New(), dimension.New(nil))
		span := newSpan(nil)
		span.TraceState().FromRaw(state)
		for range 2 { // The second one is remembered.
			record, _ := r.Span(resource(r), span, now)
			assert.InDelta(t, want, record.Count, 1e-9, state)
		}
	}
}

func TestNamesOfStrangersAreCleanedAndBounded(t *testing.T) {
	table := names.New()
	r := New(table, dimension.New(nil))
	long := make([]byte, 10_000)
	for i := range long {
		long[i] = 'x'
	}
	span := newSpan(map[string]any{"service.peer.name": "evil\x1b[31m\xff\n" + string(long)})
	record, _ := r.Span(resource(r), span, now)
	name := table.EntityOf(record.Peer).Name
	assert.Equal(t, "evil[31m", name[:8])
	assert.LessOrEqual(t, len(name), 256)
}

func TestAFullTableTellsNamesApartNoLonger(t *testing.T) {
	table := names.New()
	for i := range names.MaxTexts {
		table.Text(strconv.Itoa(i))
	}
	r := New(table, dimension.New(nil))
	span := newSpan(map[string]any{"error.type": "one more"})
	span.Status().SetCode(ptrace.StatusCodeError)
	record, _ := r.Span(resource(r), span, now)
	assert.Equal(t, names.Overflow, table.TextOf(uint32(record.ErrorType)))
}

func BenchmarkSpan(b *testing.B) {
	r := New(names.New(), dimension.New(nil))
	from := resource(r)
	span := newSpan(map[string]any{
		"db.system.name": "postgresql", "db.namespace": "orders", "db.operation.name": "SELECT", "db.collection.name": "orders",
		"server.address": "db.internal", "db.query.text": "SELECT * FROM orders WHERE id = $1",
	})
	b.ReportAllocs()
	for b.Loop() {
		r.Span(from, span, now)
	}
}

func TestWhatIsDeployed(t *testing.T) {
	for name, c := range map[string]struct {
		attributes         map[string]any
		template, instance string
	}{
		"a ReplicaSet": {map[string]any{"k8s.replicaset.name": "front-6d4cf56db6", "service.instance.id": "a"}, "front-6d4cf56db6", "a"},
		"a pod of a Deployment": {
			map[string]any{"k8s.deployment.name": "front", "k8s.pod.name": "front-6d4cf56db6-x2x9z"}, "front-6d4cf56db6", "front-6d4cf56db6-x2x9z",
		},
		"a pod of something else": {map[string]any{"k8s.pod.name": "report-29734567-x2x9z"}, "", "report-29734567-x2x9z"},
		"a pod of another one":    {map[string]any{"k8s.deployment.name": "front", "k8s.pod.name": "fronts-6d4cf56db6-x2x9z"}, "", "fronts-6d4cf56db6-x2x9z"},
		"a name without a hash":   {map[string]any{"k8s.deployment.name": "front", "k8s.pod.name": "front-x2x9z"}, "", "front-x2x9z"},
		"the name itself":         {map[string]any{"k8s.deployment.name": "front-end", "k8s.pod.name": "front-end"}, "", "front-end"},
		"no text":                 {map[string]any{"k8s.deployment.name": 1, "k8s.pod.name": true}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			attributes := pcommon.NewMap()
			require.NoError(t, attributes.FromRaw(c.attributes))
			attributes.PutStr("service.name", "front")
			r := New(names.New(), dimension.New(nil)).Resource(service.Of(attributes), attributes)
			assert.Equal(t, c.template, r.Template)
			assert.Equal(t, c.instance, r.Instance)
		})
	}
}
