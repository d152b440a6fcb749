package progress

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestLinesWhereThereIsNoTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		m := Start(&out, false, 400)
		m.Update(State{Bytes: 100, Lines: 3, Items: 1000})
		time.Sleep(lineInterval)
		synctest.Wait()
		m.Notice("a notice")
		m.Update(State{Bytes: 400, Lines: 9, Items: 1500})
		time.Sleep(lineInterval)
		m.Stop()
		assert.Equal(t, "replayed 25% of the input, 3 lines, 1000 items, 200 items/s\na notice\n"+
			"replayed 100% of the input, 9 lines, 1500 items, 100 items/s\n", out.String())
	})
}

func TestNothingIsShownOfAShortReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		m := Start(&out, false, -1)
		m.Update(State{Lines: 1})
		m.Stop()
		assert.Empty(t, out.String())
	})
}

func TestLineWithoutATotal(t *testing.T) {
	assert.Equal(t, "replayed 3 lines, 7 items, 2 items/s", line(State{Bytes: 5, Lines: 3, Items: 7}, -1, 2))
	assert.Equal(t, "replayed 3 lines, 7 items, 2 items/s", line(State{Bytes: 5, Lines: 3, Items: 7}, 0, 2))
}

func TestBar(t *testing.T) {
	for name, total := range map[string]int64{"known": 400, "unknown": -1, "empty input": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				m := Start(&out, true, total)
				time.Sleep(time.Second)
				m.Update(State{Bytes: 100, Lines: 3, Items: 1000})
				time.Sleep(barInterval)
				synctest.Wait()
				m.Notice("a notice")
				m.Update(State{Bytes: 400, Lines: 9, Items: 1500})
				time.Sleep(time.Second)
				m.Stop()
				text := out.String()
				assert.Contains(t, text, "9 lines, ")
				assert.Contains(t, text, " items/s")
				assert.Contains(t, text, "a notice\n")
				if total > 0 {
					assert.Contains(t, text, "25%")
				}
				last := text[strings.LastIndex(text, "items/s"):]
				assert.Contains(t, last, "\r", "the bar is gone at the end")
			})
		})
	}
}

func TestRateIsOfTheLastSeconds(t *testing.T) {
	var r rate
	at := time.Unix(0, 0)
	assert.Zero(t, r.add(at, 0))
	assert.Zero(t, r.add(at, 5), "no time, no rate")
	var got float64
	for i := 1; i <= 100; i++ {
		at = at.Add(time.Second)
		got = r.add(at, 1000*i)
	}
	assert.InDelta(t, 1000, got, 1e-9)
	assert.LessOrEqual(t, len(r.samples), 7)
	for range 6 {
		at = at.Add(time.Second)
		got = r.add(at, 100_000)
	}
	assert.Zero(t, got, "a stall shows")
}
