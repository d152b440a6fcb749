// Package web is how the shop's services speak HTTP: instrumented routes, servers and clients.
package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/throughline-otel/throughline/examples/shop/internal/network"
	"github.com/throughline-otel/throughline/examples/shop/internal/telemetry"
)

const (
	// callTimeout is far above what any fault causes: the shop's faults show as latency or errors
	// of their own, not as a caller's impatience.
	callTimeout = 10 * time.Second

	maxBody = 1 << 20
)

// StatusError is a failure that has an HTTP status.
type StatusError struct {
	Code int
	Err  error
}

func (e *StatusError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *StatusError) Unwrap() error { return e.Err }

// BadGateway says that the request failed because of somebody downstream.
func BadGateway(err error) error { return &StatusError{Code: http.StatusBadGateway, Err: err} }

// Handler answers a request with a value to be sent as JSON, or an error.
type Handler func(r *http.Request) (any, error)

// Route serves the pattern ("METHOD /path") with the service's own telemetry: a SERVER span named
// after the route, the standard metrics, and one log record for what became of the request.
func Route(mux *http.ServeMux, t *telemetry.Telemetry, pattern string, handle Handler) {
	// Wrapping each route, not the mux, lets the span know its route from the start.
	mux.Handle(pattern, otelhttp.NewHandler(route{t, handle}, "",
		otelhttp.WithTracerProvider(t.Traces),
		otelhttp.WithMeterProvider(t.Metrics),
		otelhttp.WithPropagators(t.Propagator),
	))
}

type route struct {
	*telemetry.Telemetry
	handle Handler
}

func (h route) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status := http.StatusOK
	out, err := h.try(r)
	if err != nil {
		status = http.StatusInternalServerError
		var known *StatusError
		if errors.As(err, &known) {
			status = known.Code
		}
		out = map[string]string{"error": err.Error()}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(out) // the client may have gone; there is nobody to tell

	attrs := []slog.Attr{
		slog.String(string(semconv.HTTPRouteKey), r.Pattern),
		slog.Int(string(semconv.HTTPResponseStatusCodeKey), status),
	}
	if status < http.StatusInternalServerError {
		h.Log.LogAttrs(r.Context(), slog.LevelInfo, "request handled", attrs...)
		return
	}
	span := trace.SpanFromContext(r.Context())
	span.RecordError(err)
	span.SetStatus(codes.Error, err.Error())
	attrs = append(attrs,
		slog.String(string(semconv.ExceptionTypeKey), exceptionType(err)),
		slog.String(string(semconv.ExceptionMessageKey), err.Error()))
	var p *panicError
	if errors.As(err, &p) {
		attrs = append(attrs, slog.String(string(semconv.ExceptionStacktraceKey), p.stack))
	}
	h.Log.LogAttrs(r.Context(), slog.LevelError, "request failed: "+err.Error(), attrs...)
}

// try turns a panic of the handler into an error, so that it ends one request and not the shop.
func (h route) try(r *http.Request) (out any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &panicError{cause: p, stack: string(debug.Stack())}
		}
	}()
	return h.handle(r)
}

type panicError struct {
	cause any
	stack string
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.cause) }

func exceptionType(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return fmt.Sprintf("%T", err)
		}
		err = inner
	}
}

// Decode reads the request's JSON body.
func Decode[T any](r *http.Request) (T, error) {
	var in T
	if err := json.NewDecoder(io.LimitReader(r.Body, maxBody)).Decode(&in); err != nil {
		return in, &StatusError{Code: http.StatusBadRequest, Err: err}
	}
	return in, nil
}

// Client calls other services of the network.
type Client struct {
	http      *http.Client
	transport *http.Transport
}

// NewClient returns a client whose calls are CLIENT spans of the service.
func NewClient(n *network.Network, t *telemetry.Telemetry) *Client {
	transport := &http.Transport{DialContext: n.Dial, MaxIdleConnsPerHost: 256, IdleConnTimeout: time.Minute}
	return &Client{
		transport: transport,
		http: &http.Client{
			Timeout: callTimeout,
			Transport: otelhttp.NewTransport(transport,
				otelhttp.WithTracerProvider(t.Traces),
				otelhttp.WithMeterProvider(t.Metrics),
				otelhttp.WithPropagators(t.Propagator),
				otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string { return r.Method }),
			),
		},
	}
}

// Call sends in (if any) as JSON and reads the answer into out (if any). A status of 400 or above
// is an error.
func (c *Client) Call(ctx context.Context, method, url string, in, out any) error {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, maxBody))
	if err != nil {
		return err
	}
	if res.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s %s: %s", method, url, res.Status)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(data, out)
}

// Close drops the idle connections.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Server is a running HTTP server.
type Server struct {
	http *http.Server
	done chan struct{}
}

// Serve gives the host name of the network to a new server.
func Serve(n *network.Network, host string, handler http.Handler) (*Server, error) {
	l, err := n.Listen(host)
	if err != nil {
		return nil, err
	}
	s := &Server{
		http: &http.Server{Handler: handler, ReadHeaderTimeout: callTimeout},
		done: make(chan struct{}),
	}
	go func() {
		defer close(s.done)
		_ = s.http.Serve(l) // always ends with ErrServerClosed
	}()
	return s, nil
}

// Close lets the requests in flight end, within ctx.
func (s *Server) Close(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	<-s.done
	return err
}
