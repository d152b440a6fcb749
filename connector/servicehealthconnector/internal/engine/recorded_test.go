package engine

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/sli"
)

// TestRecordedTelemetry replays each recording of a folder in its own time, and writes the events that it leads to into another one, for
// a score to be given to them.
func TestRecordedTelemetry(t *testing.T) {
	from, to := os.Getenv("THROUGHLINE_DATA"), os.Getenv("THROUGHLINE_EVENTS")
	if from == "" || to == "" {
		t.Skip("THROUGHLINE_DATA names no folder with recordings, or THROUGHLINE_EVENTS none for what is said of them")
	}
	pattern := os.Getenv("THROUGHLINE_RECORDINGS")
	if pattern == "" {
		pattern = "*"
	}
	files, err := filepath.Glob(filepath.Join(from, "*.jsonl.zst"))
	require.NoError(t, err)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".jsonl.zst")
		found := false
		for _, p := range strings.Split(pattern, ",") {
			ok, err := filepath.Match(p, name)
			require.NoError(t, err)
			found = found || ok
		}
		if !found {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			replay(t, file, filepath.Join(to, name+".jsonl"))
		})
	}
}

func replay(t *testing.T, file, events string) {
	in, err := os.Open(file)
	require.NoError(t, err)
	defer in.Close()
	plain, err := zstd.NewReader(in)
	require.NoError(t, err)
	defer plain.Close()
	out, err := os.Create(events)
	require.NoError(t, err)
	defer out.Close()
	binder, err := sli.Compile(nil, componenttest.NewNopTelemetrySettings())
	require.NoError(t, err)
	e := New(Settings{
		TraceWindow: 10 * time.Second, MaxSpans: 1_000_000, MaxEdges: 10_000, MaxEdgesPerCaller: 1000, Silence: time.Hour,
		FlushInterval: 15 * time.Second, Late: 5 * time.Minute, EventTime: true, Binder: binder,
	}, &written{t, out})
	lines := bufio.NewScanner(plain)
	lines.Buffer(nil, 1<<30)
	ctx := t.Context()
	for lines.Scan() {
		line := lines.Bytes()
		now := time.Now().UnixNano()
		if bytes.Contains(line, []byte(`"resourceSpans"`)) {
			td, err := new(ptrace.JSONUnmarshaler).UnmarshalTraces(line)
			require.NoError(t, err)
			e.Traces(ctx, td, now)
		}
		if bytes.Contains(line, []byte(`"resourceLogs"`)) {
			ld, err := new(plog.JSONUnmarshaler).UnmarshalLogs(line)
			require.NoError(t, err)
			e.Logs(ctx, ld, now)
		}
	}
	require.NoError(t, lines.Err())
	e.Drain(ctx, 0)
}

// written are the events as JSON lines.
type written struct {
	t   *testing.T
	out *os.File
}

func (w *written) Metrics(context.Context, pmetric.Metrics) {}

func (w *written) Logs(_ context.Context, ld plog.Logs) {
	line, err := new(plog.JSONMarshaler).MarshalLogs(ld)
	require.NoError(w.t, err)
	_, err = w.out.Write(append(line, '\n'))
	require.NoError(w.t, err)
}
