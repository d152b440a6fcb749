// Package shop puts the services together.
package shop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/throughline-otel/throughline/examples/shop/internal/cards"
	"github.com/throughline-otel/throughline/examples/shop/internal/catalog"
	"github.com/throughline-otel/throughline/examples/shop/internal/checkout"
	"github.com/throughline-otel/throughline/examples/shop/internal/database"
	"github.com/throughline-otel/throughline/examples/shop/internal/front"
	"github.com/throughline-otel/throughline/examples/shop/internal/fulfilment"
	"github.com/throughline-otel/throughline/examples/shop/internal/mail"
	"github.com/throughline-otel/throughline/examples/shop/internal/network"
	"github.com/throughline-otel/throughline/examples/shop/internal/orders"
	"github.com/throughline-otel/throughline/examples/shop/internal/payments"
	"github.com/throughline-otel/throughline/examples/shop/internal/telemetry"
)

const version = "1.0.0"

// Shop is the running system.
type Shop struct {
	Network *network.Network

	wire       *network.Proxy
	database   *database.Database
	cards      *cards.Provider
	catalog    *catalog.Service
	checkout   *checkout.Service
	fulfilment *fulfilment.Service

	closers []func(context.Context) error // in the order of the start
	exports []*telemetry.Telemetry
}

// Start starts all services. Their telemetry goes to the collector at endpoint, mail's log to mailLog.
func Start(ctx context.Context, endpoint string, mailLog io.Writer) (*Shop, error) {
	s := &Shop{Network: network.New()}
	if err := s.start(ctx, endpoint, mailLog); err != nil {
		return nil, errors.Join(err, s.Close(ctx))
	}
	return s, nil
}

func (s *Shop) start(ctx context.Context, endpoint string, mailLog io.Writer) error {
	dir, err := os.MkdirTemp("", "throughline-shop-")
	if err != nil {
		return err
	}
	s.onClose(func(context.Context) error { return os.RemoveAll(dir) })

	begin := func(service telemetry.Service) *telemetry.Telemetry {
		if err != nil {
			return nil
		}
		var t *telemetry.Telemetry
		if t, err = telemetry.Start(ctx, service, endpoint); err == nil {
			s.exports = append(s.exports, t)
		}
		return t
	}
	var (
		frontSDK      = begin(telemetry.Service{Name: front.Host, Version: version})
		paymentsSDK   = begin(telemetry.Service{Name: payments.Host, Version: version})
		catalogSDK    = begin(telemetry.Service{Name: catalog.Host, Version: version})
		fulfilmentSDK = begin(telemetry.Service{Name: fulfilment.Name, Version: version})
		mailSDK       = begin(telemetry.Service{Name: mail.Name, Version: version, OldFashioned: true})
	)
	if err != nil {
		return err
	}

	if s.database, err = database.Create(dir); err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	broker, err := orders.StartBroker(ctx, dir)
	if err != nil {
		return fmt.Errorf("start broker: %w", err)
	}
	s.onClose(func(context.Context) error { broker.Close(); return nil })

	mailService, err := mail.Start(ctx, mailSDK, broker, mailLog)
	if err != nil {
		return err
	}
	s.onClose(func(context.Context) error { mailService.Close(); return nil })
	if s.fulfilment, err = fulfilment.Start(ctx, fulfilmentSDK, broker); err != nil {
		return err
	}
	s.onClose(func(context.Context) error { s.fulfilment.Close(); return nil })

	if s.cards, err = cards.Start(s.Network); err != nil {
		return err
	}
	s.onClose(s.cards.Down)
	paymentsService, err := payments.Start(s.Network, paymentsSDK, s.database)
	if err != nil {
		return err
	}
	s.onClose(func(context.Context) error { return paymentsService.Close() })
	if s.wire, err = s.Network.StartProxy(payments.Host, payments.Pod+":"+payments.Port); err != nil {
		return err
	}
	s.onClose(func(context.Context) error { return s.wire.Close() })
	if s.catalog, err = catalog.Start(ctx, s.Network, catalogSDK, s.database); err != nil {
		return err
	}
	s.onClose(s.catalog.Close)
	if s.checkout, err = checkout.Start(ctx, s.Network, broker, endpoint); err != nil {
		return err
	}
	s.onClose(s.checkout.Close)
	frontService, err := front.Start(s.Network, frontSDK)
	if err != nil {
		return err
	}
	s.onClose(frontService.Close)
	return nil
}

func (s *Shop) onClose(f func(context.Context) error) { s.closers = append(s.closers, f) }

// Close ends the services, those first where requests enter, and then flushes all telemetry.
func (s *Shop) Close(ctx context.Context) error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i](ctx))
	}
	var flushes sync.WaitGroup // at once: without a collector each of them takes its time
	for _, t := range s.exports {
		flushes.Go(func() { t.Shutdown(ctx) })
	}
	flushes.Wait()
	return errors.Join(errs...)
}
