package orders

import (
	"context"
	"encoding/json"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/throughline-otel/throughline/examples/shop/internal/telemetry"
)

// Producer sends orders.
type Producer struct {
	telemetry *telemetry.Telemetry
	conn      *nats.Conn
	js        jetstream.JetStream
}

// Producer returns a producer whose sends are PRODUCER spans of the service.
func (b *Broker) Producer(t *telemetry.Telemetry, client string) (*Producer, error) {
	nc, js, err := b.connect(client)
	if err != nil {
		return nil, err
	}
	return &Producer{telemetry: t, conn: nc, js: js}, nil
}

// Send returns when the topic has the order.
func (p *Producer) Send(ctx context.Context, order Order) error {
	ctx, span := p.telemetry.Tracer().Start(ctx, "send "+topic,
		trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(conventions("send", semconv.MessagingOperationTypeSend)...),
		trace.WithAttributes(semconv.MessagingMessageID(order.ID)))
	defer span.End()

	err := p.send(ctx, order)
	if err != nil {
		span.RecordError(err)
		span.SetStatus(codes.Error, err.Error())
	}
	return err
}

func (p *Producer) send(ctx context.Context, order Order) error {
	data, err := json.Marshal(order)
	if err != nil {
		return err
	}
	msg := nats.NewMsg(topic)
	msg.Data = data
	msg.Header.Set(jetstream.MsgIDHeader, order.ID)
	p.telemetry.Propagator.Inject(ctx, propagation.HeaderCarrier(msg.Header))
	_, err = p.js.PublishMsg(ctx, msg)
	return err
}

// Close drops the connection.
func (p *Producer) Close() { p.conn.Close() }
