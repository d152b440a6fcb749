package servicehealthconnector

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.uber.org/zap"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/openslo"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/sli"
)

// loader makes objectives of documents, and says how that went. Only one goroutine at a time loads.
type loader struct {
	watcher  *openslo.Watcher
	interval time.Duration
	set      component.TelemetrySettings
	// present are the objectives in use.
	present []openslo.Objective
	// taken and refused count what was loaded since the start; outdated says that the latest were refused.
	taken, refused atomic.Int64
	outdated       atomic.Bool
}

func newLoader(set component.TelemetrySettings, cfg *Config) *loader {
	l := &loader{watcher: openslo.NewWatcher(cfg.SLO.Files, cfg.SLO.Documents), set: set}
	if len(cfg.SLO.Files) > 0 && cfg.Clock == clockWall {
		l.interval = cfg.SLO.ReloadInterval
	}
	return l
}

// load loads the objectives to begin with.
func (l *loader) load() ([]openslo.Objective, *sli.Binder, error) {
	objectives, _, err := l.watcher.Load()
	if err != nil {
		return nil, nil, err
	}
	binder, err := sli.Compile(objectives, l.set)
	if err != nil {
		return nil, nil, err
	}
	l.present = objectives
	l.warn()
	return objectives, binder, nil
}

// warn tells of documents that are right, but to no effect: a name in them may be wrong.
func (l *loader) warn() {
	var idle []string
	for _, document := range l.watcher.Idle() {
		idle = append(idle, document.Error())
	}
	if len(idle) > 0 {
		l.set.Logger.Warn("some documents have no effect", names("documents", idle))
	}
}

// watch looks from time to time whether the documents have changed, until ctx ends. What has to be told then is sent with
// sending.
func (s *shared) watch(ctx, sending context.Context) {
	looks := time.NewTicker(s.loader.interval)
	defer looks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-looks.C:
			s.reload(sending)
		}
	}
}

// reload takes in the documents if they have changed. If there is anything wrong with them, the former ones go on.
func (s *shared) reload(ctx context.Context) {
	l := s.loader
	objectives, changed, err := l.watcher.Load()
	if !changed {
		return
	}
	if err == nil {
		numbered := s.engine.Number(objectives, s.now())
		var binder *sli.Binder
		if binder, err = sli.Compile(numbered, l.set); err == nil {
			s.engine.Adopt(ctx, numbered, binder, s.now())
		}
	}
	l.outdated.Store(err != nil)
	if err != nil {
		l.refused.Add(1)
		s.logger.Error("changed documents were refused, the former objectives go on", zap.Error(err))
		return
	}
	l.taken.Add(1)
	difference := openslo.Compare(l.present, objectives)
	l.present = objectives
	s.logger.Info("changed documents were taken in", zap.Int("objectives", len(objectives)),
		names("added", difference.Added), names("changed", difference.Changed), names("removed", difference.Removed))
	l.warn()
}

// names are a field of a log record, the first ones of many.
func names(key string, all []string) zap.Field {
	const most = 20
	if more := len(all) - most; more > 0 {
		all = append(all[:most:most], fmt.Sprintf("and %d more", more))
	}
	return zap.Strings(key, all)
}
