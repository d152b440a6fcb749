package payments

import (
	"context"
	"net"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/throughline-otel/throughline/examples/shop/internal/network"
	"github.com/throughline-otel/throughline/examples/shop/internal/telemetry"
)

// Client calls the payments service.
type Client struct{ conn *grpc.ClientConn }

// NewClient returns a client whose calls are CLIENT spans of the calling service.
func NewClient(n *network.Network, t *telemetry.Telemetry) (*Client, error) {
	// passthrough keeps gRPC from asking the DNS for a name that only the shop's network knows.
	conn, err := grpc.NewClient("passthrough:///"+net.JoinHostPort(Host, Port),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return n.Dial(ctx, "tcp", address)
		}),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(codec{})),
		grpc.WithStatsHandler(otelgrpc.NewClientHandler(
			otelgrpc.WithTracerProvider(t.Traces),
			otelgrpc.WithMeterProvider(t.Metrics),
			otelgrpc.WithPropagators(t.Propagator),
		)),
	)
	if err != nil {
		return nil, err
	}
	return &Client{conn: conn}, nil
}

// Charge takes the money.
func (c *Client) Charge(ctx context.Context, in Charge) (*Receipt, error) {
	out := new(Receipt)
	return out, c.conn.Invoke(ctx, chargePath, in, out)
}

// Close drops the connection.
func (c *Client) Close() error { return c.conn.Close() }
