package shop

import (
	"context"
	"time"

	"github.com/throughline-otel/throughline/examples/shop/internal/cards"
	"github.com/throughline-otel/throughline/examples/shop/internal/catalog"
	"github.com/throughline-otel/throughline/examples/shop/internal/checkout"
	"github.com/throughline-otel/throughline/examples/shop/internal/fault"
	"github.com/throughline-otel/throughline/examples/shop/internal/fulfilment"
	"github.com/throughline-otel/throughline/examples/shop/internal/payments"
)

// The layers in which the faults are.
const (
	application = "application"
	data        = "data"
	external    = "external"
	platform    = "platform"
)

// How bad it gets. Usual answers take less than 100 ms, so that all of these are plain to see.
const (
	slowQuery   = 250 * time.Millisecond // two of them in each checkout
	slowCards   = 400 * time.Millisecond
	slowPacking = 380 * time.Millisecond
	slowWire    = 200 * time.Millisecond // each way
)

// databasePeer is what a caller's spans tell of the database: its system and its namespace.
const databasePeer = "sqlite:shop"

// FaultNames are the faults' names, in the order in which they happen: neighbours have different culprits.
func FaultNames() []string {
	faults := (&Shop{}).Faults()
	names := make([]string, len(faults))
	for i, f := range faults {
		names[i] = f.Name
	}
	return names
}

// Faults are all faults of the shop.
func (s *Shop) Faults() []fault.Fault {
	return []fault.Fault{
		{
			Name:    "slow-database",
			Story:   "each query takes 250 ms longer",
			Culprit: fault.Culprit{Name: databasePeer, Layer: data},
			Inject:  do(func() { s.database.Slow(slowQuery) }),
			Lift:    do(func() { s.database.Slow(0) }),
		},
		{
			Name:    "checkout-bug",
			Story:   "version " + checkout.Bad + " of checkout is rolled out; it panics in its own code",
			Culprit: fault.Culprit{Name: checkout.Host, Layer: application},
			Inject:  func(ctx context.Context) error { return s.checkout.Rollout(ctx, checkout.Bad) },
			Lift:    func(ctx context.Context) error { return s.checkout.Rollout(ctx, checkout.Good) },
		},
		{
			Name:    "card-provider-down",
			Story:   "the card provider refuses connections",
			Culprit: fault.Culprit{Name: cards.Host, Layer: external},
			Inject:  func(ctx context.Context) error { return s.cards.Down(ctx) },
			Lift:    func(context.Context) error { return s.cards.Up() },
		},
		{
			Name:    "lagging-consumer",
			Story:   "fulfilment takes 400 ms for an order, so that the queue grows",
			Culprit: fault.Culprit{Name: fulfilment.Name, Layer: application},
			Inject:  do(func() { s.fulfilment.Slow(slowPacking) }),
			Lift:    do(func() { s.fulfilment.Slow(0) }),
		},
		{
			Name:    "failing-database",
			Story:   "nine of ten queries fail",
			Culprit: fault.Culprit{Name: databasePeer, Layer: data},
			Inject:  do(func() { s.database.Fail(true) }),
			Lift:    do(func() { s.database.Fail(false) }),
		},
		{
			Name:    "network-delay",
			Story:   "the network between checkout and payments takes 200 ms each way",
			Culprit: fault.Culprit{Name: payments.Host, Layer: platform},
			Inject:  do(func() { s.wire.Delay(slowWire) }),
			Lift:    do(func() { s.wire.Delay(0) }),
		},
		{
			Name:    "cache-lost",
			Story:   "flag " + catalog.Flag + " is turned off: catalog uses no cache, and a page is 20 queries of usual speed",
			Culprit: fault.Culprit{Name: catalog.Host, Layer: application},
			Inject:  do(func() { s.catalog.LoseCache() }),
			Lift:    func(ctx context.Context) error { return s.catalog.RestoreCache(ctx) },
		},
		{
			Name:    "card-provider-slow",
			Story:   "the card provider takes 400 ms longer",
			Culprit: fault.Culprit{Name: cards.Host, Layer: external},
			Inject:  do(func() { s.cards.Slow(slowCards) }),
			Lift:    do(func() { s.cards.Slow(0) }),
		},
		{
			Name:    "cpu-hog",
			Story:   "a background job takes nearly all of catalog's CPU share",
			Culprit: fault.Culprit{Name: catalog.Host, Layer: application},
			Inject:  do(func() { s.catalog.Hog(true) }),
			Lift:    do(func() { s.catalog.Hog(false) }),
		},
	}
}

// do is for what cannot fail.
func do(f func()) func(context.Context) error {
	return func(context.Context) error {
		f()
		return nil
	}
}
