package network

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// chunk is what has been read from one side and may be written to the other at due.
type chunk struct {
	data []byte
	due  time.Time
}

const (
	chunkSize = 32 << 10
	// inFlight bounds how many chunks are on the slow wire per direction; then it pushes back.
	inFlight = 1024
)

// Proxy passes TCP connections on to another host of the network. It can hold back the bytes of
// both directions for a while, as a congested or misrouted link does: neither end can see it from
// within.
type Proxy struct {
	network  *Network
	backend  string
	listener net.Listener
	latency  atomic.Int64
	cancel   context.CancelFunc
	done     sync.WaitGroup
}

// StartProxy lets connections to host end at backend ("name:port").
func (n *Network) StartProxy(host, backend string) (*Proxy, error) {
	l, err := n.Listen(host)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &Proxy{network: n, backend: backend, listener: l, cancel: cancel}
	p.done.Go(func() { p.accept(ctx) })
	return p, nil
}

// Delay adds latency to each direction from now on; zero takes it away.
func (p *Proxy) Delay(latency time.Duration) { p.latency.Store(int64(latency)) }

// Close ends the proxy and its connections.
func (p *Proxy) Close() error {
	p.cancel()
	err := p.listener.Close()
	p.done.Wait()
	return err
}

func (p *Proxy) accept(ctx context.Context) {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.done.Go(func() { p.serve(ctx, conn) })
	}
}

func (p *Proxy) serve(ctx context.Context, near net.Conn) {
	defer near.Close()
	far, err := p.network.Dial(ctx, "tcp", p.backend)
	if err != nil {
		return
	}
	defer far.Close()

	// Whichever side ends first ends both.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = errors.Join(near.Close(), far.Close()) })
	defer stop()

	var both sync.WaitGroup
	both.Go(func() { defer cancel(); p.carry(ctx, far, near) })
	both.Go(func() { defer cancel(); p.carry(ctx, near, far) })
	both.Wait()
}

// carry moves bytes from src to dst. Reading goes on while earlier chunks wait, so that the link
// gets longer and not narrower.
func (p *Proxy) carry(ctx context.Context, dst io.Writer, src io.Reader) {
	wire := make(chan chunk, inFlight)
	var writer sync.WaitGroup
	writer.Go(func() {
		for c := range wire {
			if sleepUntil(ctx, c.due) != nil {
				break
			}
			if _, err := dst.Write(c.data); err != nil {
				break
			}
		}
		for range wire { // keeps the reader from blocking until it sees the end, too
		}
	})

	buf := make([]byte, chunkSize)
	for {
		n, err := src.Read(buf)
		if n > 0 {
			due := time.Now().Add(time.Duration(p.latency.Load()))
			wire <- chunk{data: append([]byte(nil), buf[:n]...), due: due}
		}
		if err != nil {
			break
		}
	}
	close(wire)
	writer.Wait()
}

func sleepUntil(ctx context.Context, due time.Time) error {
	wait := time.Until(due)
	if wait <= 0 {
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
