// Package name bounds the names that strangers give to their services and operations.
package name

import (
	"strings"
	"unicode/utf8"
)

// Max is the length of the longest name that is remembered, in bytes.
const Max = 256

// Cut is as much of a name as is remembered. It ends between two characters, and has U+FFFD for what is not UTF-8: it may
// be put onto what others have sent, and whoever gets that may refuse all of it for one wrong byte. It shares the memory of
// the whole, and nothing is allocated for a name that is valid.
func Cut(name string) string {
	name = head(name)
	if utf8.ValidString(name) {
		return name
	}
	return head(strings.ToValidUTF8(name, "\uFFFD"))
}

// Keep is the same, and keeps nothing else alive.
func Keep(name string) string {
	return strings.Clone(Cut(name))
}

// head ends between two characters.
func head(name string) string {
	if len(name) <= Max {
		return name
	}
	end := Max
	for end > Max-utf8.UTFMax && !utf8.RuneStart(name[end]) {
		end--
	}
	return name[:end]
}

// Bytes is what the allocator takes for a name.
func Bytes(name string) int64 {
	return int64(len(name)+15) &^ 15
}
