package shop

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"

	"github.com/throughline-otel/throughline/examples/shop/internal/catalog"
	"github.com/throughline-otel/throughline/examples/shop/internal/fault"
	"github.com/throughline-otel/throughline/examples/shop/internal/load"
	"github.com/throughline-otel/throughline/examples/shop/internal/otlptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	rate = 30

	// settle is how long a fault, or its end, may take to be seen by each new request; watch is how
	// long requests are watched then.
	settle = time.Second
	watch  = 2 * time.Second

	// tail lets a usual request end before the next change.
	tail = 300 * time.Millisecond

	// tooSlow is the objectives' threshold for the front, tooSlowPacking that for fulfilment.
	tooSlow        = 300 * time.Millisecond
	tooSlowPacking = 200 * time.Millisecond

	most = 0.7
)

// TestShop runs one shop for all of its parts: it is the start that takes time.
func TestShop(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	collector := otlptest.New(t)
	var mailLog lockedBuffer
	shop, err := Start(t.Context(), collector.Endpoint, &mailLog)
	if err != nil {
		t.Fatal(err)
	}
	windows := live(t, shop)
	if err := shop.Close(t.Context()); err != nil { // this flushes, too
		t.Error(err)
	}

	t.Run("healthy", func(t *testing.T) {
		spans := windows[0].of(collector)
		healthy(t, spans)
		conventions(t, spans)
		linked(t, collector, spans)
	})
	for i, f := range shop.Faults() {
		t.Run(f.Name, func(t *testing.T) {
			broken := windows[1+2*i].of(collector)
			checks[f.Name](t, broken)
			burns(t, f, broken)
			healthy(t, windows[2+2*i].of(collector))
		})
	}
	t.Run("logs", func(t *testing.T) { logged(t, collector) })
	t.Run("mail", func(t *testing.T) { oldFashioned(t, collector, mailLog.Bytes()) })
	t.Run("metrics", func(t *testing.T) { measured(t, collector) })
}

// live lets customers in and each fault happen. It returns the times to look at: the first without
// a fault, and two for each fault, with it and after it.
func live(t *testing.T, shop *Shop) []window {
	customers, stop := context.WithCancel(t.Context())
	var door sync.WaitGroup
	door.Go(func() { load.Run(customers, shop.Network, rate, 1) })
	defer door.Wait()
	defer stop()

	windows := []window{look()} // what settles here are the connections
	for _, f := range shop.Faults() {
		if err := f.Inject(t.Context()); err != nil {
			t.Fatalf("inject %s: %v", f.Name, err)
		}
		flush(t, shop)
		windows = append(windows, look())
		flush(t, shop)
		if err := f.Lift(t.Context()); err != nil {
			t.Fatalf("lift %s: %v", f.Name, err)
		}
		windows = append(windows, look())
	}
	return windows
}

// window is a time in which nothing changed.
type window struct{ from, to time.Time }

func look() window {
	time.Sleep(settle)
	from := time.Now()
	time.Sleep(watch)
	w := window{from, time.Now()}
	time.Sleep(tail)
	return w
}

