// Package service says which service a resource speaks for.
package service

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
)

// formerEnvironment is what deployment.environment.name was called before semantic conventions v1.27.
const formerEnvironment = "deployment.environment"

// Identity names a service as the semantic conventions do: by service.namespace, service.name and
// deployment.environment.name. It is comparable, so that it can be a map key without gluing strings together.
type Identity struct {
	Namespace   string
	Name        string
	Environment string
}

// Of reads the identity from resource attributes. The zero Identity means that the resource names no service.
func Of(resource pcommon.Map) Identity {
	name := text(resource, string(semconv.ServiceNameKey))
	if name == "" {
		return Identity{}
	}
	environment := text(resource, string(semconv.DeploymentEnvironmentNameKey))
	if environment == "" {
		environment = text(resource, formerEnvironment)
	}
	return Identity{
		Namespace:   text(resource, string(semconv.ServiceNamespaceKey)),
		Name:        name,
		Environment: environment,
	}
}

// String is the name by which people know the service: namespace/name, or the name alone.
func (id Identity) String() string {
	if id.Namespace == "" {
		return id.Name
	}
	return id.Namespace + "/" + id.Name
}

func text(attributes pcommon.Map, key string) string {
	if value, ok := attributes.Get(key); ok && value.Type() == pcommon.ValueTypeStr {
		return value.Str()
	}
	return ""
}
