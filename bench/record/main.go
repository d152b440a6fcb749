// Command record renews testdata/shop.jsonl.zst: it lets the shop run against a small OTLP receiver and keeps what comes,
// export request by export request, as OTLP JSON lines. Run it in the folder bench after `make bin/shop`.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
)

func main() {
	shop := flag.String("shop", "../bin/shop", "`file` of the shop's program")
	out := flag.String("out", "testdata/shop.jsonl.zst", "`file` to write")
	skip := flag.Duration("skip", 10*time.Second, "time that is left out at the start, when caches are cold")
	keep := flag.Duration("keep", 20*time.Second, "time that is kept after that")
	flag.Parse()
	if err := record(*shop, *out, *skip, *keep); err != nil {
		fmt.Fprintln(os.Stderr, "record:", err)
		os.Exit(1)
	}
}

func record(shop, out string, skip, keep time.Duration) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "shop")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(scratch) }()

	tape := &tape{from: time.Now().Add(skip)}
	tape.to = tape.from.Add(keep)
	server := grpc.NewServer()
	ptraceotlp.RegisterGRPCServer(server, &traces{tape: tape})
	pmetricotlp.RegisterGRPCServer(server, &metrics{tape: tape})
	plogotlp.RegisterGRPCServer(server, &logs{tape: tape})
	go func() { _ = server.Serve(listener) }()
	defer server.Stop()

	// The shop is given a moment longer than is kept, so that its shutdown is not on the tape.
	cmd := exec.Command(shop, "-otlp", listener.Addr().String(), "-events", "127.0.0.1:0", "-faults", "none",
		"-duration", (skip + keep + 2*time.Second).String(), "-mail-log", filepath.Join(scratch, "mail.log"))
	cmd.Stderr = os.Stderr
	// The shop ends with an error, since nobody tells it of any events; whether it worked is for the tape to say.
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		return fmt.Errorf("the shop: %w", err)
	}
	return tape.write(out)
}

// tape keeps the export requests that come between two times, in their order.
type tape struct {
	from, to time.Time

	mu    sync.Mutex
	lines [][]byte
}

type request interface{ MarshalJSON() ([]byte, error) }

func (t *tape) add(r request) error {
	if now := time.Now(); now.Before(t.from) || now.After(t.to) {
		return nil
	}
	line, err := r.MarshalJSON()
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, line)
	return nil
}

func (t *tape) write(path string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.lines) == 0 {
		return errors.New("the shop sent nothing")
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	z, err := zstd.NewWriter(file, zstd.WithEncoderLevel(zstd.SpeedBestCompression))
	if err != nil {
		return errors.Join(err, file.Close())
	}
	for _, line := range t.lines {
		_, _ = z.Write(append(line, '\n')) // Close tells of it
	}
	return errors.Join(z.Close(), file.Close())
}

type traces struct {
	ptraceotlp.UnimplementedGRPCServer
	tape *tape
}

func (s *traces) Export(_ context.Context, r ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	for _, of := range r.Traces().ResourceSpans().All() {
		disguise(of.Resource())
	}
	return ptraceotlp.NewExportResponse(), s.tape.add(r)
}

type metrics struct {
	pmetricotlp.UnimplementedGRPCServer
	tape *tape
}

func (s *metrics) Export(_ context.Context, r pmetricotlp.ExportRequest) (pmetricotlp.ExportResponse, error) {
	for _, of := range r.Metrics().ResourceMetrics().All() {
		disguise(of.Resource())
	}
	return pmetricotlp.NewExportResponse(), s.tape.add(r)
}

type logs struct {
	plogotlp.UnimplementedGRPCServer
	tape *tape
}

func (s *logs) Export(_ context.Context, r plogotlp.ExportRequest) (plogotlp.ExportResponse, error) {
	for _, of := range r.Logs().ResourceLogs().All() {
		disguise(of.Resource())
	}
	return plogotlp.NewExportResponse(), s.tape.add(r)
}

// disguise takes out what tells of the machine that the recording was made on.
func disguise(resource pcommon.Resource) {
	for _, key := range []string{"host.name", "os.description"} {
		if value, ok := resource.Attributes().Get(key); ok {
			value.SetStr("example")
		}
	}
}
