// Package orders is the topic between checkout and those who see to an order: an embedded NATS
// server with JetStream.
package orders

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
)

const (
	topic  = "orders"
	stream = "ORDERS"

	startTimeout = 10 * time.Second
	// The stream is bounded: the shop runs for hours, and what a consumer has not read after
	// minutes is of no use to a story of seconds.
	maxMessages = 10_000
	maxAge      = 5 * time.Minute
)

// Order is the message.
type Order struct {
	ID      string `json:"id"`
	Product int    `json:"product"`
	Cents   int64  `json:"cents"`
}

// Broker is the running NATS server.
type Broker struct{ server *server.Server }

// StartBroker starts the server with its files in dir. It opens no port: the services are in the
// same process.
func StartBroker(ctx context.Context, dir string) (*Broker, error) {
	s, err := server.NewServer(&server.Options{
		ServerName: "shop",
		DontListen: true,
		JetStream:  true,
		StoreDir:   dir,
		NoLog:      true,
		NoSigs:     true,
	})
	if err != nil {
		return nil, err
	}
	s.Start()
	b := &Broker{server: s}
	if !s.ReadyForConnections(startTimeout) {
		b.Close()
		return nil, errors.New("the NATS server does not start")
	}
	if err := b.createStream(ctx); err != nil {
		b.Close()
		return nil, fmt.Errorf("create stream: %w", err)
	}
	return b, nil
}

func (b *Broker) createStream(ctx context.Context) error {
	nc, js, err := b.connect("admin")
	if err != nil {
		return err
	}
	defer nc.Close()
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{
		Name:     stream,
		Subjects: []string{topic},
		Storage:  jetstream.MemoryStorage,
		MaxMsgs:  maxMessages,
		MaxAge:   maxAge,
	})
	return err
}

func (b *Broker) connect(name string) (*nats.Conn, jetstream.JetStream, error) {
	nc, err := nats.Connect("", nats.InProcessServer(b.server), nats.Name(name))
	if err != nil {
		return nil, nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, nil, err
	}
	return nc, js, nil
}

// Close stops the server.
func (b *Broker) Close() {
	b.server.Shutdown()
	b.server.WaitForShutdown()
}

// conventions are the attributes that the spans of both ends have.
func conventions(operation string, kind attribute.KeyValue) []attribute.KeyValue {
	return []attribute.KeyValue{
		semconv.MessagingSystemKey.String("nats"),
		semconv.MessagingDestinationName(topic),
		semconv.MessagingOperationName(operation),
		kind,
	}
}
