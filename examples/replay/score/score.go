package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// labels are what is known of recordings.
type labels struct {
	Cases []fault `json:"cases"`
	Days  []day   `json:"days"`
}

// fault is a recording with one fault in it.
type fault struct {
	ID         string    `json:"id"`
	System     string    `json:"system"`
	Class      string    `json:"faultClass"`
	InjectTime time.Time `json:"injectTime"`
	WindowEnd  time.Time `json:"windowEnd"`
	Service    string    `json:"rootCauseService"`
}

// day is a recording with stretches in which nothing is wrong.
type day struct {
	ID        string `json:"id"`
	FaultFree []struct {
		Start time.Time `json:"start"`
		End   time.Time `json:"end"`
	} `json:"faultFree"`
}

// score is what came out.
type score struct {
	Cases  []answer `json:"cases"`
	Alarms []alarms `json:"alarms"`
}

// answer is the first event with suspects after the injection. Without one, Rank and Seconds are nil.
type answer struct {
	ID     string `json:"id"`
	System string `json:"system"`
	Class  string `json:"class"`
	Truth  string `json:"truth"`
	// Rank is that of the faulty service, or unnamed. Of equal scores all have the worst of their ranks.
	Rank *int `json:"rank"`
	// Seconds is how long after the injection the event came.
	Seconds *float64 `json:"seconds"`
	Answer  []string `json:"answer"`
}

// unnamed is the rank of who is not among the suspects.
const unnamed = 99

// alarms is how many events with suspects came while nothing was wrong.
type alarms struct {
	Day    string  `json:"day"`
	Hours  float64 `json:"hours"`
	Alarms int     `json:"alarms"`
}

type group struct {
	name    string
	answers []answer
}

// event names suspects, the likeliest first.
type event struct {
	at     time.Time
	names  []string
	scores []float64
}

func (l *labels) score(events string) (score, error) {
	var s score
	for _, f := range l.Cases {
		all, err := read(filepath.Join(events, f.ID+".jsonl"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return s, err
		}
		a := answer{ID: f.ID, System: f.System, Class: f.Class, Truth: f.Service}
		for _, e := range all {
			if e.at.Before(f.InjectTime) || e.at.After(f.WindowEnd) {
				continue
			}
			rank, seconds := e.rank(f.Service), e.at.Sub(f.InjectTime).Seconds()
			a.Rank, a.Seconds, a.Answer = &rank, &seconds, e.names
			break
		}
		s.Cases = append(s.Cases, a)
	}
	for _, d := range l.Days {
		all, err := read(filepath.Join(events, d.ID+".jsonl"))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return s, err
		}
		a := alarms{Day: d.ID}
		for _, free := range d.FaultFree {
			a.Hours += free.End.Sub(free.Start).Hours()
		}
		for _, e := range all {
			for _, free := range d.FaultFree {
				if !e.at.Before(free.Start) && !e.at.After(free.End) {
					a.Alarms++
					break
				}
			}
		}
		s.Alarms = append(s.Alarms, a)
	}
	return s, nil
}

// groups are all cases, those of each system, and those of each system and class of faults.
func (s *score) groups() (all []group) {
	for _, a := range s.Cases {
		for _, name := range []string{"all", a.System, a.System + " " + a.Class} {
			i := slices.IndexFunc(all, func(g group) bool { return g.name == name })
			if i < 0 {
				i = len(all)
				all = append(all, group{name: name})
			}
			all[i].answers = append(all[i].answers, a)
		}
	}
	return all
}

func (e *event) rank(service string) int {
	at := slices.Index(e.names, service)
	if at < 0 {
		return unnamed
	}
	if len(e.scores) != len(e.names) {
		return at + 1
	}
	before := map[string]bool{}
	for i, name := range e.names {
		if e.scores[i] >= e.scores[at] {
			before[name] = true
		}
	}
	return len(before)
}

// read returns the events of a file that name suspects, in the order of their time.
func read(path string) (all []event, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	lines := bufio.NewReader(file)
	for number := 1; ; number++ {
		line, err := lines.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if len(line) == 0 {
			break
		}
		ld, err := new(plog.JSONUnmarshaler).UnmarshalLogs(line)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, number, err)
		}
		all = appendEvents(all, ld)
	}
	slices.SortStableFunc(all, func(a, b event) int { return a.at.Compare(b.at) })
	return all, nil
}

func appendEvents(all []event, ld plog.Logs) []event {
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, r := range sl.LogRecords().All() {
				e := event{at: r.Timestamp().AsTime()}
				for _, name := range list(r.Attributes(), "suspects.service.name") {
					e.names = append(e.names, serviceOf(name.AsString()))
				}
				for _, value := range list(r.Attributes(), "suspects.score") {
					e.scores = append(e.scores, value.Double())
				}
				if len(e.names) > 0 {
					all = append(all, e)
				}
			}
		}
	}
	return all
}

func list(attributes pcommon.Map, key string) (values []pcommon.Value) {
	if v, ok := attributes.Get(key); ok && v.Type() == pcommon.ValueTypeSlice {
		for _, each := range v.Slice().All() {
			values = append(values, each)
		}
	}
	return values
}

// generated is what a deployment adds to the names of its pods.
var generated = regexp.MustCompile(`-[0-9a-f]{8,10}-[0-9a-z]{5}$`)

// serviceOf is the service of a pod, or of what is one.
func serviceOf(name string) string { return generated.ReplaceAllString(name, "") }
