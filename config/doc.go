// Package config has no code: the tests of the shipped configurations stand beside them. They run the built programs, so that
// what is tested is what is shipped.
package config
