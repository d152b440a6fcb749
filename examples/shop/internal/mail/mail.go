// Package mail writes to the customers, and is the shop's old-fashioned service: its logs are JSON
// lines in a file, with the trace in a field, and its metrics know nothing of traces.
package mail

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/throughline-otel/throughline/examples/shop/internal/orders"
	"github.com/throughline-otel/throughline/examples/shop/internal/telemetry"
)

const (
	// Name is the name of the service and of its consumer group.
	Name = "mail"

	writers = 2
	usual   = 5 * time.Millisecond
)

// Service is the running consumer.
type Service struct {
	log      *slog.Logger
	sent     metric.Int64Counter
	consumer *orders.Consumer
}

// Start begins to read orders and to log to w.
func Start(ctx context.Context, t *telemetry.Telemetry, broker *orders.Broker, w io.Writer) (*Service, error) {
	sent, err := t.Meter().Int64Counter("shop.mail.sent",
		metric.WithDescription("Mails sent."), metric.WithUnit("{mail}"))
	if err != nil {
		return nil, err
	}
	s := &Service{log: slog.New(slog.NewJSONHandler(w, nil)), sent: sent}
	s.consumer, err = broker.Consume(ctx, t, Name, writers, s.write)
	if err != nil {
		return nil, fmt.Errorf("start mail: %w", err)
	}
	return s, nil
}

// Close ends the service after the orders in its hands.
func (s *Service) Close() { s.consumer.Close() }

func (s *Service) write(ctx context.Context, order orders.Order) error {
	time.Sleep(usual)
	span := trace.SpanContextFromContext(ctx)
	s.log.Info("mail sent", "order", order.ID,
		"trace_id", span.TraceID().String(), "span_id", span.SpanID().String())
	s.sent.Add(context.Background(), 1) // without the span: it was written before there were any
	return nil
}
