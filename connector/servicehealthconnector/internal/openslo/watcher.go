package openslo

import (
	"crypto/sha256"
	"encoding/binary"
)

// Watcher loads documents and looks whether they have changed since. It looks at what they hold, so that it does not matter how a
// file came to be another: by an editor, or with the symbolic links of a mounted config map. It is not safe for concurrent use.
type Watcher struct {
	globs  []string
	inline []map[string]any
	seen   [sha256.Size]byte
	idle   Errors
}

// NewWatcher returns a watcher of the files that the globs match. The inline documents do not change.
func NewWatcher(globs []string, inline []map[string]any) *Watcher {
	return &Watcher{globs: globs, inline: inline}
}

// Load loads the documents as [Load] does if they are others than last time, when it may have been an error, and says so.
func (w *Watcher) Load() (objectives []Objective, changed bool, err error) {
	r := &reader{}
	files := r.gather(w.globs)
	// What is wrong with the globs or with reading the files is a part of what was found.
	now := digest(files, r.problems)
	if now == w.seen {
		return nil, false, nil
	}
	w.seen = now
	objectives, err = r.load(files, w.inline)
	w.idle = r.idle.sorted()
	return objectives, true, err
}

// Idle are the documents of the latest change that nothing refers to, and that are not refused since they only describe what there is.
func (w *Watcher) Idle() Errors { return w.idle }

// digest is that of the names and texts of files, and of problems.
func digest(files []file, problems Errors) [sha256.Size]byte {
	all := sha256.New()
	write := func(text []byte) {
		all.Write(binary.BigEndian.AppendUint64(nil, uint64(len(text))))
		all.Write(text)
	}
	for _, f := range files {
		write([]byte(f.path))
		write(f.text)
	}
	write([]byte(problems.Error()))
	return [sha256.Size]byte(all.Sum(nil))
}
