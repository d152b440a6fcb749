package engine

import (
	"slices"
	"sync"
	"sync/atomic"
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
	// measured is for how long in nanoseconds after a version first served its share of the traffic is measured.
	measured = int64(10 * time.Second)
	// gone is after how long in nanoseconds a version that was not seen is taken to have been taken back.
	gone = int64(15 * time.Second)
)

// release is what of a service is deployed: its version, or where that stays the same or is missing, the revision of its source.
type release struct{ version, revision string }

// changes notices when a version of a service first serves.
type changes struct {
	// measuring is how many changes have their traffic measured: what they ask of each resource is nothing while there is none.
	measuring atomic.Int32

	mu       sync.Mutex
	versions map[uint32]*versions
	latest   []*change
	untold   []*change
}

type versions struct {
	// current is the release that was announced last, unless that was taken back, and change how the announced one came.
	current release
	change  *change
	// last is when each release was seen last.
	last map[release]int64
}

type change struct {
	service           uint32
	release, previous release
	at                int64
	// told says that it is no longer measured.
	told bool
	// served is how many spans of the service were of the release since then, all how many there were.
	served, all float64
}

func (c *changes) see(service uint32, is release, now int64) {
	if service <= names.Other {
		return
	}
	is = release{names.Clean(is.version), names.Clean(is.revision)}
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.versions[service]
	if v == nil {
		v = &versions{current: is, last: map[release]int64{}}
		c.versions[service] = v
	}
	last, known := v.last[is]
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
	v.last[is] = now
	if known && now-last <= forgotten {
		if now-v.last[v.current] > gone {
			v.current = is // It is what the next one replaces, which may be the one that was taken back.
		}
		return
	}
	if is == v.current {
		return
	}
	v.change = &change{service: service, release: is, previous: v.current, at: now}
	v.current = is
	c.untold = append(c.untold, v.change)
	c.measuring.Add(1)
	if c.latest = append(c.latest, v.change); len(c.latest) > maxChanges {
		c.latest = c.latest[len(c.latest)-maxChanges:]
	}
}

// traffic notes spans of a service. It is asked of each resource, and does nothing unless a change is being measured.
func (c *changes) traffic(service uint32, is release, spans float64) {
	if c.measuring.Load() == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.versions[service]
	if v == nil || v.change == nil || v.change.told {
		return
	}
	v.change.all += spans
	if (release{names.Clean(is.version), names.Clean(is.revision)}) == v.change.release {
		v.change.served += spans
	}
}

// fresh returns the changes that were measured for long enough since the last call, or, if it is the last, all.
func (c *changes) fresh(now int64, last bool) []*change {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for n < len(c.untold) && (last || now-c.untold[n].at >= measured) {
		c.untold[n].told = true
		n++
	}
	fresh := slices.Clone(c.untold[:n])
	c.untold = slices.Delete(c.untold, 0, n)
	c.measuring.Add(int32(-n))
	return fresh
}

// before returns the latest change of the given service that came shortly before a time, or else the latest of any.
// A change that has been taken back is none.
func (c *changes) before(at int64, service uint32) (*change, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var found *change
	for _, ch := range c.latest {
		if ch.at > at || at-ch.at > near || at-c.versions[ch.service].last[ch.release] > gone {
			continue
		}
		if found == nil || ch.service == service || found.service != service {
			found = ch
		}
	}
	return found, found != nil
}

// named is how a change is told. Its share of the traffic is known only once it was measured.
func (ch *change) named(table *names.Table) report.Change {
	return report.Change{
		Service: table.EntityOf(ch.service), At: time.Unix(0, ch.at),
		Version: ch.release.version, Previous: ch.previous.version,
		Revision: ch.release.revision, PreviousRevision: ch.previous.revision,
	}
}

// share is the release's share of the traffic while it was measured. Nobody else reads or writes it after that.
func (ch *change) share() float64 {
	if ch.all == 0 {
		return 0
	}
	return ch.served / ch.all
}
