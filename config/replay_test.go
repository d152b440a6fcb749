package config

import (
	"bufio"
	"fmt"
	"io"
	"iter"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/throughline-otel/throughline/internal/binary"
)

// replayTimeout is many times what a recording takes.
const replayTimeout = 5 * time.Minute

// recording finds a recorded file, or skips the test where there is none.
func recording(t *testing.T, name string) string {
	t.Helper()
	folder := os.Getenv("THROUGHLINE_DATA")
	if folder == "" {
		t.Skip("THROUGHLINE_DATA, the folder with recorded telemetry, is not set")
	}
	path := filepath.Join(folder, name)
	if _, err := os.Stat(path); err != nil {
		t.Skip(err)
	}
	return path
}

// linesOf reads the lines of a file, decompressed if its name says so.
func linesOf(t *testing.T, path string) iter.Seq[[]byte] {
	t.Helper()
	return func(yield func([]byte) bool) {
		file, err := os.Open(path)
		require.NoError(t, err)
		defer file.Close()
		var in io.Reader = file
		if strings.HasSuffix(path, ".zst") {
			decoder, err := zstd.NewReader(file)
			require.NoError(t, err)
			defer decoder.Close()
			in = decoder
		}
		lines := bufio.NewReaderSize(in, 1<<20)
		for {
			line, err := lines.ReadBytes('\n')
			if len(line) > 0 && !yield(line) {
				return
			}
			if err == io.EOF {
				return
			}
			require.NoError(t, err)
		}
	}
}

// requests reads the traces of a file of OTLP/JSON lines, line by line. A line of other signals is skipped.
func requests(t *testing.T, path string) iter.Seq[ptrace.Traces] {
	t.Helper()
	return func(yield func(ptrace.Traces) bool) {
		for line := range linesOf(t, path) {
			traces, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(line)
			require.NoError(t, err)
			if traces.SpanCount() > 0 && !yield(traces) {
				return
			}
		}
	}
}

// spans are all spans of a request with the name of their service.
func spans(traces ptrace.Traces) iter.Seq2[string, ptrace.Span] {
	return func(yield func(string, ptrace.Span) bool) {
		for _, rs := range traces.ResourceSpans().All() {
			service := text(rs.Resource().Attributes(), "service.name")
			for _, ss := range rs.ScopeSpans().All() {
				for _, span := range ss.Spans().All() {
					if !yield(service, span) {
						return
					}
				}
			}
		}
	}
}

type edge struct{ caller, callee string }

func (e edge) String() string { return e.caller + " → " + e.callee }

// sum is how many calls there were, and how long their callees took in all.
type sum struct {
	calls, failed int64
	took          time.Duration
}

// recount finds the calls from one service to another slowly and plainly: a span whose parent is in another service is one.
// It has all the time and memory that a collector has not.
func recount(t *testing.T, path string) map[edge]sum {
	t.Helper()
	type id struct {
		trace pcommon.TraceID
		span  pcommon.SpanID
	}
	type child struct {
		parent  id
		service string
		failed  bool
		took    time.Duration
	}
	services := map[id]string{}
	failed := map[id]bool{}
	names := map[string]string{} // so that the strings of the decoded lines can go
	var children []child
	for traces := range requests(t, path) {
		for service, span := range spans(traces) {
			if _, ok := names[service]; !ok {
				names[service] = strings.Clone(service)
			}
			service = names[service]
			own := id{span.TraceID(), span.SpanID()}
			services[own] = service
			// A span that stands for the call alone says how it ended; one that does more besides does not.
			if span.Kind() == ptrace.SpanKindClient || span.Kind() == ptrace.SpanKindProducer {
				failed[own] = span.Status().Code() == ptrace.StatusCodeError
			}
			if !span.ParentSpanID().IsEmpty() {
				children = append(children, child{
					id{span.TraceID(), span.ParentSpanID()},
					service, span.Status().Code() == ptrace.StatusCodeError,
					span.EndTimestamp().AsTime().Sub(span.StartTimestamp().AsTime()),
				})
			}
		}
	}
	calls := map[edge]sum{}
	for _, c := range children {
		if caller, ok := services[c.parent]; ok && caller != c.service {
			s := calls[edge{caller, c.service}]
			s.calls++
			s.took += c.took
			if c.failed || failed[c.parent] {
				s.failed++
			}
			calls[edge{caller, c.service}] = s
		}
	}
	return calls
}

