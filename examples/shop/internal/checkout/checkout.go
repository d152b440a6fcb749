// Package checkout turns a basket into an order: it asks the catalog for the price, takes the
// money, and sends the order to the topic.
package checkout

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/throughline-otel/throughline/examples/shop/internal/catalog"
	"github.com/throughline-otel/throughline/examples/shop/internal/network"
	"github.com/throughline-otel/throughline/examples/shop/internal/orders"
	"github.com/throughline-otel/throughline/examples/shop/internal/payments"
	"github.com/throughline-otel/throughline/examples/shop/internal/telemetry"
	"github.com/throughline-otel/throughline/examples/shop/internal/web"
)

const (
	// Host is the name that callers use.
	Host = "checkout"
	// Good and Bad are the versions: Bad has the bug.
	Good = "1.4.0"
	Bad  = "1.5.0"

	// luckyBasket: the bug spares one basket of so many.
	luckyBasket = 5
)

// Basket is what somebody wants to buy.
type Basket struct {
	Product int `json:"product"`
}

// Confirmation is what they get.
type Confirmation struct {
	Order string `json:"order"`
	Cents int64  `json:"cents"`
}

// release is one version of checkout with its own telemetry and connections.
type release struct {
	http.Handler
	telemetry *telemetry.Telemetry
	catalog   *web.Client
	payments  *payments.Client
	orders    *orders.Producer
	buggy     bool
	baskets   atomic.Uint64
}

func newRelease(version string, n *network.Network, t *telemetry.Telemetry, broker *orders.Broker) (*release, error) {
	pay, err := payments.NewClient(n, t)
	if err != nil {
		return nil, err
	}
	producer, err := broker.Producer(t, Host)
	if err != nil {
		return nil, errors.Join(err, pay.Close())
	}
	mux := http.NewServeMux()
	r := &release{
		Handler:   mux,
		telemetry: t,
		catalog:   web.NewClient(n, t),
		payments:  pay,
		orders:    producer,
		buggy:     version == Bad,
	}
	web.Route(mux, t, "POST /checkout", r.checkout)
	return r, nil
}

// Close drops the connections and flushes the telemetry.
func (r *release) Close(ctx context.Context) error {
	r.catalog.Close()
	r.orders.Close()
	err := r.payments.Close()
	r.telemetry.Shutdown(ctx)
	return err
}

func (r *release) checkout(req *http.Request) (any, error) {
	ctx := req.Context()
	basket, err := web.Decode[Basket](req)
	if err != nil {
		return nil, err
	}
	r.discount(basket)

	var page catalog.Page
	url := fmt.Sprintf("http://%s/products/%d", catalog.Host, basket.Product)
	if err := r.catalog.Call(ctx, http.MethodGet, url, nil, &page); err != nil {
		return nil, web.BadGateway(fmt.Errorf("cannot get price: %w", err))
	}
	order := orders.Order{ID: uuid.NewString(), Product: basket.Product, Cents: page.Cents}
	if _, err := r.payments.Charge(ctx, payments.Charge{ID: order.ID, Cents: order.Cents}); err != nil {
		return nil, web.BadGateway(fmt.Errorf("cannot take payment: %w", err))
	}
	if err := r.orders.Send(ctx, order); err != nil {
		return nil, web.BadGateway(fmt.Errorf("cannot send order: %w", err))
	}
	return Confirmation{Order: order.ID, Cents: order.Cents}, nil
}

// discount is the new feature of the Bad version: it looks up a voucher that most baskets do not
// have.
func (r *release) discount(Basket) {
	if !r.buggy {
		return
	}
	var vouchers map[uint64]*Confirmation
	if n := r.baskets.Add(1); n%luckyBasket != 0 {
		_ = vouchers[n].Cents // no voucher: nil pointer dereference
	}
}
