// Package recency keeps things in the order in which they were last used, so that what goes first is always known.
package recency

// Evictions counts what has been forgotten because it was old, and what to make room.
type Evictions struct {
	Age, Bytes int64
}

// Links are a thing's neighbours. A thing embeds them.
type Links[T any] struct {
	newer, older *T
}

func (l *Links[T]) links() *Links[T] { return l }

type linked[T any] interface {
	*T
	links() *Links[T]
}

// List has the things in their order. The zero List is empty. All operations take constant time, and none allocates.
type List[T any, P linked[T]] struct {
	newest, oldest *T
}

// Newest is nil where the list is empty.
func (l *List[T, P]) Newest() *T { return l.newest }

// Oldest is nil where the list is empty.
func (l *List[T, P]) Oldest() *T { return l.oldest }

// Older is the next thing on the way to the oldest, or nil.
func (*List[T, P]) Older(than *T) *T { return P(than).links().older }

// Push makes a thing that is in no list the newest.
func (l *List[T, P]) Push(thing *T) {
	P(thing).links().older = l.newest
	if l.newest != nil {
		P(l.newest).links().newer = thing
	} else {
		l.oldest = thing
	}
	l.newest = thing
}

// Remove takes a thing out.
func (l *List[T, P]) Remove(thing *T) {
	at := P(thing).links()
	if at.newer != nil {
		P(at.newer).links().older = at.older
	} else {
		l.newest = at.older
	}
	if at.older != nil {
		P(at.older).links().newer = at.newer
	} else {
		l.oldest = at.newer
	}
	*at = Links[T]{}
}

// Touch makes a thing that is in the list the newest.
func (l *List[T, P]) Touch(thing *T) {
	if thing != l.newest {
		l.Remove(thing)
		l.Push(thing)
	}
}
