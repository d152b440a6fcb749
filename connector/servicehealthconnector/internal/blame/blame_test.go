package blame

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.yaml.in/yaml/v3"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/trace"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/tracetest"
	"github.com/throughline-otel/throughline/internal/layer"
)

// Each case is a trace whose first span is a bad event, and who is to blame as "name layer reason".
func TestFailure(t *testing.T) {
	for name, test := range map[string]struct{ trace, want string }{
		"the service itself, when nothing below it failed": {
			`a - front server 0-100 failed
			 b a front client 10-90
			 c b checkout server 20-80`,
			"front application error",
		},
		"the service in which the failure originates, not those that pass it on": {
			`a - front server 0-100 failed
			 b a front client 10-90 failed
			 c b checkout server 20-80 failed
			 d c checkout internal 30-70 failed`,
			"checkout application error",
		},
		"a database whose call failed": {
			`a - front server 0-100 failed
			 b a front client 10-90 failed
			 c b payments server 20-80 failed
			 d c payments client 30-70 failed peer=sqlite:shop layer=data`,
			"sqlite:shop data error",
		},
		"a peer outside": {
			`a - payments server 0-100 failed
			 b a payments client 30-70 failed peer=cards.example.com`,
			"cards.example.com external error",
		},
		"a peer that was waited for": {
			`a - payments server 0-100 failed
			 b a payments client 30-70 timeout peer=cards.example.com`,
			"cards.example.com external timeout",
		},
		"a callee that was waited for and never knew": {
			`a - checkout server 0-100 failed
			 b a checkout client 10-90 timeout
			 c b payments server 20-200`,
			"payments application timeout",
		},
		"the caller, when the callee was content": {
			`a - checkout server 0-100 failed
			 b a checkout client 10-90 failed
			 c b payments server 20-80`,
			"checkout application error",
		},
		"the last of several attempts, since the others were made up for": {
			`a - checkout server 0-100 failed
			 b a checkout client 10-30 failed peer=first.example.com
			 c a checkout client 40-90 failed peer=second.example.com`,
			"second.example.com external error",
		},
		"nobody, when the callee is absent and has no name": {
			`a - checkout server 0-100 failed
			 b a checkout client 10-90 failed`,
			"  missing",
		},
		"not a consumer, for whom nobody waits": {
			`a - checkout server 0-100 failed
			 b a checkout producer 10-20
			 c b mail consumer 30-400 failed
			 d a mail consumer 30-400 failed`,
			"checkout application error",
		},
	} {
		t.Run(name, func(t *testing.T) {
			table := names.New()
			tree := tracetest.Build(table, test.trace)
			judge := NewJudge()
			judge.Begin(tree)
			assert.Equal(t, test.want, text(table, judge.Failure(tree, 0)))
			assert.Equal(t, test.want, text(table, judge.Failure(tree, 0)), "and again, from memory")
		})
	}
}

// TestCases has a folder for each kind of blame: a trace whose first span is bad, and who is to blame for it. Usually each operation takes
// 5 ms itself and calls another once.
func TestCases(t *testing.T) {
	folders, err := filepath.Glob("testdata/*")
	require.NoError(t, err)
	require.NotEmpty(t, folders)
	type expected struct{ Culprit, Layer, Reason string }
	for _, folder := range folders {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			var input struct{ Bad, Spans string }
			read(t, filepath.Join(folder, "input.yaml"), &input)
			table := names.New()
			tree := tracetest.Build(table, input.Spans)
			judge := NewJudge()
			judge.Begin(tree)
			var v Verdict
			switch input.Bad {
			case "failure":
				v = judge.Failure(tree, 0)
			case "slowness":
				v = judge.Slowness(tree, 0, usually{self: 5e6, calls: 1, seen: true})
			default:
				t.Fatalf("what is %q?", input.Bad)
			}
			actual := expected{table.EntityOf(v.Entity).Name, v.Layer.String(), v.Reason.String()}
			file := filepath.Join(folder, "expected.yaml")
			if os.Getenv("UPDATE_EXPECTED") != "" {
				text, err := yaml.Marshal(actual)
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(file, text, 0o600))
			}
			var want expected
			read(t, file, &want)
			assert.Equal(t, want, actual)
		})
	}
}

func read(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(text, into))
}

