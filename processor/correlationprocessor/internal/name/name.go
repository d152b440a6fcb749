// Package name bounds the names that strangers give to their services and operations.
package name

import "unicode/utf8"

// Max is the length of the longest name that is remembered, in bytes.
const Max = 256

// Cut is as much of a name as is remembered, which ends between two characters. It shares the memory of the whole.
func Cut(name string) string {
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
