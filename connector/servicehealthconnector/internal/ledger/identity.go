package ledger

import (
	"crypto/sha256"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/openslo"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/snapshot"
)

// ID stands for what an objective counts. It is the same in every process and for every order of documents.
type ID [16]byte

// Identity is the ID of an objective. All that decides which items count, and as what, makes part of it. What the counts are held
// against does not: a target, a window, an alert or a time of maintenance may change, and what was counted still stands.
func Identity(o *openslo.Objective) ID {
	i := &o.Indicator
	var b []byte
	for _, text := range []string{
		o.Name, o.Service.Namespace, o.Service.Name,
		string(i.Signal), i.Service.Namespace, i.Service.Name, i.Total.Text, i.Good.Text, i.Bad.Text, i.Raw.Text, i.Value.Text, string(i.Op),
		o.Exclude.Text,
	} {
		b = snapshot.Text(b, text)
	}
	b = snapshot.Float(snapshot.Bool(b, i.RawIsBad), i.Threshold)
	b = snapshot.Float(snapshot.Int(b, int64(o.Slices.Length)), o.Slices.Target)
	b = snapshot.Bool(b, o.Slices.Ratio)
	for _, name := range o.GroupBy {
		b = snapshot.Text(b, name)
	}
	sum := sha256.Sum256(b)
	return ID(sum[:len(ID{})])
}
