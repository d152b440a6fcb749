package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	spanLine   = `{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","startTimeUnixNano":"1661140339000000000","endTimeUnixNano":"1661140340000000000"}]}]}]}`
	metricLine = `{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"g","gauge":{"dataPoints":[{"timeUnixNano":"1661140341000000000","asInt":"1"}]}}]}]}]}`
	logLine    = `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"1661140342000000000"}]}]}]}`
)

// collector answers with success, or with what answer does for a path, and notes the paths.
func collector(t *testing.T, answer map[string]http.HandlerFunc) (endpoint string, paths *[]string) {
	paths = new([]string)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		*paths = append(*paths, r.URL.Path)
		w.Header().Set("Content-Type", "application/x-protobuf")
		if handle := answer[r.URL.Path]; handle != nil {
			handle(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL, paths
}

func recordingFile(t *testing.T, lines ...string) string {
	path := filepath.Join(t.TempDir(), "recording")
	require.NoError(t, os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	return path
}

func replayed(t *testing.T, stdin io.Reader, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(t.Context(), args, stdin, &out, &errs, false)
	return code, out.String(), errs.String()
}

func TestAllIsAccepted(t *testing.T) {
	endpoint, paths := collector(t, nil)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = io.WriteString(z, logLine+"\n"+metricLine)
	require.NoError(t, z.Close())
	code, stdout, stderr := replayed(t, &packed, "-endpoint", endpoint, recordingFile(t, spanLine, metricLine, logLine), "-")
	assert.Equal(t, exitAccepted, code)
	assert.Regexp(t, `^lines=5 spans=1 points=2 records=2 seconds=\d+\.\d\d lines_per_second=\d+ items_per_second=\d+ `+
		`event_from=2022-08-22T03:52:20Z event_to=2022-08-22T03:52:22Z event_seconds=2\.00 retries=0 rejected=0\n$`, stdout)
	assert.Empty(t, stderr)
	assert.Equal(t, []string{"/v1/traces", "/v1/metrics", "/v1/logs", "/v1/logs", "/v1/metrics"}, *paths)
}

func TestPacedReplaySaysHowFarBehindItWas(t *testing.T) {
	endpoint, _ := collector(t, nil)
	code, stdout, _ := replayed(t, nil, "-endpoint", endpoint, "-speed", "1", "-max-gap", "1ms", "-shift", "now", "-quiet", recordingFile(t, spanLine, logLine))
	assert.Equal(t, exitAccepted, code)
	assert.Contains(t, stdout, " behind_seconds=0.")
}

func TestARefusedLineIsNamed(t *testing.T) {
	endpoint, _ := collector(t, map[string]http.HandlerFunc{"/v1/metrics": func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no metrics here", http.StatusNotFound)
	}})
	path := recordingFile(t, spanLine, "", metricLine, logLine)
	code, stdout, stderr := replayed(t, nil, "-endpoint", endpoint, path)
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, stdout, "lines=1 spans=1 points=0 records=0 ")
	assert.Equal(t, "replay: "+path+":3: "+endpoint+"/v1/metrics answered 404 Not Found: no metrics here\n", stderr)
}

func TestPartialRejectionsAreReportedAndFail(t *testing.T) {
	response := ptraceotlp.NewExportResponse()
	response.PartialSuccess().SetRejectedSpans(1)
	response.PartialSuccess().SetErrorMessage("too old")
	body, err := response.MarshalProto()
	require.NoError(t, err)
	endpoint, paths := collector(t, map[string]http.HandlerFunc{"/v1/traces": func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(body)
	}})
	var lines []string
	for range maxPartials + 5 {
		lines = append(lines, spanLine)
	}
	path := recordingFile(t, append(lines, logLine)...)
	code, stdout, stderr := replayed(t, nil, "-endpoint", endpoint, path)
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, stdout, " rejected=15\n")
	assert.Len(t, *paths, 16, "the replay goes on")
	assert.True(t, strings.HasPrefix(stderr, "replay: "+path+":1: the collector rejected 1 items of traces: too old\n"), stderr)
	assert.Equal(t, maxPartials+1, strings.Count(stderr, "\n"))
	assert.True(t, strings.HasSuffix(stderr, "replay: the collector rejected 15 of 16 items\n"), stderr)
}

