package recording

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

const (
	// Stdin is the name that stands for the standard input.
	Stdin = "-"

	// MaxLine bounds a line, in bytes after decompression. It is far above what a collector takes in one request (20 MiB
	// unless configured), and keeps a file that is not made of lines from filling the memory.
	MaxLine = 1 << 30

	readBuffer = 256 << 10
)

// ErrLineTooLong says that a line has more than [MaxLine] bytes.
var ErrLineTooLong = fmt.Errorf("line is longer than %d MiB: is the input made of JSON lines?", MaxLine>>20)

// Error says where in a recording something is wrong.
type Error struct {
	File string
	Line int // from 1; 0 if the file could not be opened
	Err  error
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %v", e.File, e.Err)
	}
	return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// Line is one line of a recording that is not blank.
type Line struct {
	File   string
	Number int    // from 1, blank lines included
	Data   []byte // without the line's end; valid until the next call of Next
	Offset int64  // bytes read so far from all files, before decompression; runs ahead by what is buffered
}

// Reader reads the lines of several files, one file after the other. It is for one goroutine.
type Reader struct {
	names   []string
	stdin   io.Reader
	size    int64
	maxLine int

	offset int64 // bytes read from all files
	name   string
	number int
	lines  *bufio.Reader // nil between files
	done   func()
	long   []byte // holds a line that is longer than the buffer; reused
}

// Open prepares to read the named files; [Stdin] means stdin and may be given once. Files are opened when their turn comes,
// but one that is missing, or a directory, is an error right away.
func Open(names []string, stdin io.Reader) (*Reader, error) {
	r := &Reader{names: names, stdin: stdin, maxLine: MaxLine}
	piped := false
	for _, name := range names {
		if name == Stdin {
			if piped {
				return nil, &Error{File: displayName(name), Err: errors.New("given more than once")}
			}
			piped = true
			r.size = -1
			continue
		}
		info, err := os.Stat(name)
		switch {
		case err != nil:
			return nil, &Error{File: name, Err: reason(err)}
		case info.IsDir():
			return nil, &Error{File: name, Err: errors.New("is a directory")}
		case !info.Mode().IsRegular():
			r.size = -1 // a pipe or a device has no size that means anything
		case r.size >= 0:
			r.size += info.Size()
		}
	}
	return r, nil
}

// Size is what all files have together, in bytes before decompression, or -1 where that cannot be known.
func (r *Reader) Size() int64 { return r.size }

// Next returns the next line that is not blank, io.EOF after the last one, and an [*Error] if a file cannot be read to its
// end. A compressed file that was cut off is such an error: its lines before the cut are returned first.
func (r *Reader) Next() (Line, error) {
	for {
		if r.lines == nil {
			if len(r.names) == 0 {
				return Line{}, io.EOF
			}
			if err := r.open(); err != nil {
				return Line{}, err
			}
		}
		data, err := r.readLine()
		if len(data) > 0 || err == nil {
			r.number++
		}
		if err != nil && !errors.Is(err, io.EOF) {
			if len(data) == 0 {
				r.number++ // the line that could not be begun
			}
			return Line{}, &Error{File: r.name, Line: r.number, Err: readReason(err)}
		}
		data = bytes.TrimSpace(data)
		if len(data) > 0 {
			return Line{File: r.name, Number: r.number, Data: data, Offset: r.offset}, nil
		}
		if err != nil {
			r.closeFile()
		}
	}
}

// Close lets go of the file that is open. The standard input stays open.
func (r *Reader) Close() {
	r.names = nil
	r.closeFile()
}

func (r *Reader) closeFile() {
	if r.done != nil {
		r.done()
	}
	r.lines, r.done = nil, nil
}

func (r *Reader) open() error {
	name := r.names[0]
	r.names = r.names[1:]
	r.name, r.number = displayName(name), 0

	input, closeInput := r.stdin, func() {}
	if name != Stdin {
		file, err := os.Open(name)
		if err != nil {
			return &Error{File: name, Err: reason(err)}
		}
		input, closeInput = file, func() { _ = file.Close() }
	}
	raw := bufio.NewReaderSize(&counter{input, &r.offset}, readBuffer)
	plain, closePlain, err := decompress(raw)
	if err != nil {
		closeInput()
		return &Error{File: r.name, Line: 1, Err: readReason(err)}
	}
	r.done = func() { closePlain(); closeInput() }
	if plain == io.Reader(raw) {
		r.lines = raw
	} else {
		r.lines = bufio.NewReaderSize(plain, readBuffer)
	}
	return nil
}

// readLine returns the next line with its end, if it has one. The bytes are valid until the next call.
func (r *Reader) readLine() ([]byte, error) {
	part, err := r.lines.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return part, err
	}
	r.long = r.long[:0]
	for errors.Is(err, bufio.ErrBufferFull) {
		if len(r.long)+len(part) > r.maxLine {
			return part, ErrLineTooLong
		}
		r.long = append(r.long, part...)
		part, err = r.lines.ReadSlice('\n')
	}
	r.long = append(r.long, part...)
	return r.long, err
}

// decompress looks at the first bytes, because names lie and the standard input has none.
func decompress(raw *bufio.Reader) (plain io.Reader, done func(), err error) {
	magic, err := raw.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(raw)
		if err != nil {
			return nil, nil, &streamError{"gzip", err}
		}
		return named{"gzip", z}, func() { _ = z.Close() }, nil
	case isZstd(magic):
		// One goroutine: reading far ahead of what is sent would let the progress lie, and parsing costs far more.
		z, err := zstd.NewReader(raw, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, nil, &streamError{"zstd", err}
		}
		return named{"zstd", z}, z.Close, nil
	}
	return raw, func() {}, nil
}

// isZstd also knows skippable frames, with which the output of parallel compressors begins.
func isZstd(magic []byte) bool {
	return bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}) ||
		len(magic) == 4 && magic[0]&0xf0 == 0x50 && bytes.Equal(magic[1:], []byte{0x2a, 0x4d, 0x18})
}

// named says in a stream's errors which format it has.
type named struct {
	format string
	from   io.Reader
}

func (n named) Read(p []byte) (int, error) {
	read, err := n.from.Read(p)
	if err != nil && err != io.EOF {
		err = &streamError{n.format, err}
	}
	return read, err
}

type streamError struct {
	format string
	err    error
}

func (e *streamError) Error() string {
	if errors.Is(e.err, io.ErrUnexpectedEOF) || errors.Is(e.err, io.EOF) {
		return "the " + e.format + " stream ends in the middle: the file is truncated"
	}
	return "the " + e.format + " stream is damaged: " + e.err.Error()
}

func (e *streamError) Unwrap() error { return e.err }

// counter counts the bytes that pass.
type counter struct {
	from io.Reader
	n    *int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	*c.n += int64(n)
	return n, err
}

func displayName(name string) string {
	if name == Stdin {
		return "<stdin>"
	}
	return name
}

// reason takes the path out of an error of the os package: it is said once, in front.
func reason(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// readReason hides nothing but the path.
func readReason(err error) error {
	var stream *streamError
	if errors.As(err, &stream) {
		return err
	}
	return reason(err)
}
