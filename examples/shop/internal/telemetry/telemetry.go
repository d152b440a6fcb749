// Package telemetry gives one service of the shop its own OpenTelemetry SDK.
//
// The services share a process but nothing else: no provider, propagator or logger is global, so
// what arrives at the collector looks as if each of them ran in its own container.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/contrib/bridges/otelslog"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/exemplar"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

const (
	// scope names the instrumentation that the shop writes by hand.
	scope = "github.com/throughline-otel/throughline/examples/shop"

	namespace   = "shop"
	environment = "demo"

	// The batches are short so that a fault shows within seconds.
	spanBatch   = 500 * time.Millisecond
	logBatch    = time.Second
	metricBatch = 5 * time.Second

	spanQueue = 8192

	// An export that fails is tried again for a short while only: by then there is newer telemetry
	// to tell, and at the end of the shop nobody wants to wait: only for the one that is under way, and
	// for what waits behind it.
	exportTimeout   = 2 * time.Second
	retryAfter      = 500 * time.Millisecond
	shutdownTimeout = 4 * exportTimeout
)

// Service is what tells one service, and one release of it, from another.
type Service struct {
	Name    string
	Version string
	// OldFashioned switches off what an old metrics library lacks: exemplars.
	OldFashioned bool
}

// Telemetry is the SDK of one running instance of a service.
type Telemetry struct {
	Traces     *sdktrace.TracerProvider
	Metrics    *sdkmetric.MeterProvider
	Logs       *sdklog.LoggerProvider
	Log        *slog.Logger
	Propagator propagation.TextMapPropagator

	conn *grpc.ClientConn
}

// Start begins to export what the service says to the collector at endpoint. The collector need
// not be up yet.
func Start(ctx context.Context, service Service, endpoint string) (*Telemetry, error) {
	conn, err := grpc.NewClient(endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, fmt.Errorf("connect %s to %s: %w", service.Name, endpoint, err)
	}
	t, err := start(ctx, service, conn)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("telemetry of %s: %w", service.Name, err), conn.Close())
	}
	return t, nil
}

func start(ctx context.Context, service Service, conn *grpc.ClientConn) (*Telemetry, error) {
	res, err := describe(ctx, service)
	if err != nil {
		return nil, err
	}
	retry := otlptracegrpc.RetryConfig{
		Enabled: true, InitialInterval: retryAfter, MaxInterval: retryAfter, MaxElapsedTime: exportTimeout,
	}
	spans, err := otlptracegrpc.New(ctx,
		otlptracegrpc.WithGRPCConn(conn),
		otlptracegrpc.WithTimeout(exportTimeout),
		otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig(retry)))
	if err != nil {
		return nil, err
	}
	metrics, err := otlpmetricgrpc.New(ctx,
		otlpmetricgrpc.WithGRPCConn(conn),
		otlpmetricgrpc.WithTimeout(exportTimeout),
		otlpmetricgrpc.WithRetry(otlpmetricgrpc.RetryConfig(retry)))
	if err != nil {
		return nil, err
	}
	logs, err := otlploggrpc.New(ctx,
		otlploggrpc.WithGRPCConn(conn),
		otlploggrpc.WithTimeout(exportTimeout),
		otlploggrpc.WithRetry(otlploggrpc.RetryConfig(retry)))
	if err != nil {
		return nil, err
	}

	filter := exemplar.TraceBasedFilter
	if service.OldFashioned {
		filter = exemplar.AlwaysOffFilter
	}
	t := &Telemetry{
		Traces: sdktrace.NewTracerProvider(
			sdktrace.WithResource(res),
			sdktrace.WithSpanProcessor(tenantProcessor{}),
			sdktrace.WithBatcher(spans, sdktrace.WithBatchTimeout(spanBatch), sdktrace.WithMaxQueueSize(spanQueue)),
		),
		Metrics: sdkmetric.NewMeterProvider(
			sdkmetric.WithResource(res),
			sdkmetric.WithReader(sdkmetric.NewPeriodicReader(metrics, sdkmetric.WithInterval(metricBatch))),
			sdkmetric.WithExemplarFilter(filter),
		),
		Logs: sdklog.NewLoggerProvider(
			sdklog.WithResource(res),
			sdklog.WithProcessor(sdklog.NewBatchProcessor(logs, sdklog.WithExportInterval(logBatch))),
		),
		Propagator: propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}),
		conn:       conn,
	}
	t.Log = slog.New(otelslog.NewHandler(scope, otelslog.WithLoggerProvider(t.Logs)))
	return t, nil
}

func describe(ctx context.Context, service Service) (*resource.Resource, error) {
	return resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithHost(),
		resource.WithOS(),
		resource.WithProcessPID(),
		resource.WithProcessExecutableName(),
		resource.WithProcessRuntimeName(),
		resource.WithProcessRuntimeVersion(),
		resource.WithAttributes(
			semconv.ServiceName(service.Name),
			semconv.ServiceNamespace(namespace),
			semconv.ServiceVersion(service.Version),
			semconv.ServiceInstanceID(uuid.NewString()),
			semconv.DeploymentEnvironmentNameKey.String(environment),
		),
	)
}

// Tracer is the tracer of the service's own code.
func (t *Telemetry) Tracer() trace.Tracer { return t.Traces.Tracer(scope) }

// Meter is the meter of the service's own code.
func (t *Telemetry) Meter() metric.Meter { return t.Metrics.Meter(scope) }

// Logger is the logger of the service's own events.
func (t *Telemetry) Logger() log.Logger { return t.Logs.Logger(scope) }

// Shutdown flushes all three signals and ends the export, within ctx. What cannot be sent, as there
// may be no collector, is told where all problems of the export are told: to OpenTelemetry's error
// handler.
func (t *Telemetry) Shutdown(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, shutdownTimeout)
	defer cancel()
	errs := make([]error, 3)
	var flushes sync.WaitGroup // at once: without a collector each of them takes its time
	for i, shutdown := range []func(context.Context) error{t.Traces.Shutdown, t.Logs.Shutdown, t.Metrics.Shutdown} {
		flushes.Go(func() { errs[i] = shutdown(ctx) })
	}
	flushes.Wait()
	if err := errors.Join(append(errs, t.conn.Close())...); err != nil {
		otel.Handle(err)
	}
}
