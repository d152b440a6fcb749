package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recording is one call of shop to bank.
const recording = `{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},"scopeSpans":[{"spans":[
{"traceId":"00000000000000000000000000000001","spanId":"0000000000000001","name":"charge","kind":3,
"startTimeUnixNano":"1700000000000000000","endTimeUnixNano":"1700000001000000000",
"attributes":[{"key":"service.peer.name","value":{"stringValue":"bank"}}]}]}]}]}`

func record(t *testing.T, folder, name, text string) {
	encoder, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(folder, name+suffix), encoder.EncodeAll([]byte(text), nil), 0o600))
	require.NoError(t, encoder.Close())
}

func TestEachRecordingHasItsEvents(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	oneLine := strings.ReplaceAll(recording, "\n", "")
	for _, name := range []string{"a-1", "a-2", "b-1", "c"} {
		record(t, from, name, oneLine)
	}
	require.NoError(t, run("../../config/replay.yaml", "a-*,c", from, to))
	written, err := filepath.Glob(filepath.Join(to, "*"))
	require.NoError(t, err)
	assert.Len(t, written, 3)
	for _, path := range written {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Contains(t, string(text), "shop depends on bank (external).")
		assert.Contains(t, string(text), `"timeUnixNano":"1700000001000000000"`, "in the time of the recording")
	}
}

func TestWhatCannotBeReplayed(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	require.ErrorContains(t, run("../../config/replay.yaml", "*", from, to), "no recording")
	record(t, from, "broken", `{"resourceSpans":5}`)
	require.ErrorContains(t, run("../../config/replay.yaml", "*", from, to), "broken: ")
	require.ErrorContains(t, run("../../config/replay.yaml", "[", from, to), "syntax error in pattern")
	require.ErrorContains(t, run("../../config/missing.yaml", "*", from, to), "no such file")
}
