package sli

import "github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlspan"

type plain interface{ ask(*ottlspan.TransformContext) answer }
type plainValue func(*ottlspan.TransformContext) (float64, bool)
type answer int8

const (
	unknown answer = iota
	no
	yes
)

func parsePlain(string) plain           { return nil }
func parsePlainValue(string) plainValue { return nil }
