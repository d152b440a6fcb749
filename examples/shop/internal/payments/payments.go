// Package payments takes the money: a gRPC service that keeps its books in the SQL database and
// has cards authorised by a provider outside of the shop.
package payments

import (
	"context"
	"database/sql"
	"encoding/json"
	"log/slog"
	"net/http"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/throughline-otel/throughline/examples/shop/internal/cards"
	"github.com/throughline-otel/throughline/examples/shop/internal/database"
	"github.com/throughline-otel/throughline/examples/shop/internal/network"
	"github.com/throughline-otel/throughline/examples/shop/internal/telemetry"
	"github.com/throughline-otel/throughline/examples/shop/internal/web"
)

const (
	// Host is the name that callers use.
	Host = "payments"
	// Pod is the name of the one instance behind it: what lies between the two is the platform.
	Pod = "payments-0"
	// Port is the port of both.
	Port = "9090"

	serviceName = "shop.payments.v1.Payments"
	chargePath  = "/" + serviceName + "/Charge"
)

// Charge asks for an amount of money.
type Charge struct {
	ID    string `json:"id"`
	Cents int64  `json:"cents"`
}

// Receipt says that a charge was paid.
type Receipt struct {
	ID string `json:"id"`
}

// codec carries the messages as JSON: two small structs are not worth generated code.
type codec struct{}

func (codec) Marshal(v any) ([]byte, error)      { return json.Marshal(v) }
func (codec) Unmarshal(data []byte, v any) error { return json.Unmarshal(data, v) }
func (codec) Name() string                       { return "json" }

// Service is the running payments service.
type Service struct {
	telemetry *telemetry.Telemetry
	db        *sql.DB
	cards     *web.Client
	server    *grpc.Server
	done      chan struct{}
}

// Start puts the service onto the network, as Pod.
func Start(n *network.Network, t *telemetry.Telemetry, db *database.Database) (*Service, error) {
	l, err := n.Listen(Pod)
	if err != nil {
		return nil, err
	}
	s := &Service{
		telemetry: t,
		db:        db.Open(t),
		cards:     web.NewClient(n, t),
		done:      make(chan struct{}),
		server: grpc.NewServer(
			grpc.ForceServerCodec(codec{}),
			grpc.StatsHandler(otelgrpc.NewServerHandler(
				otelgrpc.WithTracerProvider(t.Traces),
				otelgrpc.WithMeterProvider(t.Metrics),
				otelgrpc.WithPropagators(t.Propagator),
			)),
		),
	}
	s.server.RegisterService(&grpc.ServiceDesc{
		ServiceName: serviceName,
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{
			MethodName: "Charge",
			Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
				var in Charge
				if err := decode(&in); err != nil {
					return nil, err
				}
				return s.charge(ctx, in)
			},
		}},
	}, s)
	go func() {
		defer close(s.done)
		_ = s.server.Serve(l) // ends with GracefulStop
	}()
	return s, nil
}

// Close ends the service after the calls in flight.
func (s *Service) Close() error {
	s.server.GracefulStop()
	<-s.done
	s.cards.Close()
	return s.db.Close()
}

func (s *Service) charge(ctx context.Context, in Charge) (*Receipt, error) {
	if _, err := s.db.ExecContext(ctx, `INSERT INTO payment VALUES (?, ?, 'open')`, in.ID, in.Cents); err != nil {
		return nil, s.failed(ctx, codes.Internal, "cannot open payment", err)
	}
	if err := s.cards.Call(ctx, http.MethodPost, "http://"+cards.Host+"/authorize", in, nil); err != nil {
		return nil, s.failed(ctx, codes.Unavailable, "cannot authorise card", err)
	}
	if _, err := s.db.ExecContext(ctx, `UPDATE payment SET state = 'paid' WHERE id = ?`, in.ID); err != nil {
		return nil, s.failed(ctx, codes.Internal, "cannot close payment", err)
	}
	s.telemetry.Log.InfoContext(ctx, "payment taken", "payment.id", in.ID, "payment.cents", in.Cents)
	return &Receipt{ID: in.ID}, nil
}

func (s *Service) failed(ctx context.Context, code codes.Code, what string, err error) error {
	s.telemetry.Log.LogAttrs(ctx, slog.LevelError, what+": "+err.Error(),
		slog.String(string(semconv.ExceptionMessageKey), err.Error()))
	return status.Error(code, what+": "+err.Error())
}
