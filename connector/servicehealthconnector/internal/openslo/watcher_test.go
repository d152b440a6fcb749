package openslo_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/openslo"
)

// promise is a document about a service, with more lines of its metadata's annotations.
func promise(name, target string, annotations ...string) string {
	return `apiVersion: openslo/v1
kind: SLO
metadata:
  name: ` + name + `
  annotations:
    example.com/owner: web
` + strings.Join(append(annotations, ""), "\n") + `spec:
  service: shop/front
  indicator:
    spec:
      ratioMetric:
        total: {metricSource: {type: OpenTelemetry, spec: {signal: traces}}}
        bad: {metricSource: {type: OpenTelemetry, spec: {condition: status.code == STATUS_CODE_ERROR}}}
  budgetingMethod: Occurrences
  objectives: [{target: ` + target + `}]
`
}

func TestTheWatcherSeesWhatChanges(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "a.yaml")
	write := func(text string) { require.NoError(t, os.WriteFile(path, []byte(text), 0o600)) }
	w := openslo.NewWatcher([]string{filepath.Join(folder, "*.yaml")}, nil)
	look := func() ([]openslo.Objective, bool, error) {
		objectives, changed, err := w.Load()
		_, again, _ := w.Load()
		assert.False(t, again, "nothing has changed in between")
		return objectives, changed, err
	}
	_, changed, err := look()
	assert.True(t, changed)
	require.ErrorContains(t, err, "matches no file")

	write(promise("one", "0.99"))
	objectives, changed, err := look()
	require.NoError(t, err)
	assert.True(t, changed)
	assert.Len(t, objectives, 1)

	write(promise("one", "0.99"))
	_, changed, _ = look()
	assert.False(t, changed, "a file may be written again")

	write(promise("one", "1.5"))
	objectives, changed, err = look()
	assert.True(t, changed)
	assert.Empty(t, objectives)
	require.ErrorContains(t, err, "a.yaml:15: `spec.objectives[0].target`: must be from 0")

	write(promise("one", "0.99"))
	_, changed, err = look()
	require.NoError(t, err)
	assert.True(t, changed, "it is right again")

	require.NoError(t, os.WriteFile(filepath.Join(folder, "b.yaml"), []byte(promise("two", "0.99")), 0o600))
	objectives, _, err = look()
	require.NoError(t, err)
	assert.Len(t, objectives, 2)

	require.NoError(t, os.Remove(path))
	objectives, _, err = look()
	require.NoError(t, err)
	assert.Len(t, objectives, 1)
}

// A mounted config map is a folder behind a symbolic link that is put in the place of the former one.
func TestTheWatcherFollowsAConfigMap(t *testing.T) {
	folder := t.TempDir()
	version := 0
	publish := func(text string) {
		version++
		data := "..version" + strconv.Itoa(version)
		require.NoError(t, os.Mkdir(filepath.Join(folder, data), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(folder, data, "slo.yaml"), []byte(text), 0o600))
		require.NoError(t, os.Symlink(data, filepath.Join(folder, "..new")))
		require.NoError(t, os.Rename(filepath.Join(folder, "..new"), filepath.Join(folder, "..data")))
	}
	publish(promise("one", "0.99"))
	require.NoError(t, os.Symlink(filepath.Join("..data", "slo.yaml"), filepath.Join(folder, "slo.yaml")))
	w := openslo.NewWatcher([]string{filepath.Join(folder, "*.yaml")}, nil)
	_, _, err := w.Load()
	require.NoError(t, err)
	publish(promise("one", "0.999"))
	objectives, changed, err := w.Load()
	require.NoError(t, err)
	require.True(t, changed)
	assert.InDelta(t, 0.999, objectives[0].Target, 0)
}

func TestTooManyFiles(t *testing.T) {
	folder := t.TempDir()
	for i := range 1001 {
		require.NoError(t, os.WriteFile(filepath.Join(folder, strconv.Itoa(i)+".yaml"), nil, 0o600))
	}
	_, err := openslo.Load([]string{filepath.Join(folder, "*.yaml")}, nil)
	require.EqualError(t, err, "slo.files: match 1001 files, and 1000 at most are possible")
}

func TestDocumentsThatNothingRefersTo(t *testing.T) {
	const (
		service = "apiVersion: openslo/v1\nkind: Service\nmetadata: {name: %s}\nspec: {}\n"
		target  = "apiVersion: openslo/v1\nkind: AlertNotificationTarget\nmetadata: {name: nobody}\nspec: {target: email}\n"
		source  = "apiVersion: openslo/v1\nkind: DataSource\nmetadata: {name: here}\nspec: {type: OpenTelemetry, connectionDetails: {}}\n"
	)
	path := filepath.Join(t.TempDir(), "a.yaml")
	write := func(documents ...string) {
		require.NoError(t, os.WriteFile(path, []byte(strings.Join(documents, "---\n")), 0o600))
	}
	w := openslo.NewWatcher([]string{path}, nil)
	idle := func() (all []string) {
		_, changed, err := w.Load()
		require.NoError(t, err)
		assert.True(t, changed)
		for _, document := range w.Idle() {
			all = append(all, strings.TrimPrefix(document.Error(), path+":"))
		}
		return all
	}
	write(promise("one", "0.99"), target, fmt.Sprintf(service, "shop/back"), source)
	assert.Equal(t, []string{
		`17: no AlertPolicy refers to the AlertNotificationTarget "nobody"`,
		`22: no SLO refers to the Service "shop/back"`,
		`27: no SLI refers to the DataSource "here"`,
	}, idle())
	write(promise("one", "0.99"), fmt.Sprintf(service, "shop/front"))
	assert.Empty(t, idle())
}
