package config

import (
	"bufio"
	"net/http"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// labels select series: one has all of them, and may have more.
type labels map[string]string

type series struct {
	name   string
	labels labels
	value  float64
}

// page is what a Prometheus endpoint shows.
type page []series

var (
	line  = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)`)
	label = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"`)
)

// scrape reads the metrics at an address. Nobody there is the same as no metrics.
func scrape(t *testing.T, address string) page {
	t.Helper()
	response, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		return nil
	}
	defer response.Body.Close()
	var p page
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		match := line.FindStringSubmatch(lines.Text())
		if match == nil {
			continue
		}
		s := series{name: match[1], labels: labels{}}
		for _, l := range label.FindAllStringSubmatch(match[2], -1) {
			s.labels[l[1]] = l[2]
		}
		s.value, err = strconv.ParseFloat(match[3], 64)
		require.NoError(t, err, lines.Text())
		p = append(p, s)
	}
	require.NoError(t, lines.Err())
	return p
}

// sum adds up the series of a name that have these labels.
func (p page) sum(name string, having labels) float64 {
	total := 0.0
	for _, s := range p {
		if s.name == name && s.labels.have(having) {
			total += s.value
		}
	}
	return total
}

func (l labels) have(others labels) bool {
	for key, value := range others {
		if l[key] != value {
			return false
		}
	}
	return true
}

func TestLine(t *testing.T) {
	match := line.FindStringSubmatch(`a_total{b="c} d",e="\"f"} 3 17`)
	require.NotNil(t, match)
	assert.Equal(t, []string{"a_total", `b="c} d",e="\"f"`, "3"}, match[1:])
	assert.Equal(t, []string{"e", `\"f`}, label.FindAllStringSubmatch(match[2], -1)[1][1:])
}
