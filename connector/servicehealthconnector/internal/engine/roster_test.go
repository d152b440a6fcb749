package engine

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/openslo"
)

// objectivesNamed count what has that name; a dash is a number that nothing has.
func objectivesNamed(names string) []openslo.Objective {
	all := make([]openslo.Objective, len(names))
	for i := range names {
		if names[i] != '-' {
			all[i].Name = names[i : i+1]
		}
	}
	return all
}

func namesOf(numbered []openslo.Objective) string {
	var all string
	for i := range numbered {
		if numbered[i].Name == "" {
			all += "-"
		}
		all += numbered[i].Name
	}
	return all
}

func TestANumberKeepsItsMeaning(t *testing.T) {
	r := newRoster(objectivesNamed("abc"))
	become := func(names string, decided, now int64) string {
		numbered := r.number(objectivesNamed(names), decided, now)
		r.become(numbered)
		return namesOf(numbered)
	}
	assert.Equal(t, "abc", become("cab", 0, 10), "the order of documents means nothing")
	assert.Equal(t, "ab-d", become("dba", 10, 20), "spans may be held that were events of c")
	assert.Equal(t, "a--de", become("dea", 20, 30), "since when there are none is known only now")
	assert.Equal(t, "a--def", become("fdea", 29, 40), "not all of them are decided")
	assert.Equal(t, "a-gdef", become("fdeag", 30, 50), "all those of c are, but not those of b")
	assert.Equal(t, "ahgdef", become("fdeagh", 40, 60))
	assert.Equal(t, "------", become("", 60, 70))
	assert.Equal(t, "------xy", become("xy", 60, 80))
	assert.Equal(t, "zvw---xy", become("xyzvw", 80, 90), "numbers are used again")
}

func TestAnotherMeaningIsAnotherNumber(t *testing.T) {
	r := newRoster(objectivesNamed("ab"))
	changed := objectivesNamed("ab")
	changed[0].Exclude.Text = "true"
	numbered := r.number(changed, 0, 10)
	assert.Equal(t, "-ba", namesOf(numbered))
	target := objectivesNamed("ab")
	target[0].Target = 0.9
	assert.Equal(t, "ab", namesOf(r.number(target, 0, 10)), "what counts is the same")
}
