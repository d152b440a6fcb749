// Package catalog knows the products and prices: an HTTP service with a cache before the SQL
// database.
package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"

	"github.com/throughline-otel/throughline/examples/shop/internal/cpu"
	"github.com/throughline-otel/throughline/examples/shop/internal/database"
	"github.com/throughline-otel/throughline/examples/shop/internal/flags"
	"github.com/throughline-otel/throughline/examples/shop/internal/network"
	"github.com/throughline-otel/throughline/examples/shop/internal/telemetry"
	"github.com/throughline-otel/throughline/examples/shop/internal/web"
)

const (
	// Host is the name that callers use.
	Host = "catalog"
	// Flag is the feature flag by which the cache is used.
	Flag = "product-cache"

	// related is how many further products a product's page shows. With the page's own product,
	// two queries each, a page without cache is 20 queries.
	related = 9

	// A page computes in several slices, and the hog takes its turn between them: that is four
	// times up to 130 ms of waiting.
	slices = 4
	slice  = 200 * time.Microsecond
	hog    = 130 * time.Millisecond

	warmers = 8
)

// Item is a product with its price.
type Item struct {
	ID    int    `json:"id"`
	Name  string `json:"name"`
	Cents int64  `json:"cents"`
}

// Page is a product and what else might please.
type Page struct {
	Item
	Related []Item `json:"related"`
}

// Service is the running catalog.
type Service struct {
	telemetry *telemetry.Telemetry
	db        *sql.DB
	cache     cache
	cached    *flags.Flag // whether the cache is used
	cpu       *cpu.Share
	server    *web.Server

	hogging context.CancelFunc
	hogs    sync.WaitGroup
}

// Start fills the cache and puts the service onto the network.
func Start(ctx context.Context, n *network.Network, t *telemetry.Telemetry, db *database.Database) (*Service, error) {
	s := &Service{telemetry: t, db: db.Open(t), cpu: cpu.NewShare(), cached: flags.New(Flag, t)}
	if err := s.start(ctx, n); err != nil {
		return nil, errors.Join(err, s.db.Close())
	}
	return s, nil
}

func (s *Service) start(ctx context.Context, n *network.Network) error {
	_, err := s.telemetry.Meter().Float64ObservableGauge("process.cpu.utilization",
		metric.WithDescription("Share of the service's CPU limit that is in use."),
		metric.WithUnit("1"),
		metric.WithFloat64Callback(func(_ context.Context, o metric.Float64Observer) error {
			o.Observe(s.cpu.Utilization())
			return nil
		}))
	if err != nil {
		return err
	}
	if err := s.warm(ctx); err != nil {
		return fmt.Errorf("warm cache: %w", err)
	}
	mux := http.NewServeMux()
	web.Route(mux, s.telemetry, "GET /products/{id}", s.page)
	s.server, err = web.Serve(n, Host, mux)
	return err
}

// Close ends the service after the requests in flight.
func (s *Service) Close(ctx context.Context) error {
	s.Hog(false)
	return errors.Join(s.server.Close(ctx), s.db.Close())
}

// LoseCache turns the cache off by its flag.
func (s *Service) LoseCache() { s.cached.Set(false) }

// RestoreCache fills the cache and turns it on again.
func (s *Service) RestoreCache(ctx context.Context) error {
	err := s.warm(ctx)
	s.cached.Set(true)
	return err
}

// Hog starts or ends a background job that takes most of the service's CPU share. It is not safe
// for concurrent use.
func (s *Service) Hog(on bool) {
	if s.hogging != nil {
		s.hogging()
		s.hogs.Wait()
		s.hogging = nil
	}
	if on {
		ctx, cancel := context.WithCancel(context.Background())
		s.hogging = cancel
		s.hogs.Go(func() { s.cpu.Hog(ctx, hog) })
	}
}

func (s *Service) page(r *http.Request) (any, error) {
	ctx := r.Context()
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil || id < 1 || id > database.Products {
		return nil, &web.StatusError{Code: http.StatusNotFound, Err: errors.New("no such product")}
	}
	cached := s.cached.On(ctx)
	items := make([]Item, 0, 1+related)
	for k := range 1 + related {
		item, err := s.item(ctx, 1+(id-1+7*k)%database.Products, cached)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	for range slices {
		if err := s.cpu.Use(ctx, slice); err != nil {
			return nil, err
		}
	}
	return Page{Item: items[0], Related: items[1:]}, nil
}

func (s *Service) item(ctx context.Context, id int, cached bool) (Item, error) {
	if cached {
		if item, ok := s.cache.get(id, time.Now()); ok {
			return item, nil
		}
	}
	item := Item{ID: id}
	if err := s.db.QueryRowContext(ctx, `SELECT name FROM product WHERE id = ?`, id).Scan(&item.Name); err != nil {
		return Item{}, s.failed(ctx, "cannot read product", err)
	}
	if err := s.db.QueryRowContext(ctx, `SELECT cents FROM price WHERE product = ?`, id).Scan(&item.Cents); err != nil {
		return Item{}, s.failed(ctx, "cannot read price", err)
	}
	if cached {
		s.cache.put(item, time.Now().Add(spread()))
	}
	return item, nil
}

func (s *Service) failed(ctx context.Context, what string, err error) error {
	s.telemetry.Log.LogAttrs(ctx, slog.LevelError, what+": "+err.Error(),
		slog.String(string(semconv.ExceptionMessageKey), err.Error()))
	return fmt.Errorf("%s: %w", what, err)
}

// warm reads all products, so that a start is not a small cache-lost of its own.
func (s *Service) warm(ctx context.Context) error {
	ctx, span := s.telemetry.Tracer().Start(ctx, "warm cache")
	defer span.End()

	ids := make(chan int)
	errs := make([]error, warmers)
	var readers sync.WaitGroup
	for i := range warmers {
		readers.Go(func() {
			for id := range ids {
				if _, err := s.item(ctx, id, true); err != nil {
					errs[i] = err // the last one of each reader tells enough
				}
			}
		})
	}
	for id := 1; id <= database.Products; id++ {
		ids <- id
	}
	close(ids)
	readers.Wait()
	return errors.Join(errs...)
}
