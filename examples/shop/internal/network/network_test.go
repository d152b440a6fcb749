package network

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo answers on the host with what it gets.
func echo(t *testing.T, n *Network, host string) net.Listener {
	t.Helper()
	l, err := n.Listen(host)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(conn, conn)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return l
}

func roundTrip(t *testing.T, conn net.Conn) time.Duration {
	t.Helper()
	start := time.Now()
	if _, err := conn.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 5)
	if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "hello" {
		t.Fatalf("got %q, %v", answer, err)
	}
	return time.Since(start)
}

func TestNetwork(t *testing.T) {
	n := New()
	l := echo(t, n, "echo")
	conn, err := n.Dial(t.Context(), "tcp", "echo:80")
	if err != nil {
		t.Fatal(err)
	}
	roundTrip(t, conn)
	if got := conn.RemoteAddr().String(); got != "echo:80" {
		t.Errorf("peer %s", got)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}

	var unknown *net.DNSError
	if _, err := n.Dial(t.Context(), "tcp", "nobody:80"); !errors.As(err, &unknown) || !unknown.IsNotFound {
		t.Errorf("got %v", err)
	}
	if _, err := n.Dial(t.Context(), "tcp", "echo"); err == nil {
		t.Error("an address without a port was accepted")
	}
	_ = l.Close()
	if _, err := n.Dial(t.Context(), "tcp", "echo:80"); err == nil {
		t.Error("a closed host was reached")
	}
}

func TestProxy(t *testing.T) {
	const latency = 60 * time.Millisecond
	n := New()
	echo(t, n, "far")
	p, err := n.StartProxy("near", "far:80")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := n.Dial(t.Context(), "tcp", "near:80")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()

	roundTrip(t, conn)
	p.Delay(latency)
	if got := roundTrip(t, conn); got < 2*latency {
		t.Errorf("with delay: %s", got)
	}
	p.Delay(0)
	if got := roundTrip(t, conn); got > latency {
		t.Errorf("after delay: %s", got)
	}

	p.Delay(time.Hour) // what is on the wire must not hold up the end
	if _, err := conn.Write([]byte("lost")); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the connection outlived the proxy")
	}
}

func TestProxyWithoutBackend(t *testing.T) {
	n := New()
	p, err := n.StartProxy("near", "far:80")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	conn, err := n.Dial(t.Context(), "tcp", "near:80")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the connection goes nowhere, but stays open")
	}
}
