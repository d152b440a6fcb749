package database

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/throughline-otel/throughline/examples/shop/internal/otlptest"
	"github.com/throughline-otel/throughline/examples/shop/internal/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParse(t *testing.T) {
	for query, want := range map[string][2]string{
		"":                                      {"", ""},
		"SELECT name FROM product WHERE id = ?": {"SELECT", "product"},
		"INSERT INTO payment VALUES (?)":        {"INSERT", "payment"},
		"UPDATE payment SET state = 'paid'":     {"UPDATE", "payment"},
		"VACUUM":                                {"VACUUM", ""},
		"SELECT 1":                              {"SELECT", ""},
	} {
		operation, table := parse(query)
		if got := [2]string{operation, table}; got != want {
			t.Errorf("%q: got %q", query, got)
		}
	}
}

func TestDatabase(t *testing.T) {
	collector := otlptest.New(t)
	sdk, err := telemetry.Start(t.Context(), telemetry.Service{Name: "test", Version: "1"}, collector.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	d, err := Create(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	db := d.Open(sdk)
	query := func(ctx context.Context) (cents int, took time.Duration, err error) {
		start := time.Now()
		err = db.QueryRowContext(ctx, `SELECT cents FROM price WHERE product = ?`, 7).Scan(&cents)
		return cents, time.Since(start), err
	}

	if cents, took, err := query(t.Context()); err != nil || cents != 100+37*7 || took < RoundTrip {
		t.Errorf("usual: %d after %s, %v", cents, took, err)
	}
	d.Slow(50 * time.Millisecond)
	if _, took, err := query(t.Context()); err != nil || took < RoundTrip+50*time.Millisecond {
		t.Errorf("slow: after %s, %v", took, err)
	}
	d.Slow(time.Hour)
	impatient, stop := context.WithTimeout(t.Context(), time.Millisecond)
	defer stop()
	if _, _, err := query(impatient); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("impatient: %v", err)
	}
	d.Slow(0)
	d.Fail(true)
	failures := 0
	for range 2 * spareQuery {
		if _, _, err := query(t.Context()); errors.Is(err, errIO) {
			failures++
		}
	}
	if failures != 2*(spareQuery-1) {
		t.Errorf("failing: %d of %d", failures, 2*spareQuery)
	}
	d.Fail(false)
	if _, _, err := query(t.Context()); err != nil {
		t.Errorf("well again: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}

	sdk.Shutdown(t.Context())
	spans := collector.Spans(func(s otlptest.Span) bool { return s.Name == "SELECT price" })
	if len(spans) != 4+2*spareQuery {
		t.Errorf("%d spans", len(spans))
	}
	for _, s := range spans {
		if s.Attrs["db.namespace"] != "shop" || s.Attrs["db.collection.name"] != "price" || s.Attrs["server.address"] != nil {
			t.Fatalf("attributes %v", s.Attrs)
		}
	}
}

func TestCreateWithoutFolder(t *testing.T) {
	if _, err := Create(t.TempDir() + "/missing"); err == nil {
		t.Error("a database without a folder")
	}
}
