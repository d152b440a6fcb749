// Package front is the shop's web front, where each request enters.
package front

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"go.opentelemetry.io/otel/trace"

	"github.com/throughline-otel/throughline/examples/shop/internal/catalog"
	"github.com/throughline-otel/throughline/examples/shop/internal/checkout"
	"github.com/throughline-otel/throughline/examples/shop/internal/network"
	"github.com/throughline-otel/throughline/examples/shop/internal/telemetry"
	"github.com/throughline-otel/throughline/examples/shop/internal/web"
)

const (
	// Host is the name that callers use.
	Host = "front"
	// TenantHeader says whose customer it is.
	TenantHeader = "X-Shop-Tenant"

	maxTenant = 32
)

// Service is the running front.
type Service struct {
	client *web.Client
	server *web.Server
}

// Start puts the front onto the network.
func Start(n *network.Network, t *telemetry.Telemetry) (*Service, error) {
	s := &Service{client: web.NewClient(n, t)}
	mux := http.NewServeMux()
	web.Route(mux, t, "GET /", tenanted(s.home))
	web.Route(mux, t, "GET /products/{id}", tenanted(s.product))
	web.Route(mux, t, "POST /checkout", tenanted(s.checkout))
	server, err := web.Serve(n, Host, mux)
	if err != nil {
		return nil, err
	}
	s.server = server
	return s, nil
}

// Close ends the front after the requests in flight.
func (s *Service) Close(ctx context.Context) error {
	defer s.client.Close()
	return s.server.Close(ctx)
}

// tenanted makes the tenant known to the request's span and to everything downstream.
func tenanted(next web.Handler) web.Handler {
	return func(r *http.Request) (any, error) {
		tenant := r.Header.Get(TenantHeader)
		if tenant == "" || len(tenant) > maxTenant {
			return next(r)
		}
		trace.SpanFromContext(r.Context()).SetAttributes(telemetry.Tenant(tenant))
		return next(r.WithContext(telemetry.WithTenant(r.Context(), tenant)))
	}
}

func (s *Service) home(r *http.Request) (any, error) {
	if r.URL.Path != "/" {
		return nil, &web.StatusError{Code: http.StatusNotFound, Err: errors.New("no such page")}
	}
	return map[string]string{"welcome": "to the shop"}, nil
}

func (s *Service) product(r *http.Request) (any, error) {
	var page catalog.Page
	url := fmt.Sprintf("http://%s/products/%s", catalog.Host, r.PathValue("id"))
	if err := s.client.Call(r.Context(), http.MethodGet, url, nil, &page); err != nil {
		return nil, web.BadGateway(err)
	}
	return page, nil
}

func (s *Service) checkout(r *http.Request) (any, error) {
	basket, err := web.Decode[checkout.Basket](r)
	if err != nil {
		return nil, err
	}
	var confirmation checkout.Confirmation
	err = s.client.Call(r.Context(), http.MethodPost, "http://"+checkout.Host+"/checkout", basket, &confirmation)
	if err != nil {
		return nil, web.BadGateway(err)
	}
	return confirmation, nil
}