// lastCalls reads dependency.calls, and the callees' side of dependency.duration, from the last flush in a file.
func lastCalls(t *testing.T, path string) map[edge]sum {
	t.Helper()
	var last []byte
	for line := range linesOf(t, path) {
		last = line
	}
	metrics, err := (&pmetric.JSONUnmarshaler{}).UnmarshalMetrics(last)
	require.NoError(t, err)
	calls := map[edge]sum{}
	add := func(attributes pcommon.Map, n int64, took float64) {
		e := edge{text(attributes, "caller.service.name"), text(attributes, "callee.service.name")}
		s := calls[e]
		s.calls += n
		if text(attributes, "outcome") == "failure" {
			s.failed += n
		}
		s.took += time.Duration(math.Round(took * float64(time.Second)))
		calls[e] = s
	}
	for _, rm := range metrics.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				switch m.Name() {
				case "dependency.calls":
					assert.Equal(t, pmetric.AggregationTemporalityCumulative, m.Sum().AggregationTemporality())
					for _, p := range m.Sum().DataPoints().All() {
						add(p.Attributes(), p.IntValue(), 0)
					}
				case "dependency.duration":
					for _, p := range m.ExponentialHistogram().DataPoints().All() {
						if text(p.Attributes(), "side") == "callee" {
							add(p.Attributes(), 0, p.Sum())
						}
					}
				}
			}
		}
	}
	return calls
}

// replay posts a recording as fast as it is taken.
func replay(t *testing.T, address, path string) {
	t.Helper()
	code, out := binary.Command{
		Name: "replay", Args: []string{"-quiet", "-speed", "max", "-endpoint", "http://" + address, path},
	}.Run(t, replayTimeout)
	require.Zero(t, code, out)
	t.Log(strings.TrimSpace(out))
}

// TestReplayDependencies replays a day of Online Boutique and finds out who calls whom, and how often.
func TestReplayDependencies(t *testing.T) {
	path := recording(t, "day-ob-20220822.jsonl.zst")
	out, address := t.TempDir(), binary.FreeAddresses(t, 1)[0]
	collector := binary.Command{
		Name: "throughline", Args: []string{"--config", "config/replay.yaml"},
		Env: []string{
			"THROUGHLINE_REPLAY=" + address, "THROUGHLINE_OUT=" + out,
			// Each call counts only if its trace is seen whole, and the faults of that day made some last for 36 s.
			"THROUGHLINE_TRACE_WINDOW=60s",
		},
	}.Start(t)
	collector.AwaitListening(address, startTimeout)
	replay(t, address, path)
	collector.Stop()
	found := lastCalls(t, filepath.Join(out, "health.jsonl"))

	// What Online Boutique publishes, but for checkout → currency, which is not in that recording.
	t.Run("as published", func(t *testing.T) {
		var edges []edge
		for caller, callees := range map[string][]string{
			"frontend": {
				"adservice", "cartservice", "checkoutservice", "currencyservice", "productcatalogservice", "recommendationservice",
				"shippingservice",
			},
			"checkoutservice":       {"cartservice", "emailservice", "paymentservice", "productcatalogservice", "shippingservice"},
			"recommendationservice": {"productcatalogservice"},
		} {
			for _, callee := range callees {
				edges = append(edges, edge{caller, callee})
			}
		}
		assert.ElementsMatch(t, edges, slices.Collect(maps.Keys(found)))
	})
	t.Run("as recounted", func(t *testing.T) {
		counted := recount(t, path)
		require.NotEmpty(t, counted)
		for e, wanted := range counted {
			assert.Equal(t, wanted.calls, found[e].calls, e.String())
			assert.Equal(t, wanted.failed, found[e].failed, e.String())
			assert.InEpsilon(t, wanted.took, found[e].took, 1e-9, e.String())
		}
	})
}

