package names

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/throughline-otel/throughline/internal/layer"
	"github.com/throughline-otel/throughline/internal/service"
)

func named(name string) Entity {
	return Entity{Identity: service.Identity{Name: name}, Layer: layer.Data}
}

func TestOneNameHasOneNumber(t *testing.T) {
	table := New()
	assert.Equal(t, None, table.Text("\x01"), "what does not print says nothing")
	assert.Equal(t, Other, table.Text("other\x00"))
	assert.Equal(t, table.Text("timeout"), table.Text("time\x00out"))

	assert.Equal(t, None, table.Entity(named("\x01")))
	assert.Equal(t, Other, table.Entity(named(Overflow)), "whoever has the name of the overflow is in it")
	assert.Equal(t, Other, table.Peer("other\x00", layer.External, FromHost))
	elsewhere := named(Overflow)
	elsewhere.Namespace = "shop"
	assert.Greater(t, table.Entity(elsewhere), Other, "a namespace tells it apart")
}

func TestAPeerThatBeginsToSendTelemetryKeepsItsNumber(t *testing.T) {
	table := New()
	peer := table.Peer("postgresql", layer.Data, FromSystem)
	assert.True(t, table.EntityOf(peer).Peer)
	before := table.Generation()

	assert.Equal(t, peer, table.Entity(named("postgresql")))
	assert.False(t, table.EntityOf(peer).Peer)
	assert.Equal(t, FromTelemetry, table.SourceOf(peer))
	assert.Greater(t, table.Generation(), before, "readers look again who has the name")
	found, ok := table.ServiceNamed("postgresql", table.Entity(named("shop")))
	assert.True(t, ok)
	assert.Equal(t, peer, found)

	assert.Equal(t, peer, table.Peer("postgresql", layer.Data, FromSystem))
	assert.Equal(t, FromTelemetry, table.SourceOf(peer), "and stays a service")
}

func TestAServiceMayHaveBeenAPeerBefore(t *testing.T) {
	table := New()
	early := table.Entity(named("early"))
	table.Peer("early", layer.External, FromHost)
	peer := table.Peer("late", layer.External, FromHost)
	late := table.Entity(named("late"))
	_, ok := table.Before(early, "early", layer.External)
	assert.False(t, ok, "it was a service first")
	_, ok = table.Before(late, "late", layer.Data)
	assert.False(t, ok, "nobody of that layer was called so")
	was, ok := table.Before(late, "late", layer.External)
	assert.True(t, ok)
	assert.Equal(t, peer, was)
}

func TestPeersLeaveRoomForServices(t *testing.T) {
	table := New()
	for i := range MaxEntities {
		table.Peer(fmt.Sprint("peer", i), layer.External, FromHost)
	}
	assert.Equal(t, Other, table.Peer("one more", layer.External, FromHost))
	assert.Greater(t, table.Entity(named("peer0-shop")), Other)

	table.Entity(Entity{Identity: service.Identity{Name: "peer0"}, Layer: layer.External})
	assert.Greater(t, table.Peer("one more", layer.External, FromHost), Other, "a peer that became a service gives back its room")
}

func TestOnlyANameOfOnePeerIsThatOfWhoAnswered(t *testing.T) {
	for source, want := range map[Source]bool{
		FromCaller: true, FromDatabase: true, FromFunction: true, FromHost: true,
		FromInterface: false, FromSystem: false, FromNetwork: false,
	} {
		table := New()
		answers := table.Entity(named("back"))
		peer := table.Peer("somewhere", layer.External, source)
		table.Answered(peer, answers)
		_, ok := table.Behind(peer)
		assert.Equal(t, want, ok, source)
	}
}

func TestServicesOf(t *testing.T) {
	table := New()
	id := service.Identity{Namespace: "shop", Name: "bank"}
	one := table.Entity(Entity{Identity: id, Layer: layer.Application})
	two := table.Entity(Entity{Identity: id, Layer: layer.Data})
	table.Entity(Entity{Identity: service.Identity{Name: "bank"}, Layer: layer.Application})
	table.Peer("redis", layer.Data, FromHost)
	assert.Equal(t, []uint32{one, two}, table.ServicesOf(id, nil))
	assert.Empty(t, table.ServicesOf(service.Identity{Name: "redis"}, nil), "a peer sends nothing itself")
	assert.Empty(t, table.ServicesOf(service.Identity{}, nil))
}
