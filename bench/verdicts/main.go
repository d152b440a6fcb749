// Command verdicts replays recordings through service_health in this process, as many at a time as there are cores and each in its own
// time, and writes the events that each leads to. It is for running all recordings again and again: examples/replay/diagnose.sh has a
// whole collector for each of them, and the same configuration.
//
//	verdicts [-config FILE] [-only PATTERNS] RECORDINGS EVENTS
//
// RECORDINGS is a folder with *.jsonl.zst, of which EVENTS, which must exist, gets a *.jsonl each.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/envprovider"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/connector/connectortest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector"
)

const (
	suffix  = ".jsonl.zst"
	section = "connectors::service_health"
)

func main() {
	config := flag.String("config", "../config/replay.yaml", "`file` with the configuration, of which "+section+" counts")
	only := flag.String("only", "*", "`patterns` of the recordings' names without "+suffix+", with commas between them")
	flag.Parse()
	if flag.NArg() != 2 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*config, *only, flag.Arg(0), flag.Arg(1)); err != nil {
		fmt.Fprintln(os.Stderr, "verdicts:", err)
		os.Exit(1)
	}
}

// run replays the recordings of a folder whose names match one of the patterns.
func run(config, only, from, to string) error {
	conf, err := read(config)
	if err != nil {
		return err
	}
	names, err := choose(from, only)
	if err != nil {
		return err
	}
	all := make(chan string)
	failed := make([]error, runtime.GOMAXPROCS(0))
	var workers sync.WaitGroup
	for i := range failed {
		workers.Go(func() {
			for name := range all {
				if err := replay(conf, filepath.Join(from, name+suffix), filepath.Join(to, name+".jsonl")); err != nil {
					failed[i] = errors.Join(failed[i], fmt.Errorf("%s: %w", name, err))
				}
			}
		})
	}
	for _, name := range names {
		all <- name
	}
	close(all)
	workers.Wait()
	return errors.Join(failed...)
}

// read returns what a file configures of service_health, with what the environment says.
func read(config string) (*confmap.Conf, error) {
	resolver, err := confmap.NewResolver(confmap.ResolverSettings{
		URIs:              []string{"file:" + config},
		ProviderFactories: []confmap.ProviderFactory{fileprovider.NewFactory(), envprovider.NewFactory()},
	})
	if err != nil {
		return nil, err
	}
	conf, err := resolver.Resolve(context.Background())
	if err != nil {
		return nil, err
	}
	return conf.Sub(section)
}

// choose returns the names of the recordings in a folder that match one of the patterns.
func choose(from, only string) (names []string, err error) {
	files, err := filepath.Glob(filepath.Join(from, "*"+suffix))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), suffix)
		for _, pattern := range strings.Split(only, ",") {
			matches, err := filepath.Match(pattern, name)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", pattern, err)
			}
			if matches {
				names = append(names, name)
				break
			}
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("no recording in %s matches %q", from, only)
	}
	return names, nil
}

// replay writes the events of one recording.
func replay(conf *confmap.Conf, recording, events string) error {
	in, err := os.Open(recording)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	plain, err := zstd.NewReader(in)
	if err != nil {
		return err
	}
	defer plain.Close()
	out, err := os.Create(events)
	if err != nil {
		return err
	}
	h, err := start(conf, out)
	if err == nil {
		err = errors.Join(h.feed(plain), h.stop())
	}
	return errors.Join(err, out.Close())
}

// health is a connector with an instance for each signal.
type health struct {
	traces  connector.Traces
	metrics connector.Metrics
	logs    connector.Logs
}

func start(conf *confmap.Conf, out io.Writer) (h health, err error) {
	factory := servicehealthconnector.NewFactory()
	cfg := factory.CreateDefaultConfig()
	if err := conf.Unmarshal(cfg); err != nil {
		return h, err
	}
	events, err := consumer.NewLogs(func(_ context.Context, ld plog.Logs) error {
		line, err := new(plog.JSONMarshaler).MarshalLogs(ld)
		if err != nil {
			return err
		}
		_, err = out.Write(append(line, '\n'))
		return err
	})
	if err != nil {
		return h, err
	}
	ctx, set := context.Background(), connectortest.NewNopSettings(factory.Type())
	if h.traces, err = factory.CreateTracesToLogs(ctx, set, cfg, events); err != nil {
		return h, err
	}
	if h.metrics, err = factory.CreateMetricsToLogs(ctx, set, cfg, events); err != nil {
		return h, err
	}
	if h.logs, err = factory.CreateLogsToLogs(ctx, set, cfg, events); err != nil {
		return h, err
	}
	for _, c := range h.all() {
		if err := c.Start(ctx, componenttest.NewNopHost()); err != nil {
			return h, err
		}
	}
	return h, nil
}

func (h health) all() []component.Component {
	return []component.Component{h.traces, h.metrics, h.logs}
}

func (h health) stop() error {
	var failed error
	for _, c := range h.all() {
		failed = errors.Join(failed, c.Shutdown(context.Background()))
	}
	return failed
}

// feed hands over the export requests of a recording, each a line, in their order.
func (h health) feed(recording io.Reader) error {
	ctx, lines := context.Background(), bufio.NewReader(recording)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if err := h.request(ctx, line); err != nil {
			return err
		}
	}
}

func (h health) request(ctx context.Context, line []byte) error {
	if bytes.Contains(line, []byte(`"resourceSpans"`)) {
		td, err := new(ptrace.JSONUnmarshaler).UnmarshalTraces(line)
		if err != nil {
			return err
		}
		if err := h.traces.ConsumeTraces(ctx, td); err != nil {
			return err
		}
	}
	if bytes.Contains(line, []byte(`"resourceMetrics"`)) {
		md, err := new(pmetric.JSONUnmarshaler).UnmarshalMetrics(line)
		if err != nil {
			return err
		}
		if err := h.metrics.ConsumeMetrics(ctx, md); err != nil {
			return err
		}
	}
	if bytes.Contains(line, []byte(`"resourceLogs"`)) {
		ld, err := new(plog.JSONUnmarshaler).UnmarshalLogs(line)
		if err != nil {
			return err
		}
		return h.logs.ConsumeLogs(ctx, ld)
	}
	return nil
}
