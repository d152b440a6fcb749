// Package load is the shop's customers: a steady stream of requests that carries no telemetry.
package load

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/throughline-otel/throughline/examples/shop/internal/database"
	"github.com/throughline-otel/throughline/examples/shop/internal/front"
	"github.com/throughline-otel/throughline/examples/shop/internal/network"
)

const patience = 10 * time.Second

var tenants = []string{"acme", "globex", "initech", "umbrella"}

// Run sends so many requests a second to the front until ctx ends, and returns when the last one
// is answered. It does not slow down with the shop: customers do not coordinate.
func Run(ctx context.Context, n *network.Network, rate float64, seed uint64) {
	transport := &http.Transport{DialContext: n.Dial, MaxIdleConnsPerHost: 256}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: patience}

	random := rand.New(rand.NewPCG(seed, seed))
	ticker := time.NewTicker(time.Duration(float64(time.Second) / rate))
	defer ticker.Stop()
	var requests sync.WaitGroup
	defer requests.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			r := next(random)
			requests.Go(func() { send(client, r) })
		}
	}
}

// request is one thing that a customer does.
type request struct {
	method, path, body, tenant string
}

// next draws the shop's mix: three in ten buy, one in five just looks in.
func next(random *rand.Rand) request {
	r := request{method: http.MethodGet, tenant: tenants[random.IntN(len(tenants))]}
	product := 1 + random.IntN(database.Products)
	switch dice := random.IntN(10); {
	case dice < 3:
		r.method, r.path, r.body = http.MethodPost, "/checkout", fmt.Sprintf(`{"product":%d}`, product)
	case dice < 8:
		r.path = fmt.Sprintf("/products/%d", product)
	default:
		r.path = "/"
	}
	return r
}

// send does not report: what becomes of a request is for the shop's telemetry to say. It ignores
// the end of the run, so that a stop does not look like impatient customers.
func send(client *http.Client, r request) {
	req, err := http.NewRequest(r.method, "http://"+front.Host+r.path, bytes.NewBufferString(r.body))
	if err != nil {
		return
	}
	req.Header.Set(front.TenantHeader, r.tenant)
	res, err := client.Do(req)
	if err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
}
