package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	c, err := parse(nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.OTLP != "127.0.0.1:4317" || c.Events != "127.0.0.1:4327" || c.Rate != 40 || len(c.Faults) != 9 {
		t.Errorf("got %+v", c)
	}
	c, err = parse(strings.Fields("-faults slow-database,cpu-hog -warmup 15s -every 35s -duration 55s -json out.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Faults) != 2 || c.Plan.Warmup != 15*time.Second || c.Plan.Slots() != 1 || c.JSON != "out.json" {
		t.Errorf("got %+v", c)
	}
	if c, err = parse(strings.Fields("-faults none -duration 5s")); err != nil || len(c.Faults) != 0 {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestParseErrors(t *testing.T) {
	stderr := os.Stderr
	t.Cleanup(func() { os.Stderr = stderr })
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = null.Close() })
	os.Stderr = null // the flag package writes its usage there
	for args, want := range map[string]string{
		"-rate 0":                      "rate",
		"-rate x":                      "invalid value",
		"-duration 10s":                "no room for a fault",
		"-every 10s -fault-length 20s": "cannot happen every",
		"-faults slow-databse":         `no fault "slow-databse"; there are`,
		"now":                          "unexpected argument",
	} {
		if _, err := parse(strings.Fields(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", args, err)
		}
	}
	if code := run([]string{"-help"}); code != exitRight {
		t.Errorf("-help exits with %d", code)
	}
	if code := run([]string{"now"}); code != exitUnusable {
		t.Errorf("a wrong argument exits with %d", code)
	}
	if code := run([]string{"-mail-log", filepath.Join(os.DevNull, "x")}); code != exitUnusable {
		t.Errorf("a wrong file exits with %d", code)
	}
}
