package sender

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/throughline-otel/throughline/examples/replay/internal/recording"
)

var request = recording.Request{Signal: recording.Traces, Items: 10, Body: []byte("the body")}

// start serves handle and returns a sender for it.
func start(t *testing.T, o Options, handle http.HandlerFunc) *Sender {
	server := httptest.NewServer(handle)
	t.Cleanup(server.Close)
	o.Endpoint = server.URL + o.Endpoint
	return newSender(t, o)
}

func newSender(t *testing.T, o Options) *Sender {
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	s, err := New(o)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

func accept(w http.ResponseWriter) {
	w.Header().Set("Content-Type", protobuf)
	w.WriteHeader(http.StatusOK)
}

func TestSendPostsEachSignalToItsPath(t *testing.T) {
	var got []string
	s := start(t, Options{
		Endpoint: "/otlp/",
		Header:   http.Header{"Authorization": {"Bearer secret"}, "Host": {"tenant.example"}},
	}, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, r.Method+" "+r.URL.Path+" "+r.Header.Get("Content-Type")+" "+string(body))
		assert.Equal(t, "Bearer secret", r.Header.Get("Authorization"))
		assert.Equal(t, "tenant.example", r.Host)
		assert.Empty(t, r.Header.Get("Content-Encoding"))
		accept(w)
	})
	for _, signal := range []recording.Signal{recording.Logs, recording.Traces, recording.Metrics} {
		result, err := s.Send(t.Context(), recording.Request{Signal: signal, Items: 1, Body: []byte(signal.String())})
		require.NoError(t, err)
		assert.Zero(t, result)
	}
	assert.Equal(t, []string{
		"POST /otlp/v1/logs application/x-protobuf logs",
		"POST /otlp/v1/traces application/x-protobuf traces",
		"POST /otlp/v1/metrics application/x-protobuf metrics",
	}, got)
}

func TestSendReportsPartialSuccess(t *testing.T) {
	traces := ptraceotlp.NewExportResponse()
	traces.PartialSuccess().SetRejectedSpans(3)
	traces.PartialSuccess().SetErrorMessage("too\x1b[2J old")
	metrics := pmetricotlp.NewExportResponse()
	metrics.PartialSuccess().SetRejectedDataPoints(1000)
	logs := plogotlp.NewExportResponse()
	logs.PartialSuccess().SetErrorMessage("only a warning")
	negative := plogotlp.NewExportResponse()
	negative.PartialSuccess().SetRejectedLogRecords(-4)

	for name, test := range map[string]struct {
		signal recording.Signal
		format string
		answer func() ([]byte, error)
		want   Result
	}{
		"spans":                 {recording.Traces, protobuf, traces.MarshalProto, Result{Rejected: 3, Message: "too [2J old"}},
		"spans, in JSON":        {recording.Traces, "application/json; charset=utf-8", traces.MarshalJSON, Result{Rejected: 3, Message: "too [2J old"}},
		"more points than sent": {recording.Metrics, protobuf, metrics.MarshalProto, Result{Rejected: 10}},
		"a warning":             {recording.Logs, protobuf, logs.MarshalProto, Result{Message: "only a warning"}},
		"fewer than none":       {recording.Logs, protobuf, negative.MarshalProto, Result{}},
		"JSON of full success":  {recording.Logs, "application/json", func() ([]byte, error) { return []byte(`{"partialSuccess":{}}`), nil }, Result{}},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
				body, err := test.answer()
				assert.NoError(t, err)
				w.Header().Set("Content-Type", test.format)
				_, _ = w.Write(body)
			})
			result, err := s.Send(t.Context(), recording.Request{Signal: test.signal, Items: 10})
			require.NoError(t, err)
			assert.Equal(t, test.want, result)
		})
	}
}

