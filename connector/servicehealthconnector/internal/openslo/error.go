package openslo

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Error is one thing in a document that can't be honoured.
type Error struct {
	// Source is the file, line and key.
	Source
	// Reason says what is wrong and, where there is a choice, what would be right.
	Reason string
	// Err is what caused it, if something else did.
	Err error
}

// Error is file:line: `key`: reason.
func (e *Error) Error() string {
	var text strings.Builder
	text.WriteString(e.Source.String())
	text.WriteString(": ")
	if e.Key != "" {
		text.WriteString("`" + e.Key + "`: ")
	}
	text.WriteString(e.Reason)
	return text.String()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errors is all that is wrong with the documents, in the order in which somebody would correct it.
type Errors []*Error

// mostTold is how many problems are told in words: what is no OpenSLO at all has one in each line.
const mostTold = 100

// Error has one line for each of the first ones.
func (e Errors) Error() string {
	lines := make([]string, 0, min(len(e), mostTold+1))
	for _, err := range e[:min(len(e), mostTold)] {
		lines = append(lines, err.Error())
	}
	if more := len(e) - mostTold; more > 0 {
		lines = append(lines, "and "+strconv.Itoa(more)+" more")
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives each to errors.Is and errors.As.
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i, err := range e {
		all[i] = err
	}
	return all
}

func (e Errors) sorted() Errors {
	slices.SortStableFunc(e, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return e
}
