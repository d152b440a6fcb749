// Package storagetest has a storage client for tests.
package storagetest

import (
	"context"
	"slices"

	"go.opentelemetry.io/collector/extension/xextension/storage"
)

// Client keeps its values in memory. It is not safe for concurrent use.
type Client map[string][]byte

var _ storage.Client = Client{}

// Batch does the operations in their order.
func (c Client) Batch(_ context.Context, ops ...*storage.Operation) error {
	for _, op := range ops {
		switch op.Type {
		case storage.Get:
			op.Value = slices.Clone(c[op.Key])
		case storage.Set:
			c[op.Key] = slices.Clone(op.Value)
		case storage.Delete:
			delete(c, op.Key)
		}
	}
	return nil
}

// Get returns the value of a key, or nil.
func (c Client) Get(_ context.Context, key string) ([]byte, error) { return slices.Clone(c[key]), nil }

// Set sets the value of a key.
func (c Client) Set(ctx context.Context, key string, value []byte) error {
	return c.Batch(ctx, storage.SetOperation(key, value))
}

// Delete removes a key.
func (c Client) Delete(ctx context.Context, key string) error {
	return c.Batch(ctx, storage.DeleteOperation(key))
}

// Close does nothing.
func (Client) Close(context.Context) error { return nil }
