package recording

import (
	"errors"
	"fmt"
)

var (
	errNotObject = errors.New("not a JSON object")
	errTorn      = errors.New("the line ends in the middle of its JSON object: the file is truncated, or not made of JSON lines")
	errTrailing  = errors.New("more follows after the JSON object: a line holds one object")
	errEmptyKey  = errors.New("the JSON object has an empty key")
)

// topLevel calls found with each key of the JSON object that line is, as it is written, in order. It checks that the object
// ends where the line does, and leaves everything inside to the decoder. Both are needed because the decoder stops at the
// end of the first object, and at an empty key: what follows would be lost without a word.
func topLevel(line []byte, found func(key []byte)) error {
	if len(line) == 0 || line[0] != '{' {
		return errNotObject
	}
	depth, keyNext := 0, true
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case '"':
			end := stringEnd(line, i+1)
			if end < 0 {
				return errTorn
			}
			if depth == 1 && keyNext {
				if end == i+1 {
					return errEmptyKey
				}
				found(line[i+1 : end])
				keyNext = false
			}
			i = end
		case '{', '[':
			depth++
		case '}', ']':
			depth--
			if depth == 0 {
				if i+1 < len(line) {
					return fmt.Errorf("%w (column %d)", errTrailing, i+2)
				}
				return nil
			}
		case ',':
			keyNext = keyNext || depth == 1
		}
	}
	return errTorn
}

// stringEnd returns the index of the quote that closes the string whose first byte is at from, or -1.
func stringEnd(line []byte, from int) int {
	for i := from; i < len(line); i++ {
		switch line[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return -1
}
