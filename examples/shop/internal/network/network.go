// Package network is the shop's name service: each host name stands for a loopback address, so
// that the telemetry shows the names that a real deployment would have.
package network

import (
	"context"
	"fmt"
	"net"
	"sync"
)

// Network maps host names to loopback addresses.
type Network struct {
	mu    sync.RWMutex
	hosts map[string]string
	dial  net.Dialer
}

// New returns a network without hosts.
func New() *Network { return &Network{hosts: make(map[string]string)} }

// Listen opens a loopback port and gives it the host name, taking the name over from an earlier
// listener.
func (n *Network) Listen(host string) (net.Listener, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for %s: %w", host, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts[host] = l.Addr().String()
	return l, nil
}

// Dial connects to a host of this network. It has the signature that HTTP transports want.
func (n *Network) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	n.mu.RLock()
	loopback, ok := n.hosts[host]
	n.mu.RUnlock()
	if !ok {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	conn, err := n.dial.DialContext(ctx, network, loopback)
	if err != nil {
		return nil, err
	}
	return namedConn{Conn: conn, peer: hostAddr(address)}, nil
}

// namedConn says the peer's name where a plain connection would say 127.0.0.1: gRPC's
// instrumentation takes server.address from there.
type namedConn struct {
	net.Conn
	peer hostAddr
}

func (c namedConn) RemoteAddr() net.Addr { return c.peer }

type hostAddr string

func (hostAddr) Network() string  { return "tcp" }
func (a hostAddr) String() string { return string(a) }
