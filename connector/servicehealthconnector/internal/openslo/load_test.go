package openslo_test

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/openslo"
)

var update = flag.Bool("update", false, "write what is found as what is expected")

// TestCases loads input*.yaml of each folder, and expects the objectives in expected.yaml or the problems in error.txt.
func TestCases(t *testing.T) {
	folders, err := filepath.Glob("testdata/*/input.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, folders)
	for _, input := range folders {
		folder := filepath.Dir(input)
		t.Run(filepath.Base(folder), func(t *testing.T) {
			objectives, err := openslo.Load([]string{filepath.Join(folder, "input*.yaml")}, nil)
			if err != nil {
				assert.Nil(t, objectives)
				compare(t, filepath.Join(folder, "error.txt"), strings.ReplaceAll(err.Error(), folder+"/", "")+"\n")
				assert.NoFileExists(t, filepath.Join(folder, "expected.yaml"))
				return
			}
			text, err := yaml.Marshal(objectives)
			require.NoError(t, err)
			compare(t, filepath.Join(folder, "expected.yaml"), strings.ReplaceAll(string(text), folder+"/", ""))
			assert.NoFileExists(t, filepath.Join(folder, "error.txt"))
			sameInline(t, folder, objectives)
		})
	}
}

func compare(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), got)
}

// sameInline loads the same documents from the collector's configuration. Only the places are others.
func sameInline(t *testing.T, folder string, want []openslo.Objective) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "input*.yaml"))
	require.NoError(t, err)
	var documents []map[string]any
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		decoder := yaml.NewDecoder(bytes.NewReader(text))
		for {
			var found any
			err := decoder.Decode(&found)
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			list, isList := found.([]any)
			if !isList {
				list = []any{found}
			}
			for _, each := range list {
				document, ok := each.(map[string]any)
				require.True(t, ok)
				documents = append(documents, document)
			}
		}
	}
	got, err := openslo.Load(nil, documents)
	require.NoError(t, err)
	require.NotEmpty(t, got)
	assert.True(t, strings.HasPrefix(got[0].Source.String(), "slo.documents["), got[0].Source)
	assert.Equal(t, placeless(want), placeless(got))
}

func placeless(objectives []openslo.Objective) []openslo.Objective {
	out := make([]openslo.Objective, len(objectives))
	for i, o := range objectives {
		o.Source = openslo.Source{}
		asked := &o.Indicator
		for _, e := range []*openslo.Expression{&asked.Total, &asked.Good, &asked.Bad, &asked.Raw, &asked.Value, &o.Exclude} {
			e.Source = openslo.Source{}
		}
		o.Conditions = append([]openslo.Alert(nil), o.Conditions...)
		for j := range o.Conditions {
			o.Conditions[j].Source = openslo.Source{}
		}
		out[i] = o
	}
	return out
}

func TestNothingToLoad(t *testing.T) {
	objectives, err := openslo.Load(nil, nil)
	require.NoError(t, err)
	assert.Empty(t, objectives)
}

func TestGlobs(t *testing.T) {
	_, err := openslo.Load([]string{"testdata/nothing/*.yaml", "testdata/[", "testdata"}, nil)
	var problems openslo.Errors
	require.ErrorAs(t, err, &problems)
	require.Len(t, problems, 3)
	assert.Equal(t, `slo.files[0]: "testdata/nothing/*.yaml" matches no file`, problems[0].Error())
	assert.Equal(t, `slo.files[1]: "testdata/[" is no glob`, problems[1].Error())
	require.ErrorIs(t, err, filepath.ErrBadPattern)
	assert.Contains(t, problems[2].Error(), "testdata: ")

	twice, err := openslo.Load([]string{"testdata/defaults/input.yaml", "testdata/defaults/*.yaml", "./testdata/defaults/i*"}, nil)
	require.Error(t, err, "expected.yaml is no document")
	assert.Empty(t, twice)
	twice, err = openslo.Load([]string{"testdata/defaults/input.yaml", "./testdata/defaults/i*"}, nil)
	require.NoError(t, err)
	assert.Len(t, twice, 1)
}

func TestHugeFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "huge.yaml")
	require.NoError(t, os.WriteFile(path, bytes.Repeat([]byte("# a log\n"), 1<<20), 0o600))
	_, err := openslo.Load([]string{path}, nil)
	require.ErrorContains(t, err, "is larger than")
}

// TestInlineOnly has what only Go can hold.
func TestInlineOnly(t *testing.T) {
	_, err := openslo.Load(nil, []map[string]any{nil, {"apiVersion": "openslo/v1", "kind": "SLO", "metadata": 5}})
	var problems openslo.Errors
	require.ErrorAs(t, err, &problems)
	assert.Equal(t, "slo.documents[0]: `apiVersion`: must be openslo/v1, not \"\"", problems[0].Error())
	assert.Equal(t, "slo.documents[1]: `metadata`: must be a mapping, not \"5\"", problems[1].Error())
}

// TestOwnFiles makes sure that what people copy works.
func TestOwnFiles(t *testing.T) {
	objectives, err := openslo.Load([]string{"../../../../config/slos/*.yaml"}, nil)
	require.NoError(t, err)
	var names []string
	for _, o := range objectives {
		names = append(names, o.Name)
	}
	assert.Equal(t, []string{
		"my-service-availability", "my-service-latency/quick", "my-service-latency/bearable",
		"front-availability", "front-latency", "fulfilment-latency",
	}, names)
}
