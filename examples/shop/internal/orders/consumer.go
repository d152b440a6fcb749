package orders

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/throughline-otel/throughline/examples/shop/internal/telemetry"
)

// prefetch is how many messages a consumer holds ahead of its work.
const prefetch = 8

// Handler sees to one order.
type Handler func(ctx context.Context, order Order) error

// Consumer is a running group of workers that read the topic from its start.
type Consumer struct {
	telemetry *telemetry.Telemetry
	group     string
	handle    Handler
	duration  metric.Float64Histogram
	pending   metric.Registration

	conn    *nats.Conn
	stop    context.CancelFunc
	workers sync.WaitGroup
}

// Consume starts workers that handle each order in a trace of its own. The trace is linked to the
// one in which the order was sent, as the messaging conventions have it: an order may be processed
// long after the request that made it has ended.
func (b *Broker) Consume(ctx context.Context, t *telemetry.Telemetry, group string, workers int, handle Handler) (*Consumer, error) {
	c := &Consumer{telemetry: t, group: group, handle: handle}
	nc, js, err := b.connect(group)
	if err != nil {
		return nil, err
	}
	c.conn = nc
	consumer, err := js.CreateConsumer(ctx, stream, jetstream.ConsumerConfig{
		Durable:   group,
		AckPolicy: jetstream.AckExplicitPolicy,
	})
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("create consumer %s: %w", group, err)
	}
	if err := c.measure(consumer); err != nil {
		nc.Close()
		return nil, err
	}

	running, stop := context.WithCancel(context.Background())
	c.stop = stop
	messages := make(chan jetstream.Msg)
	for range workers {
		c.workers.Go(func() {
			for msg := range messages {
				c.process(running, msg)
			}
		})
	}
	c.workers.Go(func() {
		defer close(messages)
		fetch(running, consumer, messages)
	})
	return c, nil
}

func (c *Consumer) measure(consumer jetstream.Consumer) (err error) {
	meter := c.telemetry.Meter()
	c.duration, err = meter.Float64Histogram("messaging.process.duration",
		metric.WithDescription("Duration of processing operation."),
		metric.WithUnit("s"),
		metric.WithExplicitBucketBoundaries(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10))
	if err != nil {
		return err
	}
	pending, err := meter.Int64ObservableGauge("shop.orders.pending",
		metric.WithDescription("Orders in the topic that this group has not processed yet."),
		metric.WithUnit("{message}"))
	if err != nil {
		return err
	}
	attrs := metric.WithAttributes(semconv.MessagingConsumerGroupName(c.group))
	c.pending, err = meter.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		info, err := consumer.Info(ctx)
		if err != nil {
			return err
		}
		o.ObserveInt64(pending, int64(info.NumPending)+int64(info.NumAckPending), attrs)
		return nil
	}, pending)
	return err
}

// fetch moves messages to the workers until ctx ends.
func fetch(ctx context.Context, from jetstream.Consumer, to chan<- jetstream.Msg) {
	iterator, err := from.Messages(jetstream.PullMaxMessages(prefetch))
	if err != nil {
		return
	}
	stop := context.AfterFunc(ctx, iterator.Stop)
	defer stop()
	defer iterator.Stop()
	for {
		msg, err := iterator.Next()
		if errors.Is(err, jetstream.ErrMsgIteratorClosed) {
			return
		}
		if err != nil {
			continue // a missed heartbeat: the iterator goes on by itself
		}
		select {
		case to <- msg:
		case <-ctx.Done():
			return
		}
	}
}

func (c *Consumer) process(ctx context.Context, msg jetstream.Msg) {
	start := time.Now()
	sent := c.telemetry.Propagator.Extract(ctx, propagation.HeaderCarrier(msg.Headers()))
	// The tenant comes along; the trace does not, but for the link.
	ctx = baggage.ContextWithBaggage(ctx, baggage.FromContext(sent))
	ctx, span := c.telemetry.Tracer().Start(ctx, "process "+topic,
		trace.WithNewRoot(),
		trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithLinks(trace.LinkFromContext(sent)),
		trace.WithAttributes(conventions("process", semconv.MessagingOperationTypeProcess)...),
		trace.WithAttributes(
			semconv.MessagingConsumerGroupName(c.group),
			semconv.MessagingMessageID(msg.Headers().Get(jetstream.MsgIDHeader))))
	defer span.End()

	err := c.try(ctx, msg)
	if err != nil {
		span.RecordError(err)
		span.SetStatus(codes.Error, err.Error())
	}
	attrs := metric.WithAttributes(append(conventions("process", semconv.MessagingOperationTypeProcess),
		semconv.MessagingConsumerGroupName(c.group))...)
	c.duration.Record(ctx, time.Since(start).Seconds(), attrs)
}

func (c *Consumer) try(ctx context.Context, msg jetstream.Msg) error {
	var order Order
	if err := json.Unmarshal(msg.Data(), &order); err != nil {
		return errors.Join(err, msg.Term())
	}
	if err := c.handle(ctx, order); err != nil {
		return errors.Join(err, msg.Nak())
	}
	return msg.Ack()
}

// Close ends the consumer after the orders in its hands.
func (c *Consumer) Close() {
	c.stop()
	c.workers.Wait()
	_ = c.pending.Unregister() // there is nothing left to ask
	c.conn.Close()
}
