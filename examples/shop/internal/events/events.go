// Package events receives what Throughline has to say: log records with an event name, by OTLP.
package events

import (
	"context"
	"fmt"
	"net"
	"time"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	"google.golang.org/grpc"

	"github.com/throughline-otel/throughline/examples/shop/internal/fault"
)

// The event that answers a fault, and the one that closes it.
const (
	BurnStarted  = "slo.burn.started"
	BurnResolved = "slo.burn.resolved"
)

// Event is one thing that was said. All of its strings are safe to print on one line.
type Event struct {
	Name     string
	Body     string
	SLO      string
	Service  string
	Severity string
	Onset    string
	Suspects []Suspect // the likeliest first
}

// Suspect is who might be the culprit, and why.
type Suspect struct {
	fault.Culprit
	Score  float64
	Reason string
}

// Receiver listens for events.
type Receiver struct {
	collogs.UnimplementedLogsServiceServer
	server *grpc.Server
	hear   func(Event, time.Time)
	done   chan struct{}
}

// Listen opens the address and calls hear with each event and the time of its arrival, from many
// goroutines at once.
func Listen(address string, hear func(Event, time.Time)) (*Receiver, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for events: %w", err)
	}
	r := &Receiver{server: grpc.NewServer(), hear: hear, done: make(chan struct{})}
	collogs.RegisterLogsServiceServer(r.server, r)
	go func() {
		defer close(r.done)
		_ = r.server.Serve(l) // ends with Stop
	}()
	return r, nil
}

// Export takes a batch of log records. Records without an event name are none of the shop's business.
func (r *Receiver) Export(_ context.Context, request *collogs.ExportLogsServiceRequest) (*collogs.ExportLogsServiceResponse, error) {
	now := time.Now()
	for _, resource := range request.GetResourceLogs() {
		for _, scope := range resource.GetScopeLogs() {
			for _, record := range scope.GetLogRecords() {
				if event := parse(record); event.Name != "" {
					r.hear(event, now)
				}
			}
		}
	}
	return &collogs.ExportLogsServiceResponse{}, nil
}

// Close stops listening.
func (r *Receiver) Close() {
	r.server.Stop()
	<-r.done
}
