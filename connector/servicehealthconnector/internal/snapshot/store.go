package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"

	"go.opentelemetry.io/collector/extension/xextension/storage"
)

const (
	// Version is that of the form. What an older version wrote is read, what a newer one wrote is refused.
	Version = 1
	// magic begins the head, which says which other values there are.
	magic = "throughline slo\n"
	// headKey is where the head is, and asidePrefix begins the keys of what could not be read.
	headKey     = "slo"
	asidePrefix = "slo.aside/"
	// maxSlots bounds the values in a state.
	maxSlots = 1 << 20
	// readAtOnce bounds the values that are read together.
	readAtOnce = 512
)

// NewerError says that a state was written by a newer version of the form. It is left as it is.
type NewerError struct{ Version uint64 }

func (e *NewerError) Error() string {
	return fmt.Sprintf("the state in the storage has the format %d, written by a newer version; this one reads up to %d. "+
		"Go on with the newer version, or give this one another storage", e.Version, Version)
}

// Aside is a value that could not be read, and was put under another key.
type Aside struct {
	// Key is where it was, To where it is now.
	Key, To string
	// Reason is what is wrong with it.
	Reason error
}

// Store keeps values in numbered slots of a storage client. It is not safe for concurrent use.
type Store struct {
	client storage.Client
	// generation is a part of the slots' keys: a state that is started afresh leaves the values of the one before alone.
	generation uint64
	slots      int
}

// Open reads the state of a client. The values have the number of their slot as index; what is not there, or was set aside, is nil. now
// is any number that was not given before, such as the time. An error of type [*NewerError] says that nothing was read nor
// written; any other one is the client's.
func Open(ctx context.Context, client storage.Client, now uint64) (*Store, [][]byte, []Aside, error) {
	s := &Store{client: client, generation: now}
	head, err := client.Get(ctx, headKey)
	if err != nil || len(head) == 0 {
		return s, nil, nil, err
	}
	generation, slots, err := readHead(head)
	var newer *NewerError
	if errors.As(err, &newer) {
		return nil, nil, nil, err
	}
	if err != nil {
		aside := setAside(headKey, head, err)
		return s, nil, []Aside{aside}, client.Set(ctx, aside.To, head)
	}
	s.generation, s.slots = generation, slots
	values, asides, err := s.read(ctx)
	return s, values, asides, err
}

func readHead(head []byte) (generation uint64, slots int, err error) {
	rest, ok := bytes.CutPrefix(head, []byte(magic))
	if !ok {
		return 0, 0, errors.New("it is not of this connector")
	}
	// Of a newer form nothing is known but where its version is.
	if version := NewReader(rest).Uint(); version > Version {
		return 0, 0, &NewerError{version}
	}
	value, err := open(head)
	if err != nil {
		return 0, 0, err
	}
	r := NewReader(value[len(magic):])
	_ = r.Uint() // the version
	generation, n := r.Uint(), r.Uint()
	if n > maxSlots {
		r.Refuse(ErrNumber)
	}
	return generation, int(n), r.Err()
}

func setAside(key string, value []byte, reason error) Aside {
	// The same value gets the same key, however often it is found.
	return Aside{Key: key, To: fmt.Sprintf("%s%s/%08x", asidePrefix, key, crc32.ChecksumIEEE(value)), Reason: reason}
}

func (s *Store) key(slot int) string { return fmt.Sprintf("%s/%x/%d", headKey, s.generation, slot) }

// read reads all slots.
func (s *Store) read(ctx context.Context) (values [][]byte, asides []Aside, err error) {
	values = make([][]byte, s.slots)
	for from := 0; from < s.slots; from += readAtOnce {
		ops := make([]*storage.Operation, 0, readAtOnce)
		for slot := from; slot < min(from+readAtOnce, s.slots); slot++ {
			ops = append(ops, storage.GetOperation(s.key(slot)))
		}
		if err := s.client.Batch(ctx, ops...); err != nil {
			return nil, nil, err
		}
		for i, op := range ops {
			if len(op.Value) == 0 {
				continue
			}
			value, err := open(op.Value)
			if err != nil {
				aside, err := s.SetAside(ctx, from+i, op.Value, err)
				if err != nil {
					return nil, nil, err
				}
				asides = append(asides, aside)
				continue
			}
			values[from+i] = value
		}
	}
	return values, asides, nil
}

// SetAside puts a value that could not be read under another key, where nothing is written any more.
func (s *Store) SetAside(ctx context.Context, slot int, value []byte, reason error) (Aside, error) {
	aside := setAside(s.key(slot), value, reason)
	return aside, s.client.Batch(ctx, storage.SetOperation(aside.To, value), storage.DeleteOperation(aside.Key))
}

// Change is what is to be in a slot from now on.
type Change struct {
	Slot int
	// Value is nil if nothing is. [Seal] has been called on it.
	Value []byte
}

// Write makes all changes at once, or none of them.
func (s *Store) Write(ctx context.Context, changes []Change) error {
	slots := s.slots
	ops := make([]*storage.Operation, 1, 1+len(changes))
	for _, c := range changes {
		slots = max(slots, c.Slot+1)
		if c.Value == nil {
			ops = append(ops, storage.DeleteOperation(s.key(c.Slot)))
		} else {
			ops = append(ops, storage.SetOperation(s.key(c.Slot), c.Value))
		}
	}
	if slots > maxSlots {
		return fmt.Errorf("there are %d accounts, and no more than %d can be kept", slots, maxSlots)
	}
	head := Uint([]byte(magic), Version)
	head = Uint(Uint(head, s.generation), uint64(slots))
	ops[0] = storage.SetOperation(headKey, Seal(head, 0))
	if err := s.client.Batch(ctx, ops...); err != nil {
		return err
	}
	s.slots = slots
	return nil
}

// Close releases the client.
func (s *Store) Close(ctx context.Context) error { return s.client.Close(ctx) }