func TestSendTriesAgainWhenAsked(t *testing.T) {
	for _, code := range []int{429, 502, 503, 504} {
		var calls atomic.Int32
		var causes []error
		o := Options{RetryFor: time.Minute, OnRetry: func(cause error, wait time.Duration) {
			causes = append(causes, cause)
			assert.Positive(t, wait)
		}}
		s := start(t, o, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			assert.Equal(t, "the body", string(body), "each attempt sends all of it")
			if calls.Add(1) <= 2 {
				http.Error(w, "busy", code)
				return
			}
			accept(w)
		})
		result, err := s.Send(t.Context(), request)
		require.NoError(t, err)
		assert.Equal(t, Result{Retries: 2}, result)
		require.Len(t, causes, 2)
		var answered *StatusError
		require.ErrorAs(t, causes[0], &answered)
		assert.Equal(t, code, answered.Code)
		assert.Equal(t, "busy", answered.Message)
	}
}

func TestSendDoesNotTryAgainWhatCannotWork(t *testing.T) {
	reason, err := proto.Marshal(&status.Status{Code: 3, Message: "span id is zero"})
	require.NoError(t, err)
	for name, test := range map[string]struct {
		handle http.HandlerFunc
		want   string
	}{
		"OTLP's reason": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", protobuf)
			w.WriteHeader(400)
			_, _ = w.Write(reason)
		}, "/v1/traces answered 400 Bad Request: span id is zero"},
		"reason in JSON": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(401)
			_, _ = io.WriteString(w, `{"code":16,"message":"who are you","more":1}`)
		}, "/v1/traces answered 401 Unauthorized: who are you"},
		"text": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "404 page\x07 not found", 404)
		}, "/v1/traces answered 404 Not Found: 404 page  not found"},
		"nothing":  {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, "/v1/traces answered 500 Internal Server Error"},
		"redirect": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) }, "/v1/traces answered 302 Found"},
		"a web page": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = io.WriteString(w, "<html>welcome</html>")
		}, `answered 200, but not as OTLP does (content type "text/html"): is it a collector?`},
	} {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int32
			s := start(t, Options{RetryFor: time.Minute}, func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				test.handle(w, r)
			})
			result, err := s.Send(t.Context(), request)
			require.ErrorContains(t, err, test.want)
			assert.Zero(t, result.Retries)
			assert.EqualValues(t, 1, calls.Load())
		})
	}
}

func TestSendWaitsForACollectorThatIsNotThereYet(t *testing.T) {
	// Take a port, let it go, and come back to it when the first attempt has failed.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	server := &http.Server{
		ReadHeaderTimeout: time.Second,
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { accept(w) }),
	}
	served := make(chan error, 1)
	s := newSender(t, Options{Endpoint: "http://" + address, RetryFor: time.Minute, OnRetry: func(cause error, _ time.Duration) {
		assert.ErrorContains(t, cause, "connection refused")
		if listener, err := net.Listen("tcp", address); err == nil {
			go func() { served <- server.Serve(listener) }()
		}
	}})
	result, err := s.Send(t.Context(), request)
	require.NoError(t, err)
	assert.Positive(t, result.Retries)
	require.NoError(t, server.Close())
	assert.ErrorIs(t, <-served, http.ErrServerClosed)
}

func TestSendDoesNotRepeatARequestThatMayHaveArrived(t *testing.T) {
	var calls atomic.Int32
	s := start(t, Options{RetryFor: time.Minute}, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		calls.Add(1)
		panic(http.ErrAbortHandler) // the connection breaks after the collector has read it all
	})
	_, err := s.Send(t.Context(), request)
	require.ErrorIs(t, err, ErrInDoubt)
	assert.EqualValues(t, 1, calls.Load())

	release := make(chan struct{})
	s = start(t, Options{RetryFor: time.Minute, Timeout: 50 * time.Millisecond}, func(http.ResponseWriter, *http.Request) { <-release })
	_, err = s.Send(t.Context(), request)
	close(release)
	require.ErrorIs(t, err, ErrInDoubt)
	assert.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestSendEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	o := Options{RetryFor: time.Hour, OnRetry: func(error, time.Duration) { cancel() }}
	s := start(t, o, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "600")
		w.WriteHeader(503)
	})
	_, err := s.Send(ctx, request)
	assert.ErrorIs(t, err, context.Canceled)
}

// scripted answers without a network, so that waits can be measured in a bubble of fake time.
type scripted struct {
	began   time.Time
	at      []time.Duration
	answers []*http.Response // the last one is repeated
	err     error            // instead of an answer
}

