package openslo

import (
	"reflect"
	"slices"
)

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
		case !was.Equal(&after[i]):
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

// Equal says whether both promise the same, wherever and however that is written.
func (o *Objective) Equal(other *Objective) bool {
	return reflect.DeepEqual(o.bare(), other.bare()) && o.Calendar.equal(other.Calendar)
}

// bare is the objective without its places and its calendar.
func (o *Objective) bare() Objective {
	out := *o
	i := &out.Indicator
	for _, e := range []*Expression{&i.Total, &i.Good, &i.Bad, &i.Raw, &i.Value, &out.Exclude} {
		e.Source = Source{}
	}
	out.Source, out.Calendar = Source{}, nil
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
