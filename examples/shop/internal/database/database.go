// Package database is the shop's one SQL database, which payments and catalog share.
//
// Its faults sit in a driver below the instrumentation: telemetry sees them the way it would see
// an overloaded or broken database server.
package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/XSAM/otelsql"
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"modernc.org/sqlite"

	"github.com/throughline-otel/throughline/examples/shop/internal/telemetry"
)

const (
	// RoundTrip is what each query takes besides the work of SQLite, as a database server that is
	// one network hop away would.
	RoundTrip = 18 * time.Millisecond

	// Products is the number of products on sale, 1 to Products.
	Products = 60

	name = "shop"
	// spareQuery: while the database fails, one query of so many works.
	spareQuery = 10
	maxConns   = 64
)

const schema = `
CREATE TABLE product (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE price (product INTEGER PRIMARY KEY, cents INTEGER NOT NULL);
CREATE TABLE payment (id TEXT PRIMARY KEY, cents INTEGER NOT NULL, state TEXT NOT NULL);`

var errIO = errors.New("disk I/O error (10)")

// Database is a SQLite file with a driver that can misbehave.
type Database struct {
	dsn     string
	delay   atomic.Int64
	failing atomic.Bool
	queries atomic.Uint64
}

// Create makes a new database with its products in the folder.
func Create(dir string) (*Database, error) {
	pragmas := url.Values{"_pragma": {"busy_timeout(5000)", "synchronous(OFF)"}}
	d := &Database{dsn: "file:" + filepath.Join(dir, name+".db") + "?" + pragmas.Encode()}

	db, err := sql.Open("sqlite", d.dsn)
	if err != nil {
		return nil, err
	}
	return d, errors.Join(fill(db), db.Close())
}

func fill(db *sql.DB) error {
	// The mode stays with the file. To set it again in each connection would wait for the others' locks.
	if _, err := db.Exec(`PRAGMA journal_mode = WAL`); err != nil {
		return fmt.Errorf("set journal mode: %w", err)
	}
	if _, err := db.Exec(schema); err != nil {
		return fmt.Errorf("create schema: %w", err)
	}
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback() // of no effect after the commit
	for id := 1; id <= Products; id++ {
		_, named := tx.Exec(`INSERT INTO product VALUES (?, ?)`, id, fmt.Sprintf("Product %d", id))
		_, priced := tx.Exec(`INSERT INTO price VALUES (?, ?)`, id, 100+37*id)
		if err := errors.Join(named, priced); err != nil {
			return fmt.Errorf("insert product %d: %w", id, err)
		}
	}
	return tx.Commit()
}

// Slow makes each query take so much longer; zero ends it.
func (d *Database) Slow(by time.Duration) { d.delay.Store(int64(by)) }

// Fail makes most queries fail, or ends it.
func (d *Database) Fail(on bool) { d.failing.Store(on) }

// Open returns a handle whose queries are CLIENT spans of the service.
func (d *Database) Open(t *telemetry.Telemetry) *sql.DB {
	db := otelsql.OpenDB(connector{d},
		otelsql.WithTracerProvider(t.Traces),
		otelsql.WithMeterProvider(t.Metrics),
		otelsql.WithAttributes(semconv.DBSystemNameSQLite, semconv.DBNamespace(name)),
		otelsql.WithAttributesGetter(describe),
		otelsql.WithInstrumentAttributesGetter(describe),
		otelsql.WithSpanNameFormatter(func(_ context.Context, _ otelsql.Method, query string) string {
			operation, table := parse(query)
			return operation + " " + table
		}),
		otelsql.WithSpanOptions(otelsql.SpanOptions{
			OmitConnResetSession: true,
			OmitConnectorConnect: true,
			OmitConnPrepare:      true,
			OmitRows:             true,
		}),
	)
	db.SetMaxOpenConns(maxConns)
	db.SetMaxIdleConns(maxConns) // opening a connection is not free and is nobody's fault
	return db
}

func describe(_ context.Context, _ otelsql.Method, query string, _ []driver.NamedValue) []attribute.KeyValue {
	operation, table := parse(query)
	if operation == "" {
		return nil
	}
	return []attribute.KeyValue{semconv.DBOperationName(operation), semconv.DBCollectionName(table)}
}

// parse finds operation and table in the few plain statements that the shop uses.
func parse(query string) (operation, table string) {
	words := strings.Fields(query)
	if len(words) == 0 {
		return "", ""
	}
	operation = words[0]
	before := map[string]string{"SELECT": "FROM", "INSERT": "INTO", "UPDATE": "UPDATE"}[operation]
	for i, word := range words[:len(words)-1] {
		if word == before {
			return operation, words[i+1]
		}
	}
	return operation, ""
}

// suffer is what a query meets before it gets to SQLite.
func (d *Database) suffer(ctx context.Context) error {
	timer := time.NewTimer(RoundTrip + time.Duration(d.delay.Load()))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	if d.failing.Load() && d.queries.Add(1)%spareQuery != 0 {
		return errIO
	}
	return nil
}

type connector struct{ *Database }

func (c connector) Connect(context.Context) (driver.Conn, error) {
	inner, err := c.Driver().Open(c.dsn)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: inner, db: c.Database}, nil
}

func (connector) Driver() driver.Driver { return &sqlite.Driver{} }

// conn hides what the shop does not use of SQLite's connection, so that each query passes suffer.
type conn struct {
	driver.Conn
	db *Database
}

func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if err := c.db.suffer(ctx); err != nil {
		return nil, err
	}
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
}

func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if err := c.db.suffer(ctx); err != nil {
		return nil, err
	}
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
}
