package main

import (
	"bytes"
	"errors"
	"io"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/google/pprof/profile"
)

const (
	// diagnosisBudget is what the search for suspects may cost, as a part of all else that service_health does.
	diagnosisBudget = 1
	// diagnosing and connecting are in the names of the functions of either.
	diagnosing = "internal/engine.(*diagnoser)"
	connecting = "connector/servicehealthconnector"
)

// reportDiagnosis tells what the search for suspects costs beside the rest of service_health, by the stacks of a profile.
func reportDiagnosis(out io.Writer, f *feed, p plan) error {
	var recorded bytes.Buffer
	started := make(chan error, 1)
	warm := time.AfterFunc(time.Duration(p.warm+1)*interval, func() { started <- pprof.StartCPUProfile(&recorded) })
	_, err := compare([]subject{ours}, f, p)
	if !warm.Stop() {
		err = errors.Join(err, <-started)
	}
	pprof.StopCPUProfile()
	if err != nil {
		return err
	}
	prof, err := profile.Parse(&recorded)
	if err != nil {
		return err
	}
	diagnosis, rest := 0.0, 0.0
	for _, s := range prof.Sample {
		time := float64(s.Value[len(s.Value)-1])
		switch {
		case passes(s, diagnosing):
			diagnosis += time
		case passes(s, connecting):
			rest += time
		}
	}
	if rest == 0 {
		say(out, "diagnosis: too short a round for a profile to tell")
		return nil
	}
	say(out, "diagnosis: %s of the processor time of the rest of service_health (budget %d)",
		verdict(diagnosis/rest, diagnosisBudget), diagnosisBudget)
	return nil
}

// passes says whether a function whose name has this part is on the stack of a sample.
func passes(s *profile.Sample, part string) bool {
	for _, location := range s.Location {
		for _, line := range location.Line {
			if line.Function != nil && strings.Contains(line.Function.Name, part) {
				return true
			}
		}
	}
	return false
}
