package engine

import (
	"sync"
	"time"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/report"
)

const (
	// maxVersions bounds the versions of one service that are told apart at a time.
	maxVersions = 16
	// maxChanges bounds the changes that are remembered.
	maxChanges = 256
	// forgotten is after how long in nanoseconds a version that no longer serves counts as new again. While a rollout goes on,
	// two versions take turns; a rollback days later is a change.
	forgotten = int64(10 * time.Minute)
	// near is how long in nanoseconds before a burn's onset a change is still worth a word.
	near = int64(15 * time.Minute)
	// gone is after how long in nanoseconds a version that was not seen is taken to have been taken back.
	gone = int64(15 * time.Second)
)

// changes notices when a version of a service first serves.
type changes struct {
	mu       sync.Mutex
	versions map[uint32]*versions
	latest   []change
	untold   []change
}

type versions struct {
	// current is the version that was announced last.
	current string
	// last is when each version was seen last.
	last map[string]int64
}

type change struct {
	service           uint32
	version, previous string
	at                int64
}

func (c *changes) see(service uint32, version string, now int64) {
	if service <= names.Other {
		return
	}
	version = names.Clean(version)
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.versions[service]
	if v == nil {
		v = &versions{current: version, last: map[string]int64{}}
		c.versions[service] = v
	}
	last, known := v.last[version]
	if !known && len(v.last) >= maxVersions {
		for old, at := range v.last {
			if now-at > forgotten {
				delete(v.last, old)
			}
		}
		if len(v.last) >= maxVersions {
			return
		}
	}
	v.last[version] = now
	if known && now-last <= forgotten || version == v.current {
		return
	}
	ch := change{service: service, version: version, previous: v.current, at: now}
	v.current = version
	c.untold = append(c.untold, ch)
	if c.latest = append(c.latest, ch); len(c.latest) > maxChanges {
		c.latest = c.latest[len(c.latest)-maxChanges:]
	}
}

// fresh returns the changes since the last call.
func (c *changes) fresh() []change {
	c.mu.Lock()
	defer c.mu.Unlock()
	fresh := c.untold
	c.untold = nil
	return fresh
}

// before returns the latest change of the given service that came shortly before a time, or else the latest of any.
// A change that has been taken back is none.
func (c *changes) before(at int64, service uint32) (change, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var found change
	for _, ch := range c.latest {
		if ch.at > at || at-ch.at > near || at-c.versions[ch.service].last[ch.version] > gone {
			continue
		}
		if found.at == 0 || ch.service == service || found.service != service {
			found = ch
		}
	}
	return found, found.at != 0
}

func (ch change) named(table *names.Table) report.Change {
	return report.Change{
		Service: table.EntityOf(ch.service), Version: ch.version, Previous: ch.previous, At: time.Unix(0, ch.at),
	}
}