// passThrough runs the spans of one receiver through two pipelines: with and without the processor.
func passThrough(address, with, without string) node {
	pipeline := func(exporter string, processors ...any) node {
		return node{"receivers": []any{"otlp"}, "processors": processors, "exporters": []any{exporter}}
	}
	return node{
		"receivers":  node{"otlp": node{"protocols": node{"http": node{"endpoint": address}}}},
		"processors": node{"correlation": nil},
		"exporters": node{
			"file/with": node{"path": with}, "file/without": node{"path": without}, "nop": nil,
		},
		"service": node{
			"telemetry": node{"metrics": node{"level": "none"}},
			"pipelines": node{
				"traces/with": pipeline("file/with", "correlation"), "traces/without": pipeline("file/without"),
				"metrics": pipeline("nop", "correlation"), "logs": pipeline("nop", "correlation"),
			},
		},
	}
}

// TestReplayOnlyAdds takes away what the processor added. What is left is what was sent: every request, and every span in its
// place in it.
func TestReplayOnlyAdds(t *testing.T) {
	path := recording(t, "ob-20220822-01.jsonl.zst")
	dir, address := t.TempDir(), binary.FreeAddresses(t, 1)[0]
	with, without := filepath.Join(dir, "with.jsonl"), filepath.Join(dir, "without.jsonl")
	collector := binary.Command{
		Name: "throughline", Args: []string{"--config", overlay(t, passThrough(address, with, without))},
	}.Start(t)
	collector.AwaitListening(address, startTimeout)
	replay(t, address, path)
	collector.Stop()

	next, stop := iter.Pull(requests(t, without))
	defer stop()
	recorded, end := iter.Pull(requests(t, path))
	defer end()
	var marshaler ptrace.ProtoMarshaler
	count, added := 0, 0
	for traces := range requests(t, with) {
		plain, ok := next()
		require.True(t, ok, "more requests than without the processor")
		added += withdraw(traces)
		for _, pair := range pairs(traces, plain) {
			if !assert.Equal(t, pair[1], pair[0], "span %d of the request is another one", count) {
				t.FailNow()
			}
			count++
		}
		require.Equal(t, must(marshaler.MarshalTraces(plain)), must(marshaler.MarshalTraces(traces)))
		original, ok := recorded()
		require.True(t, ok, "more requests than recorded")
		require.Equal(t, original.SpanCount(), traces.SpanCount())
	}
	_, more := next()
	assert.False(t, more, "a request did not come through the processor")
	_, more = recorded()
	assert.False(t, more, "a request did not come through the collector")
	assert.Positive(t, added, "the processor added nothing")
	t.Logf("%d spans, %d attributes were added", count, added)
}

// pairs are the spans of both requests by their places, each as the bytes that it has alone.
func pairs(a, b ptrace.Traces) [][2]string {
	left, right := alone(a), alone(b)
	all := make([][2]string, max(len(left), len(right)))
	for i := range all {
		if i < len(left) {
			all[i][0] = left[i]
		}
		if i < len(right) {
			all[i][1] = right[i]
		}
	}
	return all
}

func alone(traces ptrace.Traces) []string {
	var marshaler ptrace.JSONMarshaler
	var all []string
	for service, span := range spans(traces) {
		single := ptrace.NewTraces()
		span.CopyTo(single.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty())
		all = append(all, fmt.Sprintf("%s: %s", service, must(marshaler.MarshalTraces(single))))
	}
	return all
}

// withdraw takes away all attributes of the processor, and returns how many there were.
func withdraw(traces ptrace.Traces) int {
	n := 0
	from := func(attributes pcommon.Map) {
		attributes.RemoveIf(func(key string, _ pcommon.Value) bool {
			is := strings.HasPrefix(key, "throughline.")
			if is {
				n++
			}
			return is
		})
	}
	for _, rs := range traces.ResourceSpans().All() {
		from(rs.Resource().Attributes())
		for _, ss := range rs.ScopeSpans().All() {
			from(ss.Scope().Attributes())
			for _, span := range ss.Spans().All() {
				from(span.Attributes())
				for _, event := range span.Events().All() {
					from(event.Attributes())
				}
				for _, link := range span.Links().All() {
					from(link.Attributes())
				}
			}
		}
	}
	return n
}
