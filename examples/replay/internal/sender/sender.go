// Package sender posts OTLP export requests to a collector by OTLP/HTTP, and does not rest until each is answered for good.
package sender

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/throughline-otel/throughline/examples/replay/internal/recording"
)

const (
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 5 * time.Second

	// An answer is small. What goes beyond is not read, so that a wrong server cannot fill the memory.
	maxAnswer = 1 << 20

	protobuf = "application/x-protobuf"
)

// Options says where and how to post.
type Options struct {
	Endpoint string        // http or https URL without the signal's path, such as http://127.0.0.1:4318
	Header   http.Header   // added to each request; may be nil
	Timeout  time.Duration // for one attempt; above 0
	RetryFor time.Duration // how long one request is tried again, from its first attempt on; 0 means one attempt

	// OnRetry, if set, is called before each wait, with what went wrong and how long the wait is. It is called on the
	// goroutine that calls Send.
	OnRetry func(cause error, wait time.Duration)
}

// Result is the answer to a request that was accepted, at least in part.
type Result struct {
	Rejected int    // spans, points or records that the collector did not take; at most what the request holds
	Message  string // what the collector says about that, or a warning if none was rejected; fit for a terminal
	Retries  int    // attempts beyond the first
}

// StatusError is an answer other than success.
type StatusError struct {
	URL     string
	Code    int    // HTTP status
	Message string // what the server gives as the reason; fit for a terminal, may be empty

	retryAfter time.Duration // 0 if the server asks for none
}

func (e *StatusError) Error() string {
	text := fmt.Sprintf("%s answered %d %s", e.URL, e.Code, http.StatusText(e.Code))
	if e.Message != "" {
		text += ": " + e.Message
	}
	return text
}

// ErrInDoubt says that the connection broke, or that time ran out, when the request was under way: the collector may or may
// not have taken it. It is not sent again, because telemetry that counts twice is worse for a replay than a clean stop.
var ErrInDoubt = errors.New("the request was under way, the collector may or may not have taken it")

// Sender posts requests, one at a time. It is for one goroutine.
type Sender struct {
	options Options
	client  *http.Client
	urls    map[recording.Signal]string
}

// New checks the endpoint; it does not connect.
func New(options Options) (*Sender, error) {
	base, err := url.Parse(options.Endpoint)
	if err != nil {
		return nil, err
	}
	if base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
		return nil, fmt.Errorf("%q is not an http or https URL such as http://127.0.0.1:4318", options.Endpoint)
	}
	if base.RawQuery != "" || base.Fragment != "" {
		return nil, fmt.Errorf("%q has more than scheme, host and path", options.Endpoint)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	s := &Sender{options: options, urls: map[recording.Signal]string{}}
	s.client = &http.Client{
		Transport: transport,
		// A redirected POST can arrive as a GET without its body and be answered with 200: nothing would be stored, and
		// nobody would know.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	for _, signal := range []recording.Signal{recording.Traces, recording.Metrics, recording.Logs} {
		s.urls[signal] = base.JoinPath("v1", signal.String()).String()
	}
	return s, nil
}

// Close closes idle connections.
func (s *Sender) Close() { s.client.CloseIdleConnections() }

// Send posts the request and returns when it was accepted. While the collector cannot be reached (refused, no route, timeout
// of the dial) or answers 429, 502, 503 or 504, as OTLP says, it tries again with growing waits, or after the time that
// the collector asks for with Retry-After, for at most [Options.RetryFor]. Any other answer is a [*StatusError], and a
// failure with an unknown outcome wraps [ErrInDoubt]. If ctx ends first, its error is returned. Result.Retries is right also when
// there is an error.
func (s *Sender) Send(ctx context.Context, request recording.Request) (Result, error) {
	started := time.Now()
	backoff := firstBackoff
	for retries := 0; ; retries++ {
		result, err := s.attempt(ctx, request)
		result.Retries = retries
		if err == nil {
			return result, nil
		}
		if ctx.Err() != nil {
			return result, ctx.Err()
		}
		again, wait := retryable(err)
		if !again {
			return result, err
		}
		left := s.options.RetryFor - time.Since(started)
		if wait == 0 {
			// Jitter, so that several replays do not knock in step.
			wait = min(time.Duration(float64(backoff)*(0.5+rand.Float64())), left)
			backoff = min(2*backoff, lastBackoff)
		}
		if left <= 0 || wait > left {
			return result, fmt.Errorf("gave up after %d retries: %w", retries, giveUp(err, wait, s.options.RetryFor))
		}
		if s.options.OnRetry != nil {
			s.options.OnRetry(err, wait)
		}
		if err := sleep(ctx, wait); err != nil {
			return result, err
		}
	}
}

// attempt posts once.
func (s *Sender) attempt(ctx context.Context, request recording.Request) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	target := s.urls[request.Signal]
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(request.Body))
	if err != nil {
		return Result{}, err
	}
	for name, values := range s.options.Header {
		post.Header[name] = values
	}
	if host := post.Header.Get("Host"); host != "" {
		post.Host = host // net/http takes it from there only
	}
	post.Header.Set("Content-Type", protobuf)
	post.Header.Set("User-Agent", "throughline-replay")

	response, err := s.client.Do(post)
	if err != nil {
		return Result{}, connectionError(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return Result{}, connectionError(err)
	}
	format, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if response.StatusCode/100 != 2 {
		return Result{}, &StatusError{
			URL: target, Code: response.StatusCode, Message: statusMessage(format, body),
			retryAfter: retryAfter(response.Header, time.Now()),
		}
	}
	result, err := answer(request, format, body)
	if err != nil {
		return Result{}, fmt.Errorf("%s answered %d, but not as OTLP does (content type %q): is it a collector? %w",
			target, response.StatusCode, format, err)
	}
	return result, nil
}

// dialError is a failure to connect: nothing was sent, so that another attempt is safe.
type dialError struct{ err error }

func (e *dialError) Error() string { return e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

func connectionError(err error) error {
	var asked *url.Error
	if errors.As(err, &asked) {
		err = asked.Err // without the method and URL in front, which say nothing new
	}
	var name *net.DNSError
	if errors.As(err, &name) && name.IsNotFound {
		return err // a wrong name stays wrong
	}
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" {
		return &dialError{err}
	}
	return fmt.Errorf("%w: %w", ErrInDoubt, err)
}

// retryable says whether another attempt can help, and how long the server wants it to wait (0: it does not say).
func retryable(err error) (again bool, wait time.Duration) {
	var dial *dialError
	if errors.As(err, &dial) {
		return true, 0
	}
	var status *StatusError
	if errors.As(err, &status) {
		switch status.Code {
		case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return true, status.retryAfter
		}
	}
	return false, 0
}

// giveUp says why there is no further attempt.
func giveUp(err error, wait, limit time.Duration) error {
	if wait > limit {
		return fmt.Errorf("the server wants a wait of %v, the limit is %v: %w", wait.Round(time.Second), limit, err)
	}
	return fmt.Errorf("the limit is %v: %w", limit, err)
}

// retryAfter reads the header of that name, which is in seconds or an HTTP date. What makes no sense counts as not said.
func retryAfter(header http.Header, now time.Time) time.Duration {
	text := header.Get("Retry-After")
	if text == "" {
		return 0
	}
	if seconds, err := strconv.ParseInt(text, 10, 32); err == nil {
		return time.Duration(max(seconds, 0)) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
