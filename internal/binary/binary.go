// Package binary finds and starts the built programs of this repository for tests that run them as a user does.
package binary

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	// folderVariable names the folder of the built programs; `make test` sets it.
	folderVariable = "THROUGHLINE_BIN"
	// pollInterval is short next to what is waited for, and long next to what a look costs.
	pollInterval = 50 * time.Millisecond
	// stopTimeout is more than a collector gives its pipelines to empty themselves.
	stopTimeout = time.Minute
)

// Root is the repository's root, seen from a package's folder one below it. Paths in the configurations start there.
func Root(t testing.TB) string {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// Path is where the program of this name is. The test fails if it was not built.
func Path(t testing.TB, name string) string {
	t.Helper()
	folder := os.Getenv(folderVariable)
	if folder == "" {
		folder = filepath.Join(Root(t), "bin")
	}
	path, err := filepath.Abs(filepath.Join(folder, name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v; `make build bin/%s` builds it", err, name)
	}
	return path
}

// FreeAddresses are addresses on loopback that nobody listens at. They are found together, so that no two are the same.
func FreeAddresses(t testing.TB, n int) []string {
	t.Helper()
	addresses := make([]string, n)
	for i := range addresses {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		addresses[i] = listener.Addr().String()
	}
	return addresses
}

// Command is a program to run, at the repository's root.
type Command struct {
	Name string
	Args []string
	// Env goes before the environment of the test.
	Env []string
}

// Process is a program that was started. What it writes is kept.
type Process struct {
	t    testing.TB
	name string
	cmd  *exec.Cmd
	out  output
	done chan struct{}
	err  error // of the wait; to be read once done is closed
}

// Start starts a program. It is killed at the end of the test if it still runs, and what it wrote is shown if the test failed.
func (c Command) Start(t testing.TB) *Process {
	t.Helper()
	p := &Process{t: t, name: c.Name, done: make(chan struct{})}
	p.cmd = exec.Command(Path(t, c.Name), c.Args...)
	p.cmd.Dir = Root(t)
	p.cmd.Env = append(os.Environ(), c.Env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("%s %v wrote:\n%s", c.Name, c.Args, p.Output())
		}
	})
	return p
}

// Run starts a program, waits for its end, and returns its exit code and what it wrote.
func (c Command) Run(t testing.TB, limit time.Duration) (code int, out string) {
	t.Helper()
	p := c.Start(t)
	code = p.Wait(limit)
	return code, p.Output()
}

// Wait returns the exit code. The test fails if that takes longer than limit.
func (p *Process) Wait(limit time.Duration) int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(limit):
		p.t.Fatalf("%s still runs after %s", p.name, limit)
	}
	var exit *exec.ExitError
	if p.err != nil && !errors.As(p.err, &exit) {
		p.t.Fatalf("%s: %v", p.name, p.err)
	}
	return p.cmd.ProcessState.ExitCode()
}

// Stop asks the program to end, as a supervisor does, and waits for it. The test fails if it does not end well.
func (p *Process) Stop() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
	if code := p.Wait(stopTimeout); code != 0 {
		p.t.Fatalf("%s ended with code %d", p.name, code)
	}
}

// Kill ends the program without it having a say, and waits until it is gone.
func (p *Process) Kill() {
	p.t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
	<-p.done
}

// Output is what the program wrote so far, to both outputs.
func (p *Process) Output() string { return p.out.String() }

// Await waits until the condition holds. The test fails if the program ends before, or if that takes longer than limit.
func (p *Process) Await(what string, limit time.Duration, condition func() bool) {
	p.t.Helper()
	deadline := time.After(limit)
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for !condition() {
		select {
		case <-p.done:
			p.t.Fatalf("%s ended before %s", p.name, what)
		case <-deadline:
			p.t.Fatalf("not within %s: %s", limit, what)
		case <-tick.C:
		}
	}
}

// AwaitListening waits until somebody listens at the address.
func (p *Process) AwaitListening(address string, limit time.Duration) {
	p.t.Helper()
	p.Await(p.name+" listens at "+address, limit, func() bool {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return false
		}
		_ = conn.Close()
		return true
	})
}

// output is written by the program's goroutines while the test reads it.
type output struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buffer.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buffer.String()
}
