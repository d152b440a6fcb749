package hold

import (
	"context"

	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/otel/trace"
)

// sender is what outlives the request of a batch that is held. The request's context would keep the whole request alive.
type sender struct {
	client client.Info
	span   trace.SpanContext
}

func senderOf(request context.Context) sender {
	return sender{client: client.FromContext(request), span: trace.SpanContextFromContext(request)}
}

// bytes is what the sender's metadata take.
func (s *sender) bytes() (bytes int64) {
	for key := range s.client.Metadata.Keys() {
		bytes += slotBytes + int64(len(key))
		for _, value := range s.client.Metadata.Get(key) {
			bytes += slotBytes + int64(len(value))
		}
	}
	return bytes
}

// context has what is known about the sender, and ends with the queue.
func (s *sender) context(life context.Context) context.Context {
	return trace.ContextWithSpanContext(client.NewContext(life, s.client), s.span)
}
