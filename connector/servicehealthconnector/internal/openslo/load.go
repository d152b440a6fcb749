package openslo

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// maxFile and maxFiles are far more than people write. They keep a glob that meets logs from reading all of them.
const (
	maxFile  = 4 << 20
	maxFiles = 1000
)

// Load reads the files that the globs match, in the order of their names, and then the inline documents. References
// reach across all of them. If anything is wrong the error is of type [Errors] and holds all that is; there are no
// objectives then, because half of a team's promises would look like all of them.
func Load(globs []string, inline []map[string]any) ([]Objective, error) {
	r := &reader{}
	return r.load(r.gather(globs), inline)
}

func (r *reader) load(files []file, inline []map[string]any) ([]Objective, error) {
	docs := newLibrary()
	for _, f := range files {
		r.read(f.path, f.text, docs)
	}
	for i, document := range inline {
		at := Source{File: "slo.documents[" + strconv.Itoa(i) + "]"}
		var node yaml.Node
		if err := node.Encode(document); err != nil {
			r.problems = append(r.problems, &Error{Source: at, Reason: err.Error(), Err: err})
			continue
		}
		r.document(&node, at, false, docs)
	}
	objectives := r.link(docs)
	if len(r.problems) > 0 {
		return nil, r.problems.sorted()
	}
	return objectives, nil
}

// expand gives every file once, even if two globs match it.
func (r *reader) expand(globs []string) []string {
	var paths []string
	for i, glob := range globs {
		at := Source{File: "slo.files[" + strconv.Itoa(i) + "]"}
		matches, err := filepath.Glob(glob)
		switch {
		case err != nil:
			r.problems = append(r.problems, &Error{Source: at, Reason: fmt.Sprintf("%q is no glob", glob), Err: err})
		case len(matches) == 0:
			r.refuse(at, "%q matches no file", glob)
		}
		for _, match := range matches {
			paths = append(paths, filepath.Clean(match))
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// file is one that a glob matched.
type file struct {
	path string
	text []byte
}

// gather reads all files that the globs match.
func (r *reader) gather(globs []string) []file {
	paths := r.expand(globs)
	if len(paths) > maxFiles {
		r.refuse(Source{File: "slo.files"}, "match %d files, and %d at most are possible", len(paths), maxFiles)
		return nil
	}
	files := make([]file, 0, len(paths))
	for _, path := range paths {
		text, err := readBounded(path)
		if err != nil {
			r.problems = append(r.problems, &Error{Source: Source{File: path}, Reason: err.Error(), Err: err})
			continue
		}
		files = append(files, file{path, text})
	}
	return files
}

func readBounded(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("is larger than %d bytes", maxFile)
	}
	return text, nil
}

// read takes in the documents of one file. After a syntax error it stops, since what follows can't be told apart.
func (r *reader) read(path string, text []byte, docs *library) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	found := false
	for {
		var node yaml.Node
		err := decoder.Decode(&node)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			r.problems = append(r.problems, syntaxError(path, err))
			return
		}
		found = true
		content := &node
		if node.Kind == yaml.DocumentNode {
			if len(node.Content) == 0 {
				continue
			}
			content = node.Content[0]
		}
		if content.Kind == yaml.ScalarNode && content.Tag == "!!null" {
			continue
		}
		// Some keep a list of documents in place of several.
		all := []*yaml.Node{content}
		if content.Kind == yaml.SequenceNode {
			all = content.Content
		}
		for _, each := range all {
			if each.Kind == yaml.AliasNode {
				r.refuse(Source{File: path, Line: each.Line}, "must be written out, not an alias")
				continue
			}
			r.document(each, Source{File: path, Line: each.Line}, true, docs)
		}
	}
	if !found {
		r.refuse(Source{File: path}, "holds no document")
	}
}

var syntaxPlace = regexp.MustCompile(`^yaml: line ([0-9]+): `)

// syntaxError puts the line, which the YAML library has in its text only, where all others have it.
func syntaxError(path string, err error) *Error {
	at, reason := Source{File: path}, err.Error()
	if found := syntaxPlace.FindStringSubmatch(reason); found != nil {
		at.Line, _ = strconv.Atoi(found[1])
		reason = reason[len(found[0]):]
	}
	const longest = 200
	return &Error{Source: at, Reason: "is no YAML: " + cut(reason, longest), Err: err}
}

// library is all documents by kind and name.
type library struct {
	services     map[string]*meta
	sources      map[string]*dataSource
	indicators   map[string]*indicator
	policies     map[string]*policy
	conditions   map[string]*condition
	targets      map[string]*target
	slos         map[string]*slo
	inTheirOrder []*slo
}

func newLibrary() *library {
	return &library{
		services:   map[string]*meta{},
		sources:    map[string]*dataSource{},
		indicators: map[string]*indicator{},
		policies:   map[string]*policy{},
		conditions: map[string]*condition{},
		targets:    map[string]*target{},
		slos:       map[string]*slo{},
	}
}

// shelve puts a document where references find it. It is false if that was refused, or the name already was.
func shelve[T any](r *reader, shelf map[string]T, of *meta, document T, places func(T) Source) bool {
	if of.name == "" {
		return false
	}
	if first, twice := shelf[of.name]; twice {
		r.refuse(of.nameAt, "%s %q is already at %s", of.kind, of.name, places(first))
		return false
	}
	shelf[of.name] = document
	return true
}

// sortedKeys makes what is said about a library independent of the order of its maps.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
