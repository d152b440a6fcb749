package prometheus

import (
	"net"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/stretchr/testify/require"
)

const (
	job            = "throughline"
	scrapeInterval = time.Second
	// lookback, maxSamples and queryTimeout are what Prometheus has without flags.
	lookback     = 5 * time.Minute
	maxSamples   = 50_000_000
	queryTimeout = 2 * time.Minute
)

// server is a Prometheus without its pages: its scraper, its storage and its engine.
type server struct {
	db     *tsdb.DB
	engine *promql.Engine
}

// startServer scrapes the target as prometheus.yml says, only more often.
func startServer(t *testing.T, target string) *server {
	t.Helper()
	logger := promslog.NewNopLogger()
	settings, err := config.LoadFile("prometheus.yml", false, logger)
	require.NoError(t, err)
	jobs, err := settings.GetScrapeConfigs()
	require.NoError(t, err)
	require.Len(t, jobs, 1)
	require.Equal(t, job, jobs[0].JobName)
	jobs[0].ScrapeInterval = model.Duration(scrapeInterval)
	jobs[0].ScrapeTimeout = model.Duration(scrapeInterval)

	db, err := tsdb.Open(t.TempDir(), logger, nil, tsdb.DefaultOptions(), nil)
	require.NoError(t, err)
	manager, err := scrape.NewManager(
		&scrape.Options{DiscoveryReloadInterval: model.Duration(scrapeInterval)}, logger, nil, db, nil, prometheus.NewRegistry(),
	)
	require.NoError(t, err)
	require.NoError(t, manager.ApplyConfig(settings))
	targets := make(chan map[string][]*targetgroup.Group, 1)
	targets <- map[string][]*targetgroup.Group{job: {{
		Source:  "test",
		Targets: []model.LabelSet{{model.AddressLabel: model.LabelValue(target)}},
	}}}
	ended := make(chan error, 1)
	go func() { ended <- manager.Run(targets) }()
	engine := promql.NewEngine(promql.EngineOpts{
		MaxSamples:           maxSamples,
		Timeout:              queryTimeout,
		LookbackDelta:        lookback,
		EnableAtModifier:     true,
		EnableNegativeOffset: true,
		Parser:               parser.NewParser(parser.Options{}),
	})
	t.Cleanup(func() {
		manager.Stop()
		require.NoError(t, <-ended)
		require.NoError(t, engine.Close())
		require.NoError(t, db.Close())
	})
	return &server{db: db, engine: engine}
}

// ask answers an instant query. No warning is taken for an answer, and none of the notes that something may be amiss.
func (s *server) ask(t *testing.T, query string, at time.Time) promql.Vector {
	t.Helper()
	asked, err := s.engine.NewInstantQuery(t.Context(), s.db, nil, query, at)
	require.NoError(t, err, query)
	defer asked.Close()
	result := asked.Exec(t.Context())
	require.NoError(t, result.Err, query)
	require.Empty(t, result.Warnings, query)
	vector, err := result.Vector()
	require.NoError(t, err, query)
	return append(promql.Vector(nil), vector...)
}

// one answers an instant query that has one number for an answer.
func (s *server) one(t *testing.T, query string, at time.Time) float64 {
	t.Helper()
	vector := s.ask(t, query, at)
	require.Len(t, vector, 1, query)
	require.Nil(t, vector[0].H, query)
	return vector[0].F
}

func freeAddresses(t *testing.T, n int) []string {
	t.Helper()
	addresses := make([]string, n)
	for i := range addresses {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer listener.Close()
		addresses[i] = listener.Addr().String()
	}
	return addresses
}
