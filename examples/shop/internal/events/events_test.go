package events

import (
	"net"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/throughline-otel/throughline/examples/shop/internal/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func str(s string) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: s}}
}

func num(f float64) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_DoubleValue{DoubleValue: f}}
}

func arr(values ...*common.AnyValue) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: &common.ArrayValue{Values: values}}}
}

func record(name, body string, attrs map[string]*common.AnyValue) *logs.LogRecord {
	r := &logs.LogRecord{EventName: name, Body: str(body)}
	for key, value := range attrs {
		r.Attributes = append(r.Attributes, &common.KeyValue{Key: key, Value: value})
	}
	return r
}

func TestReceiver(t *testing.T) {
	heard := make(chan Event, 10)
	address := freeAddress(t)
	r, err := Listen(address, func(e Event, at time.Time) {
		if time.Since(at) > time.Minute {
			t.Errorf("arrived at %s", at)
		}
		heard <- e
	})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := Listen(address, nil); err == nil {
		t.Error("two receivers have one address")
	}

	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = collogs.NewLogsServiceClient(conn).Export(t.Context(), &collogs.ExportLogsServiceRequest{
		ResourceLogs: []*logs.ResourceLogs{{ScopeLogs: []*logs.ScopeLogs{{LogRecords: []*logs.LogRecord{
			record("", "a log record that is no event", nil),
			record(BurnStarted, "Checkout burns.", map[string]*common.AnyValue{
				"slo.name": str("checkout-latency"), "slo.service": str("front"), "severity": str("page"),
				"slo.burn.onset":        str("2026-01-02T15:04:05Z"),
				"suspects.service.name": arr(str("sqlite:shop"), str("payments")),
				"suspects.layer":        arr(str("data")), // one is missing
				"suspects.score":        arr(num(0.9), num(0.1)),
				"suspects.reason":       arr(str("slow\x1b[2J since\n15:04:05"), str("")),
			}),
			record(BurnResolved, "", nil),
		}}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := Event{
		Name: BurnStarted, Body: "Checkout burns.", SLO: "checkout-latency", Service: "front", Severity: "page",
		Onset: "2026-01-02T15:04:05Z",
		Suspects: []Suspect{
			{Culprit: fault.Culprit{Name: "sqlite:shop", Layer: "data"}, Score: 0.9, Reason: "slow [2J since 15:04:05"},
			{Culprit: fault.Culprit{Name: "payments"}, Score: 0.1},
		},
	}
	if got := <-heard; !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	if got := <-heard; got.Name != BurnResolved || len(heard) > 0 {
		t.Errorf("got %+v and %d more", got, len(heard))
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                      "plain",
		"  a \t b\r\nc ":             "a b c",
		"\x1b]0;title\x07x":          "]0;title x",
		"\u202egnp.exe":              "gnp.exe",
		"\u009b31mred":               "31mred",
		"bad\xff\xfebytes":           "bad\uFFFDbytes",
		"line\u2028paragraph\u2029s": "line paragraph s",
		"größe → 1 µs":               "größe → 1 µs",
	} {
		if got := Clean(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	if got := Clean(strings.Repeat("ä", 10_000)); utf8.RuneCountInString(got) != maxRunes {
		t.Errorf("got %d runes", utf8.RuneCountInString(got))
	}
}

func FuzzClean(f *testing.F) {
	f.Add("a\x1b[0m\n")
	f.Add("\xc3\x28\u0085")
	f.Fuzz(func(t *testing.T, in string) {
		for _, r := range Clean(in) {
			if unicode.IsControl(r) || !unicode.IsGraphic(r) {
				t.Fatalf("%q is left of %q", r, in)
			}
		}
	})
}

func TestManySuspects(t *testing.T) {
	var names []*common.AnyValue
	for range 1000 {
		names = append(names, str("x"))
	}
	e := parse(record(BurnStarted, "", map[string]*common.AnyValue{"suspects.service.name": arr(names...)}))
	if len(e.Suspects) != maxSuspects {
		t.Errorf("%d suspects", len(e.Suspects))
	}
}
