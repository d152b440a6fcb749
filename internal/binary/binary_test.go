package binary

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// shell stands for a program of the repository.
func shell(t *testing.T, script string) Command {
	t.Setenv(folderVariable, "/bin")
	return Command{Name: "sh", Args: []string{"-c", script}, Env: []string{"GREETING=hello"}}
}

func TestRun(t *testing.T) {
	code, out := shell(t, "echo $GREETING; echo trouble >&2; exit 3").Run(t, time.Minute)
	if code != 3 || out != "hello\ntrouble\n" {
		t.Errorf("got code %d and %q", code, out)
	}
}

func TestStop(t *testing.T) {
	p := shell(t, `trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done`).Start(t)
	p.Await("it is ready", time.Minute, func() bool { return p.Output() == "ready\n" })
	p.Stop()
	if got := p.Output(); !strings.HasSuffix(got, "bye\n") {
		t.Errorf("got %q", got)
	}
}

func TestFreeAddresses(t *testing.T) {
	seen := map[string]bool{}
	for _, address := range FreeAddresses(t, 20) {
		if seen[address] {
			t.Errorf("%s is there twice", address)
		}
		seen[address] = true
		listener, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_ = listener.Close()
	}
}

// TestMissing looks at the failure as somebody sees it who did not build first.
func TestMissing(t *testing.T) {
	if os.Getenv("BINARY_TEST_MISSING") != "" {
		Path(t, "nothing")
		return
	}
	t.Setenv("BINARY_TEST_MISSING", "1")
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(folderVariable, "/")
	code, out := Command{Name: own, Args: []string{"-test.run=^TestMissing$"}}.Run(t, time.Minute)
	if code == 0 || !strings.Contains(out, "make build") {
		t.Errorf("got code %d and %q", code, out)
	}
}
