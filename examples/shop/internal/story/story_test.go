package story

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/throughline-otel/throughline/examples/shop/internal/events"
	"github.com/throughline-otel/throughline/examples/shop/internal/fault"
	"github.com/throughline-otel/throughline/examples/shop/internal/otlptest"
	"github.com/throughline-otel/throughline/examples/shop/internal/score"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func config(t *testing.T, otlp string) Config {
	dir := t.TempDir()
	return Config{
		OTLP: otlp, Events: freeAddress(t), Rate: 20, Seed: 1, Faults: []string{"slow-database"},
		Plan:    fault.Plan{Warmup: time.Second, Every: 3 * time.Second, Length: 2 * time.Second, Duration: 5 * time.Second},
		MailLog: filepath.Join(dir, "logs", "mail.log"),
		JSON:    filepath.Join(dir, "out.json"),
	}
}

// announce says over OTLP, again and again until it is heard, that the service is the culprit.
func announce(ctx context.Context, t *testing.T, address, service, layer string) {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	attr := func(key, value string) *common.KeyValue {
		return &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_ArrayValue{
			ArrayValue: &common.ArrayValue{Values: []*common.AnyValue{
				{Value: &common.AnyValue_StringValue{StringValue: value}},
			}},
		}}}
	}
	request := &collogs.ExportLogsServiceRequest{ResourceLogs: []*logs.ResourceLogs{{ScopeLogs: []*logs.ScopeLogs{{
		LogRecords: []*logs.LogRecord{{
			EventName:  events.BurnStarted,
			Attributes: []*common.KeyValue{attr("suspects.service.name", service), attr("suspects.layer", layer)},
		}},
	}}}}}
	if _, err := collogs.NewLogsServiceClient(conn).Export(ctx, request, grpc.WaitForReady(true)); err != nil {
		t.Error(err)
	}
}

func TestStory(t *testing.T) {
	for _, tt := range []struct {
		name, said, layer string
		after             time.Duration
		ok                bool
		print             string
	}{
		{"right", "sqlite:shop", "data", 2500 * time.Millisecond, true, "1 of 1 fault answered right"},
		{"wrong", "checkout", "application", 2500 * time.Millisecond, false, "wrong"},
		{"too early", "sqlite:shop", "data", 0, false, "1 alarm without a fault"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			collector := otlptest.New(t)
			c := config(t, collector.Endpoint)
			said := make(chan struct{})
			go func() {
				defer close(said)
				time.Sleep(tt.after)
				announce(t.Context(), t, c.Events, tt.said, tt.layer)
			}()
			var out bytes.Buffer
			report, err := Run(t.Context(), c, &out)
			<-said
			if err != nil {
				t.Fatal(err)
			}
			if report.OK != tt.ok || !strings.Contains(out.String(), tt.print) {
				t.Errorf("ok %v:\n%s", report.OK, out.String())
			}
			var written score.Report
			data, err := os.ReadFile(c.JSON)
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(data, &written); err != nil || written.OK != tt.ok || len(written.Answers) != 1 {
				t.Errorf("written %s, %v", data, err)
			}
			if info, err := os.Stat(c.MailLog); err != nil || info.Size() == 0 {
				t.Errorf("mail log: %v", err)
			}
		})
	}
}

// TestAlone checks that the shop says so if nobody listens, and can be interrupted.
func TestAlone(t *testing.T) {
	c := config(t, freeAddress(t))
	c.Plan.Duration = 0
	ctx, interrupt := context.WithTimeout(t.Context(), 2500*time.Millisecond)
	defer interrupt()
	var out bytes.Buffer
	report, err := Run(ctx, c, &out)
	if err != nil {
		t.Fatal(err)
	}
	if report.OK || len(report.Answers) != 1 || report.Answers[0].Verdict != score.VerdictCutShort {
		t.Errorf("report %+v", report)
	}
	for _, want := range []string{"Telemetry does not get to the collector", "No events came at all", "cut short"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("not said: %s\n%s", want, out.String())
		}
	}
}

func TestBadConfig(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"rate":   func(c *Config) { c.Rate = 0 },
		"fault":  func(c *Config) { c.Faults = []string{"nonsense"} },
		"slot":   func(c *Config) { c.Plan.Duration = time.Second },
		"plan":   func(c *Config) { c.Plan.Length = 0 },
		"events": func(c *Config) { c.Events = "127.0.0.1:none" },
	} {
		c := config(t, freeAddress(t))
		change(&c)
		if _, err := Run(t.Context(), c, &bytes.Buffer{}); err == nil {
			t.Errorf("a wrong %s was accepted", name)
		}
	}
}
