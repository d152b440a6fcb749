package config

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/throughline-otel/throughline/internal/binary"
)

const (
	guidePage = "docs/objectives.md"
	// guideTimeout is for one block; building takes the longest.
	guideTimeout = 10 * time.Minute
)

// TestObjectivesGuide does what a reader of docs/objectives.md does, in one shell: it writes the files, runs the commands, and
// compares what is printed.
func TestObjectivesGuide(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(binary.Root(t), guidePage))
	require.NoError(t, err)
	free := binary.FreeAddresses(t, 4)
	_, ownPort, _ := strings.Cut(free[2], ":")
	reader := startShell(t,
		"OTLP="+free[0], "FIGURES="+free[1], "OWN_PORT="+ownPort, "REPLAY="+free[3], "TMPDIR="+t.TempDir(),
		"MAKEFLAGS=", // those of the make that runs this test
	)
	printed := ""
	for _, b := range fences(string(text)) {
		at := fmt.Sprintf("%s:%d", guidePage, b.line)
		switch b.language {
		case "sh":
			printed = reader.run(at, b.text)
			t.Logf("%s printed\n%s", at, printed)
		case "yaml":
			name, ok := strings.CutPrefix(b.text[:strings.IndexByte(b.text, '\n')], "# ")
			require.True(t, ok, "%s does not begin with the name of its file", at)
			require.Empty(t, reader.run(at, "cat > "+name+" <<'END OF THE FILE'\n"+b.text+"END OF THE FILE\n"))
		case "":
			require.Regexp(t, shown(b.text), printed, at)
		default:
			require.Fail(t, "nobody runs "+b.language, at)
		}
	}
}

// shell is a reader's: what one block sets is there for the next.
type shell struct {
	t     *testing.T
	in    io.Writer
	lines chan string
}

// startShell starts a shell at the repository's root. It is killed at the end, with all that it has started.
func startShell(t *testing.T, env ...string) *shell {
	t.Helper()
	cmd := exec.Command("sh")
	cmd.Dir, cmd.Env = binary.Root(t), append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, w, err := os.Pipe()
	require.NoError(t, err)
	cmd.Stdout, cmd.Stderr = w, w
	require.NoError(t, cmd.Start())
	require.NoError(t, w.Close())
	s := &shell{t: t, in: in, lines: make(chan string)}
	done := make(chan struct{})
	go func() {
		defer close(s.lines)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			select {
			case s.lines <- lines.Text():
			case <-done:
				return
			}
		}
	}()
	t.Cleanup(func() {
		close(done)
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		_ = out.Close()
	})
	return s
}

// run gives a block to the shell and returns what is printed, to both outputs.
func (s *shell) run(at, block string) string {
	s.t.Helper()
	const mark = "the block is over: "
	_, err := fmt.Fprintf(s.in, "%s\necho '%s'$?\n", block, mark)
	require.NoError(s.t, err, at)
	var printed strings.Builder
	for timeout := time.After(guideTimeout); ; {
		select {
		case line, ok := <-s.lines:
			require.True(s.t, ok, "%s: the shell has ended; before, it printed\n%s", at, printed.String())
			if code, over := strings.CutPrefix(line, mark); over {
				require.Equal(s.t, "0", code, "%s ends with this code; it printed\n%s", at, printed.String())
				return printed.String()
			}
			printed.WriteString(line + "\n")
		case <-timeout:
			require.Fail(s.t, "the block takes too long", "%s; so far it printed\n%s", at, printed.String())
		}
	}
}

