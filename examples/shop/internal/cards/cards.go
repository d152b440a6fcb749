// Package cards is somebody else's card provider: a plain HTTP server without any telemetry.
package cards

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/throughline-otel/throughline/examples/shop/internal/network"
	"github.com/throughline-otel/throughline/examples/shop/internal/web"
)

// Host is the name under which the provider is known.
const Host = "cards.example.com"

const usual = 10 * time.Millisecond

// Provider authorises cards.
type Provider struct {
	network *network.Network
	delay   atomic.Int64

	mu     sync.Mutex
	server *web.Server // nil while it is down
}

// Start puts the provider onto the network.
func Start(n *network.Network) (*Provider, error) {
	p := &Provider{network: n}
	return p, p.Up()
}

// Slow makes each authorisation take so much longer; zero ends it.
func (p *Provider) Slow(by time.Duration) { p.delay.Store(int64(by)) }

// Up opens the port.
func (p *Provider) Up() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server != nil {
		return errors.New("card provider is already up")
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /authorize", p.authorize)
	server, err := web.Serve(p.network, Host, mux)
	p.server = server
	return err
}

// Down closes the port: connections are refused from now on.
func (p *Provider) Down(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server == nil {
		return nil
	}
	server := p.server
	p.server = nil
	return server.Close(ctx)
}

func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	select {
	case <-time.After(usual + time.Duration(p.delay.Load())):
		w.WriteHeader(http.StatusNoContent)
	case <-r.Context().Done():
	}
}
