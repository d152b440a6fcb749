package correlationprocessor

import (
	"testing"

	"github.com/throughline-otel/throughline/internal/schematest"
)

func TestConfigIsThatOfTheSchema(t *testing.T) {
	schematest.Compare(t, "config.schema.json", *createDefaultConfig().(*Config))
}
