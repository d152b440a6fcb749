package recording

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func gzipped(t testing.TB, text string) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, err := z.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return out.Bytes()
}

func zstded(t testing.TB, text string) []byte {
	z, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	defer func() { _ = z.Close() }()
	return z.EncodeAll([]byte(text), nil)
}

func file(t testing.TB, name string, content []byte) string {
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return path
}

type gotLine struct {
	number int
	text   string
}

// readAll returns all lines and what ended them, nil for the end of the last file.
func readAll(r *Reader) (lines []gotLine, err error) {
	defer r.Close()
	for {
		line, err := r.Next()
		if errors.Is(err, io.EOF) {
			return lines, nil
		}
		if err != nil {
			return lines, err
		}
		lines = append(lines, gotLine{line.Number, string(line.Data)})
	}
}

func TestReaderFindsLinesInEveryFormat(t *testing.T) {
	const text = "one\n\n  two \r\nthree"
	want := []gotLine{{1, "one"}, {3, "two"}, {4, "three"}}
	skippable := []byte{0x5e, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 'h', 'i'}
	formats := map[string][]byte{
		"plain":                  []byte(text),
		"gzip":                   gzipped(t, text),
		"gzip of two members":    append(gzipped(t, text[:6]), gzipped(t, text[6:])...),
		"zstd":                   zstded(t, text),
		"zstd of two frames":     append(zstded(t, text[:6]), zstded(t, text[6:])...),
		"zstd, skippable before": append(skippable, zstded(t, text)...),
	}
	for name, content := range formats {
		t.Run(name, func(t *testing.T) {
			// The name says nothing about the format.
			r, err := Open([]string{file(t, "recording.txt", content)}, nil)
			require.NoError(t, err)
			assert.EqualValues(t, len(content), r.Size())
			got, err := readAll(r)
			require.NoError(t, err)
			assert.Equal(t, want, got)
			assert.EqualValues(t, len(content), r.offset)
		})
		t.Run(name+" on stdin in drips", func(t *testing.T) {
			r, err := Open([]string{Stdin}, iotest.OneByteReader(bytes.NewReader(content)))
			require.NoError(t, err)
			assert.EqualValues(t, -1, r.Size())
			got, err := readAll(r)
			require.NoError(t, err)
			assert.Equal(t, want, got)
		})
	}
}

func TestReaderGoesThroughFilesInOrder(t *testing.T) {
	first := file(t, "a", gzipped(t, "1\n2\n"))
	empty := file(t, "b", nil)
	last := file(t, "c", []byte("4"))
	r, err := Open([]string{first, Stdin, empty, last}, strings.NewReader("3\n"))
	require.NoError(t, err)
	defer r.Close()
	var got []string
	offset := int64(0)
	for {
		line, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		assert.GreaterOrEqual(t, line.Offset, offset)
		offset = line.Offset
		got = append(got, filepath.Base(line.File)+" "+string(line.Data))
	}
	assert.Equal(t, []string{"a 1", "a 2", "<stdin> 3", "c 4"}, got)
	_, err = r.Next()
	assert.ErrorIs(t, err, io.EOF, "the end is the end")
}

func TestReaderTakesLinesLongerThanItsBuffer(t *testing.T) {
	long := strings.Repeat("x", 3*readBuffer+17)
	for name, content := range map[string][]byte{
		"plain": []byte(long + "\nshort\n" + long),
		"zstd":  zstded(t, long+"\nshort\n"+long),
	} {
		t.Run(name, func(t *testing.T) {
			r, err := Open([]string{file(t, "f", content)}, nil)
			require.NoError(t, err)
			got, err := readAll(r)
			require.NoError(t, err)
			assert.Equal(t, []gotLine{{1, long}, {2, "short"}, {3, long}}, got)
		})
	}
}