func TestRetriesAreAnnouncedOnce(t *testing.T) {
	calls := 0
	endpoint, _ := collector(t, map[string]http.HandlerFunc{"/v1/traces": func(w http.ResponseWriter, _ *http.Request) {
		if calls++; calls <= 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}})
	code, stdout, stderr := replayed(t, nil, "-endpoint", endpoint, "-quiet", recordingFile(t, spanLine))
	assert.Equal(t, exitAccepted, code)
	assert.Contains(t, stdout, " retries=3 ")
	assert.Equal(t, "replay: the collector does not take it now, trying again: "+endpoint+"/v1/traces answered 503 Service Unavailable\n", stderr)
}

func TestBadInputIsNamed(t *testing.T) {
	endpoint, _ := collector(t, nil)
	path := recordingFile(t, spanLine, `{"spans":[]}`)
	code, stdout, stderr := replayed(t, nil, "-endpoint", endpoint, path)
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, stdout, "lines=1 ")
	assert.Equal(t, "replay: "+path+":2: the JSON object has none of the keys resourceSpans, resourceMetrics and resourceLogs\n", stderr)

	code, stdout, stderr = replayed(t, nil, "-endpoint", endpoint, "no-such-file")
	assert.Equal(t, exitFailed, code)
	assert.Empty(t, stdout)
	assert.Equal(t, "replay: no-such-file: no such file or directory\n", stderr)
}

func TestStopIsNotSuccess(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	endpoint, _ := collector(t, map[string]http.HandlerFunc{"/v1/logs": func(http.ResponseWriter, *http.Request) { cancel() }})
	var out, errs bytes.Buffer
	code := run(ctx, []string{"-endpoint", endpoint, recordingFile(t, spanLine, logLine, metricLine)}, nil, &out, &errs, true)
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, out.String(), "spans=1 points=0 ")
	assert.Contains(t, errs.String(), "replay: stopped before the end of the recording\n")
}

func TestWrongCommandLines(t *testing.T) {
	for want, args := range map[string][]string{
		"no file given": {},
		`-speed "fast" is neither max nor a number above 0`:                            {"-speed", "fast", "f"},
		`-speed "0" is neither max nor a number above 0`:                               {"-speed", "0", "f"},
		`-speed "NaN" is neither max nor a number above 0`:                             {"-speed", "NaN", "f"},
		`-speed "Inf" is neither max nor a number above 0`:                             {"-speed", "Inf", "f"},
		"-max-gap must not be negative":                                                {"-max-gap", "-1s", "f"},
		"-timeout must be above 0":                                                     {"-timeout", "0s", "f"},
		"-retry-for must not be negative":                                              {"-retry-for", "-1s", "f"},
		`-shift "then": the only value is now`:                                         {"-shift", "then", "f"},
		"-shift now needs -speed 1: at another speed the times would not fit":          {"-shift", "now", "f"},
		`invalid value "x" for flag -header: is not name=value`:                        {"-header", "x", "f"},
		"flag provided but not defined: -nope":                                         {"-nope"},
		`-endpoint: "collector:4318" is not an http or https URL such as http://127.0`: {"-endpoint", "collector:4318", recordingFile(t, logLine)},
	} {
		code, stdout, stderr := replayed(t, nil, args...)
		assert.Equal(t, exitUsage, code, want)
		assert.Empty(t, stdout)
		assert.Contains(t, stderr, want)
		assert.Equal(t, 1, strings.Count(stderr, "\n"), stderr)
	}
}

func TestHelp(t *testing.T) {
	code, _, stderr := replayed(t, nil, "-help")
	assert.Equal(t, exitAccepted, code)
	for _, name := range []string{"endpoint", "header", "speed", "max-gap", "shift", "timeout", "retry-for", "quiet"} {
		assert.Contains(t, stderr, "\n  -"+name)
	}
}
