package report

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/change"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/internal/service"
)

func TestChangesInWords(t *testing.T) {
	shop := names.Entity{Identity: service.Identity{Name: "shop"}}
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		Change
		want string
	}{
		{
			Change{Kind: change.Version, From: "1", To: "2"},
			"shop changed from version 1 to 2",
		},
		{
			Change{Kind: change.Version, From: "2", To: "1", Back: true},
			"shop went back from version 2 to 1",
		},
		{
			Change{Kind: change.Revision, To: "b"},
			"shop changed from revision unknown to b",
		},
		{
			Change{Kind: change.Configuration, From: "shop-a", To: "shop-b"},
			"shop was rolled out anew in the same version (shop-b in place of shop-a)",
		},
		{
			Change{Kind: change.Flag, Subject: "f", From: "off", To: "on", Share: 1},
			"flag f of shop went from off to on",
		},
		{
			Change{Kind: change.Flag, Subject: "f", To: "on", Share: 0.5, Before: 0.1},
			"flag f of shop came to be on in 50 % of its evaluations (before: 10 %)",
		},
		{
			Change{Kind: change.Flag, Subject: "f", To: "on", Share: 1, Before: 0.5},
			"flag f of shop came to be on in 100 % of its evaluations (before: 50 %)",
		},
		{
			Change{Kind: change.FlagRules, Subject: "f", From: "1", To: "2"},
			"flag f of shop got other rules, version 2 in place of 1",
		},
		{
			Change{Kind: change.FlagFirst, Subject: "f", To: "on"},
			"shop evaluated flag f for the first time, to on",
		},
		{
			Change{Kind: change.Restart, Many: 2, Of: 2},
			"shop was restarted",
		},
		{
			Change{Kind: change.Restart, Many: 1, Of: 3},
			"1 of 3 instances of shop was replaced",
		},
		{
			Change{Kind: change.Restart, Many: 2, Of: 3},
			"2 of 3 instances of shop were replaced",
		},
		{
			Change{Kind: change.Dependency, Subject: "bank"},
			"shop called bank for the first time",
		},
		{
			Change{Kind: change.Traffic, Many: 300, Of: 90},
			"requests to shop rose to 300 in ten seconds (in the hour before: at most 90)",
		},
		{
			Change{Kind: change.Mix, Subject: "buy", Share: 0.6, Before: 0.1},
			"buy came to be 60 % of the requests to shop (in the hour before: at most 10 %)",
		},
	} {
		c.Service, c.At = shop, noon
		var b strings.Builder
		writeChange(&b, &c.Change, noon.Add(aside))
		assert.Equal(t, " Just before, "+c.want+".", b.String())
		b.Reset()
		writeChange(&b, &c.Change, noon.Add(9*time.Minute))
		assert.Equal(t, " 9 min before, "+c.want+".", b.String())
	}
}

func TestAttributesOfAChange(t *testing.T) {
	a := pcommon.NewMap()
	putChange(a, &Change{
		Kind: change.Flag, Service: names.Entity{Identity: service.Identity{Name: "shop"}}, At: time.Unix(0, 0),
		Subject: "f", From: "off", To: "on",
	})
	assert.Equal(t, map[string]any{
		"change.kind": "feature_flag", "change.service.name": "shop", "change.time": "1970-01-01T00:00:00Z",
		"change.subject": "f", "change.from": "off", "change.to": "on",
	}, a.AsRaw())
	a.Clear()
	putChange(a, nil)
	assert.Zero(t, a.Len())
}
