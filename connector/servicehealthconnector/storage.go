package servicehealthconnector

import (
	"context"
	"fmt"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/engine"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/snapshot"
)

// restore lets the engine go on with the state in the storage, if one is configured.
func (s *shared) restore(ctx context.Context, host component.Host) error {
	if s.storage == nil {
		return nil
	}
	found, ok := host.GetExtensions()[*s.storage]
	if !ok {
		return fmt.Errorf("`storage`: there is no extension %q in `service.extensions`", s.storage)
	}
	extension, ok := found.(storage.Extension)
	if !ok {
		return fmt.Errorf("`storage`: the extension %q stores nothing", s.storage)
	}
	client, err := extension.GetClient(ctx, component.KindConnector, s.id, "")
	if err != nil {
		return fmt.Errorf("`storage`: open %q: %w", s.storage, err)
	}
	now := s.now()
	store, values, asides, err := snapshot.Open(ctx, client, uint64(now))
	for _, aside := range asides {
		engine.WarnAside(s.logger, aside)
	}
	if err == nil {
		err = s.engine.Restore(ctx, store, values, now)
	}
	if err != nil {
		_ = client.Close(ctx)
		return fmt.Errorf("`storage`: read %q: %w", s.storage, err)
	}
	return nil
}