func (s *scripted) RoundTrip(r *http.Request) (*http.Response, error) {
	s.at = append(s.at, time.Since(s.began))
	if s.err != nil {
		return nil, s.err
	}
	next := s.answers[0]
	if len(s.answers) > 1 {
		s.answers = s.answers[1:]
	}
	answer := *next
	answer.Body, answer.Request = io.NopCloser(strings.NewReader("")), r
	return &answer, nil
}

func answerOf(code int, retryAfter string) *http.Response {
	header := http.Header{}
	if retryAfter != "" {
		header.Set("Retry-After", retryAfter)
	}
	return &http.Response{StatusCode: code, Header: header}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		date := time.Now().Add(27 * time.Second).UTC().Format(http.TimeFormat)
		script := &scripted{began: time.Now(), answers: []*http.Response{
			answerOf(429, "7"), answerOf(503, date), answerOf(200, ""),
		}}
		s := newSender(t, Options{Endpoint: "http://c", RetryFor: time.Minute})
		s.client.Transport = script
		result, err := s.Send(t.Context(), request)
		require.NoError(t, err)
		assert.Equal(t, 2, result.Retries)
		assert.Equal(t, []time.Duration{0, 7 * time.Second, 27 * time.Second}, script.at)
	})
}

func TestRetryAfterBeyondTheLimitIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := &scripted{began: time.Now(), answers: []*http.Response{answerOf(503, "7200")}}
		s := newSender(t, Options{Endpoint: "http://c", RetryFor: time.Minute})
		s.client.Transport = script
		_, err := s.Send(t.Context(), request)
		require.EqualError(t, err, "gave up after 0 retries: the server wants a wait of 2h0m0s, the limit is 1m0s: "+
			"http://c/v1/traces answered 503 Service Unavailable")
		assert.Len(t, script.at, 1)
	})
}

func TestBackoffGrowsAndEnds(t *testing.T) {
	for name, script := range map[string]*scripted{
		"answer":  {answers: []*http.Response{answerOf(503, "")}},
		"refused": {err: &net.OpError{Op: "dial", Err: errors.New("connection refused")}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				script.began = time.Now()
				s := newSender(t, Options{Endpoint: "http://c", RetryFor: time.Minute})
				s.client.Transport = script
				result, err := s.Send(t.Context(), request)
				require.ErrorContains(t, err, "the limit is 1m0s: ")
				assert.Equal(t, len(script.at)-1, result.Retries)
				assert.Equal(t, time.Minute, script.at[len(script.at)-1], "the last attempt is at the limit")
				assert.Greater(t, len(script.at), 10)
				assert.Less(t, len(script.at), 40)
				for i := 1; i < len(script.at); i++ {
					assert.LessOrEqual(t, script.at[i]-script.at[i-1], lastBackoff*3/2)
				}
			})
		})
	}
}

func TestNoRetriesIfNoneAreWanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := &scripted{answers: []*http.Response{answerOf(503, "")}}
		s := newSender(t, Options{Endpoint: "http://c"})
		s.client.Transport = script
		_, err := s.Send(t.Context(), request)
		require.EqualError(t, err, "gave up after 0 retries: the limit is 0s: http://c/v1/traces answered 503 Service Unavailable")
		assert.Len(t, script.at, 1)
	})
}

func TestAWrongNameIsNotTriedAgain(t *testing.T) {
	again, _ := retryable(connectionError(&net.OpError{Op: "dial", Err: &net.DNSError{IsNotFound: true}}))
	assert.False(t, again)
}

func TestRetryAfterReadsSecondsAndDates(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "0": 0, "3": 3 * time.Second, "-3": 0, "soon": 0, "99999999999999999999": 0,
		"Fri, 02 Jan 2026 03:04:15 GMT": 10 * time.Second,
		"Fri, 02 Jan 2026 03:04:00 GMT": 0,
	} {
		assert.Equal(t, want, retryAfter(http.Header{"Retry-After": {text}}, now), text)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, endpoint := range []string{"", "127.0.0.1:4318", "localhost:4318", "ftp://x", "http://", "http://x?y=1", "http://x#y", "http://x\x7f"} {
		_, err := New(Options{Endpoint: endpoint})
		assert.Error(t, err, endpoint)
	}
}