// vague is what differs from one run to the next, and what may come in its place: times, trace ids, and durations and
// fractions that were measured, as their digits tell; exact figures here have few.
var vague = []struct{ shown, came string }{
	{`…`, `.*?`},
	{`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*Z`, `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*Z`},
	{`\d\d:\d\d:\d\d`, `\d\d:\d\d:\d\d`},
	{`[0-9a-f]{32}`, `[0-9a-f]{32}`},
	{`\d+h\d+m\d+s|after \d+s`, `(after )?[\dhms]+`},
	{`\d+\.\d{5,}|\d+\.\d s`, `\d+(\.\d+)?( s)?`},
	{`\d+\.\d % of its error budget`, `\d+(\.\d+)? % of its error budget`},
}

// shown is the pattern of an output that a page shows. Lines may be broken where there is a space.
func shown(text string) *regexp.Regexp {
	var patterns []string
	for _, v := range vague {
		patterns = append(patterns, "("+v.shown+")")
	}
	differs := regexp.MustCompile(strings.Join(patterns, "|"))
	var pattern strings.Builder
	exact := func(s string) {
		pattern.WriteString(regexp.MustCompile(`\s+`).ReplaceAllString(regexp.QuoteMeta(s), `\s+`))
	}
	text = strings.TrimSpace(text)
	from := 0
	for _, match := range differs.FindAllStringSubmatchIndex(text, -1) {
		exact(text[from:match[0]])
		for i, v := range vague {
			if match[2*i+2] >= 0 {
				pattern.WriteString(v.came)
			}
		}
		from = match[1]
	}
	exact(text[from:])
	return regexp.MustCompile(`(?s)\A\s*` + pattern.String() + `\s*\z`)
}

func TestShown(t *testing.T) {
	for _, c := range []struct {
		page, came string
		same       bool
	}{
		{"a b\n  c", "a b c\n", true},
		{"a b", "a bc", false},
		{"20", "21", false},
		{"since 12:00:51, a… d", "since 13:14:15, a b\nc d\n", true},
		{"Double(12.542354675)", "Double(13.1)", true},
		{"0.5", "0.4", false},
		{"in 27h21m0s", "in 3h0m1s", true},
		{`["6b071ca06b071ca10000000000000032"]`, `["00000ca06b071ca10000000000000032"]`, true},
	} {
		assert.Equal(t, c.same, shown(c.page).MatchString(c.came), "%q shown, %q came", c.page, c.came)
	}
}

// TestObjectivesArithmetic computes the table of pairs anew.
func TestObjectivesArithmetic(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(binary.Root(t), guidePage))
	require.NoError(t, err)
	row := regexp.MustCompile(`(?m)^\| (\d+[hd]) \| \d+[mh] \| ([\d.]+) \| \w+ \| ([\d.]+) % \| ([\d.]+) s \| ([\d.]+) \|$`)
	rows := row.FindAllStringSubmatch(string(text), -1)
	require.Len(t, rows, 4)
	number := func(s string) float64 { return must(strconv.ParseFloat(s, 64)) }
	const period, allowed = 30 * 24.0, 0.001
	for _, r := range rows {
		hours := number(strings.TrimRight(r[1], "hd"))
		if strings.HasSuffix(r[1], "d") {
			hours *= 24
		}
		rate := number(r[2])
		assert.InDelta(t, 100*rate*hours/period, number(r[3]), 1e-9, r[0])
		assert.InDelta(t, rate*allowed*hours*3600, number(r[4]), 1e-9, r[0])
		assert.InDelta(t, math.Round(period/24/rate*100)/100, number(r[5]), 1e-9, r[0])
	}
}

// TestObjectivesNames looks up every metric that the page names.
func TestObjectivesNames(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(binary.Root(t), guidePage))
	require.NoError(t, err)
	documentation, err := os.ReadFile(filepath.Join(binary.Root(t), "connector/servicehealthconnector/documentation.md"))
	require.NoError(t, err)
	names := regexp.MustCompile("`(otelcol_service_health_[a-z_]+)").FindAllStringSubmatch(string(text), -1)
	require.NotEmpty(t, names)
	for _, name := range names {
		assert.Contains(t, string(documentation), "### "+name[1]+"\n")
	}
}
