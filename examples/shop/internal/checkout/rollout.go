package checkout

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"github.com/throughline-otel/throughline/examples/shop/internal/network"
	"github.com/throughline-otel/throughline/examples/shop/internal/orders"
	"github.com/throughline-otel/throughline/examples/shop/internal/telemetry"
	"github.com/throughline-otel/throughline/examples/shop/internal/web"
)

// Service is checkout in whatever version is rolled out. The port stays open through a rollout, as
// behind a load balancer.
type Service struct {
	network  *network.Network
	broker   *orders.Broker
	endpoint string
	server   *web.Server

	mu      sync.Mutex
	current *running
	retired sync.WaitGroup
}

// running is a release and how many requests it still has.
type running struct {
	*release
	requests sync.WaitGroup
}

// Start puts the Good version onto the network; its telemetry goes to endpoint.
func Start(ctx context.Context, n *network.Network, broker *orders.Broker, endpoint string) (*Service, error) {
	s := &Service{network: n, broker: broker, endpoint: endpoint}
	if err := s.Rollout(ctx, Good); err != nil {
		return nil, err
	}
	server, err := web.Serve(n, Host, s)
	if err != nil {
		return nil, errors.Join(err, s.current.Close(ctx))
	}
	s.server = server
	return s, nil
}

// Rollout replaces the running version. The old one ends by itself, once its requests have ended and
// its telemetry is flushed.
func (s *Service) Rollout(ctx context.Context, version string) error {
	t, err := telemetry.Start(ctx, telemetry.Service{Name: Host, Version: version}, s.endpoint)
	if err != nil {
		return err
	}
	r, err := newRelease(version, s.network, t, s.broker)
	if err != nil {
		t.Shutdown(ctx)
		return err
	}
	t.Log.InfoContext(ctx, "started version "+version)

	s.mu.Lock()
	old := s.current
	s.current = &running{release: r}
	s.mu.Unlock()
	if old != nil {
		s.retired.Go(func() {
			old.requests.Wait()
			_ = old.Close(context.WithoutCancel(ctx)) // only a connection that is closed already
		})
	}
	return nil
}

// ServeHTTP hands the request to the current version.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	current := s.current
	current.requests.Add(1) // under the lock, so that no rollout can miss it
	s.mu.Unlock()
	defer current.requests.Done()
	current.ServeHTTP(w, r)
}

// Close ends the service after the requests in flight.
func (s *Service) Close(ctx context.Context) error {
	err := s.server.Close(ctx)
	s.retired.Wait()
	return errors.Join(err, s.current.Close(ctx))
}