// flush has gauges read within a fault, which lasts less than the interval of the metrics.
func flush(t *testing.T, shop *Shop) {
	for _, e := range shop.exports {
		if err := e.Metrics.ForceFlush(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// of returns what started within the window.
func (w window) of(c *otlptest.Collector) spans {
	return c.Spans(func(s otlptest.Span) bool { return s.Start().After(w.from) && s.Start().Before(w.to) })
}

type spans []otlptest.Span

// of returns the service's spans whose names start so.
func (s spans) of(service, name string) spans {
	return s.where(func(s otlptest.Span) bool {
		return s.Service() == service && strings.HasPrefix(s.Name, name)
	})
}

func (s spans) kind(k traces.Span_SpanKind) spans {
	return s.where(func(s otlptest.Span) bool { return s.Kind == k })
}

func (s spans) where(match func(otlptest.Span) bool) spans {
	var out spans
	for _, span := range s {
		if match(span) {
			out = append(out, span)
		}
	}
	return out
}

func (s spans) share(match func(otlptest.Span) bool) float64 {
	if len(s) == 0 {
		return 0
	}
	return float64(len(s.where(match))) / float64(len(s))
}

func (s spans) children(parent otlptest.Span) spans {
	return s.where(func(s otlptest.Span) bool { return bytes.Equal(s.ParentSpanId, parent.SpanId) })
}

// self is the time of a span outside of its children, which here never overlap.
func (s spans) self(parent otlptest.Span) time.Duration {
	self := parent.Duration()
	for _, child := range s.children(parent) {
		self -= child.Duration()
	}
	return self
}

func longer(d time.Duration) func(otlptest.Span) bool {
	return func(s otlptest.Span) bool { return s.Duration() >= d }
}

func failed(s otlptest.Span) bool { return s.Failed() }

// quantile returns the duration below which that share of the spans is.
func (s spans) quantile(share float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.SortedFunc(slices.Values(s), func(a, b otlptest.Span) int {
		return cmp.Compare(a.Duration(), b.Duration())
	})
	return sorted[int(share*float64(len(s)-1))].Duration()
}

func (s spans) queries(service string) spans {
	return s.where(func(s otlptest.Span) bool {
		return s.Service() == service && s.Attrs.String("db.system.name") == "sqlite"
	})
}

// mostly fails the test unless most of at least a few spans match.
func mostly(t *testing.T, what string, s spans, match func(otlptest.Span) bool) {
	t.Helper()
	if len(s) < 5 || s.share(match) < most {
		t.Errorf("%s: %.0f%% of %d spans", what, 100*s.share(match), len(s))
	}
}

// hardly fails the test if many spans match: a noisy machine slows some down.
func hardly(t *testing.T, what string, s spans, match func(otlptest.Span) bool) {
	t.Helper()
	if len(s) < 5 || s.share(match) > 0.1 {
		t.Errorf("%s: %.0f%% of %d spans", what, 100*s.share(match), len(s))
	}
}

func healthy(t *testing.T, s spans) {
	t.Helper()
	for _, name := range []string{"GET /", "GET /products/{id}", "POST /checkout"} {
		requests := s.of("front", name).kind(traces.Span_SPAN_KIND_SERVER)
		hardly(t, "healthy: slow "+name, requests, longer(tooSlow))
	}
	hardly(t, "healthy: slow packing", s.of("fulfilment", "process orders"), longer(tooSlowPacking))
	checkouts := s.of("front", "POST /checkout").kind(traces.Span_SPAN_KIND_SERVER)
	t.Logf("healthy: %d checkouts, half of them below %s, 95%% below %s",
		len(checkouts), checkouts.quantile(0.5), checkouts.quantile(0.95))
	for _, span := range s.where(failed) {
		t.Errorf("healthy: %s %s failed: %s", span.Service(), span.Name, span.GetStatus().GetMessage())
	}
	if len(s.queries("payments")) == 0 {
		t.Error("healthy: payments asked the database nothing")
	}
}

// conventions checks what others read the shop's telemetry by.
func conventions(t *testing.T, s spans) {
	for _, want := range []struct {
		service, name string
		kind          traces.Span_SpanKind
		attrs         otlptest.Attrs
	}{
		{"front", "GET /", traces.Span_SPAN_KIND_SERVER, otlptest.Attrs{"http.route": "/", "http.response.status_code": int64(200)}},
		{"front", "GET /products/{id}", traces.Span_SPAN_KIND_SERVER, otlptest.Attrs{"http.route": "/products/{id}"}},
		{"front", "POST /checkout", traces.Span_SPAN_KIND_SERVER, otlptest.Attrs{"http.route": "/checkout", "http.request.method": "POST"}},
		{"front", "POST", traces.Span_SPAN_KIND_CLIENT, otlptest.Attrs{"server.address": "checkout"}},
		{"checkout", "POST /checkout", traces.Span_SPAN_KIND_SERVER, otlptest.Attrs{"http.route": "/checkout"}},
		{"checkout", "GET", traces.Span_SPAN_KIND_CLIENT, otlptest.Attrs{"server.address": "catalog"}},
		{"checkout", "shop.payments.v1.Payments/Charge", traces.Span_SPAN_KIND_CLIENT, otlptest.Attrs{
			"rpc.system.name": "grpc", "server.address": "payments", "server.port": int64(9090),
		}},
		{"checkout", "send orders", traces.Span_SPAN_KIND_PRODUCER, otlptest.Attrs{
			"messaging.system": "nats", "messaging.destination.name": "orders",
			"messaging.operation.type": "send", "messaging.operation.name": "send",
		}},
		{"payments", "shop.payments.v1.Payments/Charge", traces.Span_SPAN_KIND_SERVER, nil},
		{"payments", "POST", traces.Span_SPAN_KIND_CLIENT, otlptest.Attrs{"server.address": "cards.example.com"}},
		{"payments", "INSERT payment", traces.Span_SPAN_KIND_CLIENT, otlptest.Attrs{
			"db.system.name": "sqlite", "db.namespace": "shop", "db.operation.name": "INSERT", "db.collection.name": "payment",
		}},
		{"payments", "UPDATE payment", traces.Span_SPAN_KIND_CLIENT, otlptest.Attrs{"server.address": nil}},
		{"fulfilment", "process orders", traces.Span_SPAN_KIND_CONSUMER, otlptest.Attrs{
			"messaging.system": "nats", "messaging.destination.name": "orders", "messaging.operation.type": "process",
			"messaging.consumer.group.name": "fulfilment",
		}},
		{"mail", "process orders", traces.Span_SPAN_KIND_CONSUMER, otlptest.Attrs{"messaging.consumer.group.name": "mail"}},
	} {
		found := s.where(func(s otlptest.Span) bool {
			return s.Service() == want.service && s.Name == want.name && s.Kind == want.kind
		})
		if len(found) == 0 {
			t.Errorf("no span %s of %s", want.name, want.service)
			continue
		}
		for key, value := range want.attrs {
			if found[0].Attrs[key] != value {
				t.Errorf("%s of %s: %s is %v, want %v", want.name, want.service, key, found[0].Attrs[key], value)
			}
		}
		for _, span := range found {
			if span.Attrs.String("shop.tenant") == "" {
				t.Errorf("%s of %s has no tenant", want.name, want.service)
				break
			}
		}
		for _, key := range []string{
			"service.version", "service.instance.id", "host.name", "process.runtime.name", "telemetry.sdk.name",
		} {
			if found[0].Resource.String(key) == "" {
				t.Errorf("%s has no %s", want.service, key)
			}
		}
		if got := found[0].Resource["service.namespace"]; got != "shop" {
			t.Errorf("%s is in namespace %v", want.service, got)
		}
		if got := found[0].Resource["deployment.environment.name"]; got != "demo" {
			t.Errorf("%s is in environment %v", want.service, got)
		}
	}
}

// linked checks that consumers start traces of their own, with a link to the span that sent.
func linked(t *testing.T, c *otlptest.Collector, s spans) {
	sent := make(map[string]otlptest.Span)
	for _, span := range c.Spans(func(s otlptest.Span) bool { return s.Name == "send orders" }) {
		sent[string(span.SpanId)] = span
	}
	for _, group := range []string{"fulfilment", "mail"} {
		for _, span := range s.of(group, "process orders") {
			if len(span.ParentSpanId) != 0 {
				t.Fatalf("%s continues a trace", group)
			}
			if len(span.Links) != 1 {
				t.Fatalf("%s has %d links", group, len(span.Links))
			}
			producer, ok := sent[string(span.Links[0].SpanId)]
			if !ok || !bytes.Equal(producer.TraceId, span.Links[0].TraceId) {
				t.Fatalf("%s is not linked to a producer", group)
			}
			if producer.Attrs["messaging.message.id"] != span.Attrs["messaging.message.id"] {
				t.Fatalf("%s is linked to another message", group)
			}
		}
	}
}

// checks say how each fault shows, and where not.
var checks = map[string]func(*testing.T, spans){
	"slow-database": func(t *testing.T, s spans) {
		mostly(t, "slow queries", s.queries("payments"), longer(slowQuery))
		hardly(t, "failed queries", s.queries("payments"), failed)
	},
	"failing-database": func(t *testing.T, s spans) {
		// Once an entry of the cache has ended, requests fail there before they get to payments.
		queries := append(s.queries("payments"), s.queries("catalog")...)
		mostly(t, "failed queries", queries, failed)
		hardly(t, "slow queries", queries, longer(100*time.Millisecond))
	},
	"card-provider-down": func(t *testing.T, s spans) {
		mostly(t, "failed calls", s.of("payments", "POST").kind(traces.Span_SPAN_KIND_CLIENT), failed)
		hardly(t, "failed queries", s.queries("payments"), failed)
	},
	"card-provider-slow": func(t *testing.T, s spans) {
		mostly(t, "slow calls", s.of("payments", "POST").kind(traces.Span_SPAN_KIND_CLIENT), longer(slowCards))
		hardly(t, "slow queries", s.queries("payments"), longer(100*time.Millisecond))
	},
	"checkout-bug": func(t *testing.T, s spans) {
		requests := s.of("checkout", "POST /checkout")
		mostly(t, "failed requests", requests, failed)
		for _, request := range requests {
			if request.Resource["service.version"] != "1.5.0" {
				t.Fatalf("version %v", request.Resource["service.version"])
			}
			if request.Failed() && len(s.children(request)) > 0 {
				t.Fatal("the bug is not in checkout's own code")
			}
		}
	},
	"lagging-consumer": func(t *testing.T, s spans) {
		mostly(t, "slow processing", s.of("fulfilment", "process orders"), longer(slowPacking))
		hardly(t, "slow mail", s.of("mail", "process orders"), longer(100*time.Millisecond))
	},
	"network-delay": func(t *testing.T, s spans) {
		const charge = "shop.payments"
		mostly(t, "slow at the client", s.of("checkout", charge), longer(2*slowWire))
		hardly(t, "slow at the server", s.of("payments", charge), longer(slowWire))
	},
	"cpu-hog": func(t *testing.T, s spans) {
		mostly(t, "self time", s.of("catalog", "GET /products/{id}"), func(span otlptest.Span) bool {
			return s.self(span) >= 200*time.Millisecond
		})
	},
	"cache-lost": func(t *testing.T, s spans) {
		mostly(t, "many queries", s.of("catalog", "GET /products/{id}"), func(span otlptest.Span) bool {
			return len(s.children(span)) == 20
		})
		hardly(t, "slow queries", s.queries("catalog"), longer(100*time.Millisecond))
	},
}

// burns checks that some objective sees the fault.
func burns(t *testing.T, f fault.Fault, s spans) {
	checkouts := s.of("front", "POST /checkout").kind(traces.Span_SPAN_KIND_SERVER)
	t.Logf("broken: %d checkouts, %.0f%% failed, half of them below %s, 95%% below %s", len(checkouts),
		100*checkouts.share(failed), checkouts.quantile(0.5), checkouts.quantile(0.95))
	shares := []float64{
		checkouts.share(failed),
		checkouts.share(longer(tooSlow)),
		s.of("fulfilment", "process orders").share(longer(tooSlowPacking)),
	}
	if slices.Max(shares) < most {
		t.Errorf("%s burns too little: %.2f of the checkouts fail, %.2f are slow, %.2f of the packing is",
			f.Name, shares[0], shares[1], shares[2])
	}
}

func logged(t *testing.T, c *otlptest.Collector) {
	for _, service := range []string{"front", "checkout", "payments", "catalog", "fulfilment"} {
		records := c.Logs(func(l otlptest.Log) bool { return l.Resource.String("service.name") == service && len(l.TraceId) > 0 })
		if len(records) == 0 {
			t.Errorf("%s logged nothing in a trace", service)
		}
	}
	if n := len(c.Logs(func(l otlptest.Log) bool { return l.Resource.String("service.name") == "mail" })); n > 0 {
		t.Errorf("mail exported %d records, but it is old-fashioned", n)
	}
	panics := c.Logs(func(l otlptest.Log) bool {
		return l.SeverityText == "ERROR" && l.Resource.String("service.version") == "1.5.0" &&
			strings.Contains(l.Attrs.String("exception.stacktrace"), "discount")
	})
	if len(panics) == 0 {
		t.Error("the bug left no stack trace")
	}
	for _, variant := range []string{"on", "off"} {
		evaluations := c.Logs(func(l otlptest.Log) bool {
			return l.EventName == "feature_flag.evaluation" && len(l.TraceId) > 0 && l.Attrs.String("feature_flag.key") == catalog.Flag &&
				l.Attrs.String("feature_flag.result.variant") == variant
		})
		if len(evaluations) == 0 {
			t.Errorf("nobody evaluated the flag to %s", variant)
		}
	}
}

func oldFashioned(t *testing.T, c *otlptest.Collector, file []byte) {
	processed := make(map[string]bool)
	for _, span := range c.Spans(func(s otlptest.Span) bool { return s.Service() == "mail" }) {
		processed[hex.EncodeToString(span.TraceId)+hex.EncodeToString(span.SpanId)] = true
	}
	lines := 0
	for scanner := bufio.NewScanner(bytes.NewReader(file)); scanner.Scan(); lines++ {
		var line struct {
			Time    time.Time `json:"time"`
			Level   string    `json:"level"`
			Msg     string    `json:"msg"`
			TraceID string    `json:"trace_id"`
			SpanID  string    `json:"span_id"`
		}
		if err := json.Unmarshal(scanner.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		if line.Time.IsZero() || line.Level != "INFO" || line.Msg != "mail sent" {
			t.Fatalf("line %s", scanner.Bytes())
		}
		if !processed[line.TraceID+line.SpanID] {
			t.Fatalf("no span for line %s", scanner.Bytes())
		}
	}
	if lines == 0 {
		t.Error("mail logged nothing")
	}
}

func measured(t *testing.T, c *otlptest.Collector) {
	exemplars := make(map[string]int)
	for _, m := range c.Metrics(func(otlptest.Metric) bool { return true }) {
		for _, p := range m.GetHistogram().GetDataPoints() {
			exemplars[m.Resource.String("service.name")] += len(p.GetExemplars())
		}
	}
	for _, service := range []string{"front", "checkout", "payments", "catalog", "fulfilment"} {
		if exemplars[service] == 0 {
			t.Errorf("the metrics of %s have no exemplars", service)
		}
	}
	if exemplars["mail"] > 0 {
		t.Error("the metrics of mail have exemplars, but it is old-fashioned")
	}
	var peak float64
	for _, p := range gauge(c, "catalog", "process.cpu.utilization") {
		peak = max(peak, p.GetAsDouble())
	}
	if peak < 0.8 {
		t.Errorf("the CPU hog brought the utilization to %.2f", peak)
	}
	var backlog int64
	for _, p := range gauge(c, "fulfilment", "shop.orders.pending") {
		backlog = max(backlog, p.GetAsInt())
	}
	if backlog < 5 {
		t.Errorf("the lagging consumer had at most %d orders pending", backlog)
	}
}

func gauge(c *otlptest.Collector, service, name string) []*metrics.NumberDataPoint {
	var points []*metrics.NumberDataPoint
	for _, m := range c.Metrics(func(m otlptest.Metric) bool {
		return m.Name == name && m.Resource.String("service.name") == service
	}) {
		points = append(points, m.GetGauge().GetDataPoints()...)
	}
	return points
}

func TestFaultNames(t *testing.T) {
	names := FaultNames()
	faults := (&Shop{}).Faults()
	if len(names) != 9 {
		t.Errorf("%d faults", len(names))
	}
	for i, f := range faults {
		if next := faults[(i+1)%len(faults)]; f.Culprit.Name == next.Culprit.Name {
			t.Errorf("neighbours %s and %s have the same culprit", f.Name, next.Name)
		}
		if slices.Contains(names[:i], f.Name) {
			t.Errorf("two faults are called %s", f.Name)
		}
	}
}

func TestStartWithoutFolder(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir()+"/missing")
	if _, err := Start(t.Context(), "127.0.0.1:1", &bytes.Buffer{}); err == nil {
		t.Error("the shop started without a place for its files")
	}
}

// lockedBuffer is for a writer and a reader in different goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) Bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.b.Bytes())
}
