package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector"
)

const (
	// soakSpans is max_spans; at full speed far more come within a window, so that the bound is always reached.
	soakSpans = 1_000_000
	// soakSilence is after how long the dependencies of services that are gone leave.
	soakSilence = 5 * time.Minute
	// generation is how long a service lives before another takes its place. With the silence above, about as many dependencies
	// are known at a time as may be by default.
	generation = time.Second
	// soakBound is what the live heap may be, in MiB: that of so many held spans, of as many dependencies as are told apart by default,
	// and of tables of names and operations that are full.
	soakBound = 450
	// looks is how often memory is looked at.
	looks = 360
)

// churned are the attributes by which services and peers are named.
var churned = []string{"service.name", "server.address", "db.namespace", "messaging.destination.name"}

// moment is what was seen at a time since the start.
type moment struct {
	at              time.Duration
	live, resident  float64 // MiB
	perSecond, held float64
	points          float64 // that were flushed
}

// soak feeds service_health as fast as it takes spans, for a time, with services that are replaced by others all the time.
func soak(ctx context.Context, out io.Writer, w *workload, d time.Duration) ([]moment, error) {
	documents, err := objectives(w)
	if err != nil {
		return nil, err
	}
	r, err := makeHealth(func(config *servicehealthconnector.Config) {
		config.MaxSpans, config.Dependencies.Silence = soakSpans, soakSilence
		config.FlushInterval = 15 * time.Second
		config.SLO.Documents = documents
	})
	if err != nil {
		return nil, err
	}
	var moments []moment
	f, begin := newFeed(w), time.Now()
	last, fed, number := begin, 0, -1
	say(out, "%8s %9s %9s %9s %9s %9s", "time", "live MiB", "RSS MiB", "spans/s", "held", "points")
	for ctx.Err() == nil && time.Since(begin) < d {
		if now := int(time.Since(begin) / generation); now != number {
			number = now
			f.rename(number)
		}
		if err := spread(runtime.GOMAXPROCS(0), f.next(), r.consume); err != nil {
			return nil, err
		}
		fed += w.spans
		if since := time.Since(last); since >= d/looks {
			m := moment{
				at: time.Since(begin), live: live(), resident: resident(), perSecond: float64(fed) / since.Seconds(),
				held: float64(r.self("otelcol_service_health_spans_held")), points: float64(r.sink.points()),
			}
			moments = append(moments, m)
			say(out, "%8s %9.0f %9.0f %9.0f %9.0f %9.0f", m.at.Round(time.Second), m.live, m.resident, m.perSecond, m.held, m.points)
			last, fed = time.Now(), 0
		}
	}
	return moments, r.stop()
}

// points is how many the latest flush had.
func (s *sink) points() int {
	if md := s.latest.Load(); md != nil {
		return md.DataPointCount()
	}
	return 0
}

// rename gives the services and peers of every second batch names that no generation before had.
func (f *feed) rename(number int) {
	suffix := "-g" + strconv.Itoa(number)
	change := func(attributes pcommon.Map) {
		for _, name := range churned {
			if v, ok := attributes.Get(name); ok {
				bare, _, _ := strings.Cut(v.AsString(), "-g")
				v.SetStr(bare + suffix)
			}
		}
	}
	for i, td := range f.of.traces {
		if i%2 == 0 {
			continue // What has an objective stays.
		}
		for _, rs := range td.ResourceSpans().All() {
			change(rs.Resource().Attributes())
		}
		for span := range spansOf(td) {
			change(span.Attributes())
		}
	}
	for i, td := range f.of.traces {
		td.CopyTo(f.copies[i])
	}
}

// live is the heap that the last collection found in use, in MiB.
func live() float64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return float64(sample[0].Value.Uint64()) / (1 << 20)
}

// resident is the memory of the whole process that is in use, in MiB; 0 where the system does not tell.
func resident() float64 {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, pages float64
	if _, err := fmt.Sscan(string(statm), &size, &pages); err != nil {
		return 0
	}
	return pages * float64(os.Getpagesize()) / (1 << 20)
}

// drawSoak writes an SVG with memory above and the rate of spans below.
func drawSoak(path string, moments []moment) error {
	memory, rate := plot.New(), plot.New()
	memory.Y.Label.Text, memory.Y.Min = "MiB", 0
	rate.Y.Label.Text, rate.Y.Min = "1000 spans/s", 0
	rate.X.Label.Text = "minutes"
	memory.Legend.Top = false
	for i, line := range []struct {
		to    *plot.Plot
		name  string
		value func(moment) float64
	}{
		{memory, "process (RSS)", func(m moment) float64 { return m.resident }},
		{memory, "live heap", func(m moment) float64 { return m.live }},
		{rate, "", func(m moment) float64 { return m.perSecond / 1000 }},
	} {
		points := make(plotter.XYs, len(moments))
		for i, m := range moments {
			points[i] = plotter.XY{X: m.at.Minutes(), Y: line.value(m)}
		}
		l, err := plotter.NewLine(points)
		if err != nil {
			return err
		}
		l.Color = plotutil.Color(i)
		line.to.Add(l)
		if line.name != "" {
			line.to.Legend.Add(line.name, l)
		}
	}
	bound, err := plotter.NewLine(plotter.XYs{{X: 0, Y: soakBound}, {X: moments[len(moments)-1].at.Minutes(), Y: soakBound}})
	if err != nil {
		return err
	}
	bound.Dashes = []vg.Length{vg.Points(4), vg.Points(3)}
	memory.Add(bound)
	memory.Legend.Add("bound of the live heap", bound)
	canvas := vgsvg.New(18*vg.Centimeter, 12*vg.Centimeter)
	plots := [][]*plot.Plot{{memory}, {rate}}
	for i, c := range plot.Align(plots, draw.Tiles{Rows: 2, Cols: 1}, draw.New(canvas)) {
		plots[i][0].Draw(c[0])
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := canvas.WriteTo(file); err != nil {
		return err
	}
	return file.Close()
}

func runSoak(out io.Writer, d time.Duration, plot string) error {
	shop, err := load("shop", shopFile, plenty)
	if err != nil {
		return err
	}
	moments, err := soak(context.Background(), out, shop, d)
	if err != nil {
		return err
	}
	most := 0.0
	for _, m := range moments {
		most = max(most, m.live)
	}
	say(out, "live heap: %s MiB at most (bound %d)", verdict(most, soakBound), soakBound)
	if plot == "" {
		return nil
	}
	return drawSoak(plot, moments)
}