func TestSlowness(t *testing.T) {
	// Usually each operation takes 5 ms itself, and calls another as often as "calls" says, or once.
	for name, test := range map[string]struct {
		trace, want string
		calls       float64
		seen        bool
	}{
		"the service that worked longer itself": {
			trace: `a - front server 0-300
			        b a front client 5-290
			        c b checkout server 10-285`,
			want: "checkout application latency", calls: 1, seen: true,
		},
		"the network between two services": {
			trace: `a - front server 0-300
			        b a front client 5-290
			        c b checkout server 280-285`,
			want: "checkout platform latency", calls: 1, seen: true,
		},
		"a database": {
			trace: `a - catalog server 0-300
			        b a catalog client 5-290 peer=sqlite:shop layer=data`,
			want: "sqlite:shop data latency", calls: 1, seen: true,
		},
		"the one of parallel calls that was waited for": {
			trace: `a - front server 0-300
			        b a front client 5-290 peer=slow.example.com op=one
			        c a front client 5-100 peer=fast.example.com op=two`,
			want: "slow.example.com external latency", calls: 1, seen: true,
		},
		"a service that calls far more often than usual": {
			trace: `a - catalog server 0-60
			        b a catalog client 0-5 peer=db op=q
			        c a catalog client 5-10 peer=db op=q
			        d a catalog client 10-15 peer=db op=q
			        e a catalog client 15-20 peer=db op=q
			        f a catalog client 20-25 peer=db op=q
			        g a catalog client 25-30 peer=db op=q
			        h a catalog client 30-35 peer=db op=q
			        i a catalog client 35-40 peer=db op=q
			        j a catalog client 40-45 peer=db op=q
			        k a catalog client 45-58 peer=db op=q`,
			want: "catalog application latency", calls: 0.1, seen: true,
		},
		"not work that nobody waits for": {
			trace: `a - front server 0-100
			        b a front producer 5-10
			        c b mail consumer 10-900`,
			want: "front application latency", calls: 1, seen: true,
		},
		"nobody, while it is not known what is usual": {
			trace: `a - front server 0-300`,
			want:  "  latency", calls: 1, seen: false,
		},
		"nobody, when the callee is absent and has no name": {
			trace: `a - front server 0-300
			        b a front client 5-290`,
			want: "  latency", calls: 1, seen: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			table := names.New()
			tree := tracetest.Build(table, test.trace)
			judge := NewJudge()
			judge.Begin(tree)
			got := judge.Slowness(tree, 0, usually{self: 5e6, calls: test.calls, seen: test.seen})
			assert.Equal(t, test.want, text(table, got))
		})
	}
}

// Each span of a chain that fails is an event; blaming all of them must not take the square of its length.
func TestALongChainIsBlamedOnItsEnd(t *testing.T) {
	const n = 100_000
	table := names.New()
	records := make([]trace.Record, n)
	for i := range records {
		records[i] = trace.Record{
			ID: uint64(i + 1), Parent: uint64(i), Start: tracetest.Epoch + int64(i), End: tracetest.Epoch + 2*n - int64(i), Count: 1,
			Service: tracetest.Service(table, "s"), Operation: uint32(2 + i%5), Flags: trace.Failed, Layer: layer.Application,
		}
	}
	var tree trace.Trace
	tree.Build(pcommon.TraceID{1}, records)
	judge := NewJudge()
	judge.Begin(&tree)
	for i := range tree.Spans {
		v := judge.Failure(&tree, int32(i))
		if v.Operation != tree.Spans[n-1].Operation {
			t.Fatalf("span %d is blamed on operation %d", i, v.Operation)
		}
		judge.Slowness(&tree, int32(i), usually{self: 1, calls: 1, seen: true})
	}
}

func BenchmarkSlowness(b *testing.B) {
	table := names.New()
	tree := tracetest.Build(table, `a - front server 0-300
		b a front client 5-290
		c b checkout server 10-285
		d c checkout client 20-100
		e d catalog server 22-98
		f e catalog client 30-90 peer=db layer=data
		g c checkout client 100-280
		h g payments server 105-275`)
	judge := NewJudge()
	b.ReportAllocs()
	for b.Loop() {
		judge.Begin(tree)
		judge.Slowness(tree, 0, usually{self: 5e6, calls: 1, seen: true})
	}
}

type usually struct {
	self  int64
	calls float64
	seen  bool
}

func (u usually) Self(uint32) (int64, bool)    { return u.self, u.seen }
func (u usually) Calls(uint32, uint32) float64 { return u.calls }

func text(table *names.Table, v Verdict) string {
	return fmt.Sprintf("%s %s %s", table.EntityOf(v.Entity).Name, v.Layer, v.Reason)
}