func TestReaderBoundsALine(t *testing.T) {
	r, err := Open([]string{Stdin}, strings.NewReader("short\n"+strings.Repeat("x", 3*readBuffer)))
	require.NoError(t, err)
	r.maxLine = 2 * readBuffer
	got, err := readAll(r)
	require.ErrorIs(t, err, ErrLineTooLong)
	assert.EqualError(t, err, "<stdin>:2: line is longer than 1024 MiB: is the input made of JSON lines?")
	assert.Equal(t, []gotLine{{1, "short"}}, got)
}

func TestReaderSaysWhereAStreamIsCutOrDamaged(t *testing.T) {
	var text strings.Builder
	for range 20_000 {
		text.WriteString("a line that does not compress to nothing because of its number\n")
	}
	packed := map[string][]byte{"gzip": gzipped(t, text.String()), "zstd": zstded(t, text.String())}
	for format, content := range packed {
		t.Run(format+" cut", func(t *testing.T) {
			path := file(t, "cut", content[:len(content)-5])
			r, err := Open([]string{path}, nil)
			require.NoError(t, err)
			lines, err := readAll(r)
			var where *Error
			require.ErrorAs(t, err, &where)
			assert.Equal(t, path, where.File)
			assert.Greater(t, where.Line, len(lines), "the line after the last whole one, or its successor")
			assert.ErrorContains(t, err, "the "+format+" stream ends in the middle: the file is truncated")
		})
		t.Run(format+" cut in its header", func(t *testing.T) {
			path := file(t, "cut", content[:4])
			r, err := Open([]string{path}, nil)
			require.NoError(t, err)
			_, err = readAll(r)
			assert.EqualError(t, err, path+":1: the "+format+" stream ends in the middle: the file is truncated")
		})
		t.Run(format+" damaged", func(t *testing.T) {
			bad := bytes.Clone(content)
			for i := len(bad) / 2; i < len(bad); i++ {
				bad[i] ^= 0x5a
			}
			r, err := Open([]string{file(t, "bad", bad)}, nil)
			require.NoError(t, err)
			_, err = readAll(r)
			var where *Error
			require.ErrorAs(t, err, &where)
			assert.ErrorContains(t, err, "the "+format+" stream")
		})
	}
}

func TestReaderPassesOnAReadError(t *testing.T) {
	broken := io.MultiReader(strings.NewReader("one\ntw"), iotest.ErrReader(errors.New("the disk is gone")))
	r, err := Open([]string{Stdin}, broken)
	require.NoError(t, err)
	got, err := readAll(r)
	assert.EqualError(t, err, "<stdin>:2: the disk is gone")
	assert.Equal(t, []gotLine{{1, "one"}}, got)
}

func TestOpenRefusesWhatItCannotRead(t *testing.T) {
	dir := t.TempDir()
	for name, files := range map[string][]string{
		filepath.Join(dir, "none") + ": no such file or directory": {filepath.Join(dir, "none")},
		dir + ": is a directory":                                   {dir},
		"<stdin>: given more than once":                            {Stdin, Stdin},
	} {
		_, err := Open(files, strings.NewReader(""))
		assert.EqualError(t, err, name)
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("one\n\ntwo"))
	f.Add(gzipped(f, "one\ntwo\n"))
	f.Add(zstded(f, "one\ntwo\n"))
	f.Add([]byte{0x1f, 0x8b})
	f.Add([]byte{0x50, 0x2a, 0x4d, 0x18})
	f.Fuzz(func(t *testing.T, content []byte) {
		r, err := Open([]string{Stdin}, bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		r.maxLine = 1 << 20
		last := 0
		for {
			line, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				var where *Error
				if !errors.As(err, &where) || where.Line <= last {
					t.Fatalf("no place, or one that was passed: %v after line %d", err, last)
				}
				break
			}
			if line.Number <= last || len(bytes.TrimSpace(line.Data)) == 0 || bytes.ContainsRune(line.Data, '\n') {
				t.Fatalf("not a line: %+v after line %d", line, last)
			}
			last = line.Number
		}
		r.Close()
	})
}
