// Package fulfilment packs the orders.
package fulfilment

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/throughline-otel/throughline/examples/shop/internal/orders"
	"github.com/throughline-otel/throughline/examples/shop/internal/telemetry"
)

const (
	// Name is the name of the service and of its consumer group.
	Name = "fulfilment"

	// With two packers an order may usually take 20 ms: that is a hundred orders a second, several
	// times of what comes in, so that a backlog is gone within seconds.
	packers = 2
	usual   = 20 * time.Millisecond
)

// Service is the running consumer.
type Service struct {
	telemetry *telemetry.Telemetry
	consumer  *orders.Consumer
	delay     atomic.Int64
}

// Start begins to read orders.
func Start(ctx context.Context, t *telemetry.Telemetry, broker *orders.Broker) (*Service, error) {
	s := &Service{telemetry: t}
	consumer, err := broker.Consume(ctx, t, Name, packers, s.pack)
	if err != nil {
		return nil, err
	}
	s.consumer = consumer
	return s, nil
}

// Slow makes each order take so much longer; zero ends it.
func (s *Service) Slow(by time.Duration) { s.delay.Store(int64(by)) }

// Close ends the service after the orders in its hands.
func (s *Service) Close() { s.consumer.Close() }

// pack takes its time within the process span itself: this is the service's own work.
func (s *Service) pack(ctx context.Context, order orders.Order) error {
	time.Sleep(usual + time.Duration(s.delay.Load()))
	s.telemetry.Log.InfoContext(ctx, "order packed", "order.id", order.ID)
	return nil
}
