package engine

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/evidence"
)

// notes are the log records of the traces of a shard that are not yet decided.
type notes struct {
	byTrace map[pcommon.TraceID][]evidence.Note
	queue   []expiring
	// first is the index of the oldest of queue.
	first      int
	held, most int
	spare      [][]evidence.Note
}

type expiring struct {
	id       pcommon.TraceID
	deadline int64
}

// maxNotesPerTrace bounds the records of one trace: what comes beyond says the same again.
const maxNotesPerTrace = 1024

func newNotes(most int) notes {
	return notes{byTrace: map[pcommon.TraceID][]evidence.Note{}, most: most}
}

// put holds a note until its trace is decided, or until deadline if it never is.
func (n *notes) put(id pcommon.TraceID, note evidence.Note, now, deadline int64) {
	list, known := n.byTrace[id]
	if !known {
		n.expire(now)
		n.queue = append(n.queue, expiring{id, deadline})
		if last := len(n.spare) - 1; last >= 0 {
			list, n.spare = n.spare[last], n.spare[:last]
		}
	}
	if n.held >= n.most || len(list) >= maxNotesPerTrace {
		return
	}
	n.held++
	n.byTrace[id] = append(list, note)
}

// take appends the notes of a trace to a list.
func (n *notes) take(id pcommon.TraceID, to []evidence.Note) []evidence.Note {
	list, known := n.byTrace[id]
	if !known {
		return to
	}
	to = append(to, list...)
	n.drop(id, list)
	return to
}

func (n *notes) drop(id pcommon.TraceID, list []evidence.Note) {
	n.held -= len(list)
	delete(n.byTrace, id)
	const maxSpare = 256
	if len(n.spare) < maxSpare && cap(list) > 0 {
		n.spare = append(n.spare, list[:0])
	}
}

// expire forgets the notes of traces that did not come.
func (n *notes) expire(now int64) {
	for n.first < len(n.queue) && n.queue[n.first].deadline <= now {
		id := n.queue[n.first].id
		if list, known := n.byTrace[id]; known {
			n.drop(id, list)
		}
		n.first++
	}
	if n.first > len(n.queue)/2 {
		n.queue = append(n.queue[:0], n.queue[n.first:]...)
		n.first = 0
	}
}

// takenNotes are the notes of traces that were taken out of shards, one after the other.
type takenNotes struct {
	all []evidence.Note
	// behind is, for each trace, the index behind its last note.
	behind []int
}

func (t *takenNotes) reset() { t.all, t.behind = t.all[:0], t.behind[:0] }

// of returns the notes of the trace with an index.
func (t *takenNotes) of(i int) []evidence.Note {
	from := 0
	if i > 0 {
		from = t.behind[i-1]
	}
	return t.all[from:t.behind[i]]
}
