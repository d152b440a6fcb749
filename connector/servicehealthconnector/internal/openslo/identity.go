package openslo

import (
	"reflect"
	"slices"
)

// Identity is what an objective counts, for whom and under which name, wherever and however that is written. Objectives with the
// same one count the same events: target, windows, alerts and times of maintenance are only what is made of them. It is comparable.
type Identity struct {
	name                                   string
	service, of                            Service
	signal                                 Signal
	total, good, bad, raw, value, excluded string
	rawIsBad                               bool
	op                                     Operator
	threshold                              float64
	slices                                 Slices
	groupBy                                [MaxGroupBy]string
}

// Identity of the objective.
func (o *Objective) Identity() Identity {
	i := &o.Indicator
	id := Identity{
		name: o.Name, service: o.Service, of: i.Service, signal: i.Signal,
		total: i.Total.Text, good: i.Good.Text, bad: i.Bad.Text, raw: i.Raw.Text, value: i.Value.Text, excluded: o.Exclude.Text,
		rawIsBad: i.RawIsBad, op: i.Op, threshold: i.Threshold, slices: o.Slices,
	}
	copy(id.groupBy[:], o.GroupBy)
	return id
}

// Difference is what has become of objectives, by their names, each in the order of the documents.
type Difference struct{ Added, Changed, Removed []string }

// Compare says what has become of objectives. One that counts something else than the one of its name did is changed, too.
func Compare(before, after []Objective) Difference {
	former := make(map[string]*Objective, len(before))
	for i := range before {
		former[before[i].Name] = &before[i]
	}
	var d Difference
	for i := range after {
		switch was, ok := former[after[i].Name]; {
		case !ok:
			d.Added = append(d.Added, after[i].Name)
		case !was.equal(&after[i]):
			d.Changed = append(d.Changed, after[i].Name)
		}
		delete(former, after[i].Name)
	}
	for i := range before {
		if _, gone := former[before[i].Name]; gone {
			d.Removed = append(d.Removed, before[i].Name)
		}
	}
	return d
}

// equal says whether both promise the same, wherever they are written.
func (o *Objective) equal(other *Objective) bool {
	return o.Identity() == other.Identity() && reflect.DeepEqual(o.promise(), other.promise()) && o.Calendar.equal(other.Calendar)
}

// promise is the objective without its identity, its places and its calendar.
func (o *Objective) promise() Objective {
	out := *o
	out.Indicator, out.Exclude, out.Source, out.Calendar = Indicator{}, Expression{}, Source{}, nil
	out.Conditions = slices.Clone(o.Conditions)
	for i := range out.Conditions {
		out.Conditions[i].Source = Source{}
	}
	return out
}

// equal compares the names of zones: what one knows of its zone depends on when it was loaded.
func (c *Calendar) equal(other *Calendar) bool {
	if c == nil || other == nil {
		return c == other
	}
	return c.Count == other.Count && c.Unit == other.Unit && c.Start.Equal(other.Start) &&
		c.Start.Location().String() == other.Start.Location().String()
}
