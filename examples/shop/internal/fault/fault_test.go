package fault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// diary is a witness that writes down what happened when.
type diary struct {
	start time.Time
	lines []string
}

func (d *diary) note(what string, at time.Time) {
	d.lines = append(d.lines, fmt.Sprintf("%s %s", at.Sub(d.start), what))
}

func (d *diary) Injected(f Fault, at time.Time) { d.note("inject "+f.Name, at) }
func (d *diary) Lifted(f Fault, at time.Time)   { d.note("lift "+f.Name, at) }

// switches makes faults that say whether they are on.
func switches(names ...string) ([]Fault, map[string]bool) {
	on := make(map[string]bool)
	var faults []Fault
	for _, name := range names {
		faults = append(faults, Fault{
			Name:   name,
			Inject: func(context.Context) error { on[name] = true; return nil },
			Lift:   func(ctx context.Context) error { on[name] = false; return ctx.Err() },
		})
	}
	return faults, on
}

func TestPlan(t *testing.T) {
	usual := Plan{Warmup: 20 * time.Second, Every: 40 * time.Second, Length: 20 * time.Second}
	with := func(duration time.Duration) Plan { p := usual; p.Duration = duration; return p }
	for _, tt := range []struct {
		name   string
		plan   Plan
		faults []string
		stop   time.Duration // of the context; 0 for never
		want   []string
		end    time.Duration
	}{
		{
			name: "every slot that fits", plan: with(180 * time.Second), faults: []string{"a", "b"},
			want: []string{
				"20s inject a", "40s lift a", "1m0s inject b", "1m20s lift b",
				"1m40s inject a", "2m0s lift a", "2m20s inject b", "2m40s lift b",
			},
			end: 180 * time.Second,
		},
		{
			name: "no slot that does not fit", plan: with(99 * time.Second), faults: []string{"a"},
			want: []string{"20s inject a", "40s lift a"}, end: 99 * time.Second,
		},
		{name: "nothing to break", plan: with(99 * time.Second), end: 99 * time.Second},
		{
			name: "until it is stopped", plan: usual, faults: []string{"a"}, stop: 70 * time.Second,
			want: []string{"20s inject a", "40s lift a", "1m0s inject a"}, end: 70 * time.Second,
		},
		{name: "stopped in the warm-up", plan: usual, faults: []string{"a"}, stop: 5 * time.Second, end: 5 * time.Second},
		{name: "nothing to break, stopped", plan: usual, stop: 500 * time.Second, end: 500 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if tt.stop > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.stop)
					defer cancel()
				}
				faults, on := switches(tt.faults...)
				d := &diary{start: time.Now()}
				if err := tt.plan.Run(ctx, faults, d); err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(d.lines, tt.want) {
					t.Errorf("got %q, want %q", d.lines, tt.want)
				}
				if took := time.Since(d.start); took != tt.end {
					t.Errorf("took %s, want %s", took, tt.end)
				}
				for name, still := range on {
					if still {
						t.Errorf("%s was left on", name)
					}
				}
			})
		})
	}
}

func TestPlanFailure(t *testing.T) {
	broken := errors.New("broken")
	good := func(context.Context) error { return nil }
	bad := func(context.Context) error { return broken }
	for _, f := range []Fault{{Name: "a", Inject: bad, Lift: good}, {Name: "a", Inject: good, Lift: bad}} {
		synctest.Test(t, func(t *testing.T) {
			p := Plan{Every: time.Second, Length: time.Second}
			if err := p.Run(t.Context(), []Fault{f}, &diary{}); !errors.Is(err, broken) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestPlanValidate(t *testing.T) {
	for _, tt := range []struct {
		plan Plan
		want string
	}{
		{Plan{Every: 2, Length: 1}, ""},
		{Plan{Every: 2, Length: 0}, "must last"},
		{Plan{Every: 2, Length: 3}, "cannot happen every"},
		{Plan{Every: 2, Length: 1, Warmup: -1}, "negative"},
		{Plan{Every: 2, Length: 1, Duration: -1}, "negative"},
	} {
		err := tt.plan.Validate()
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v", tt.plan, err)
		}
	}
}

func TestSelect(t *testing.T) {
	all, _ := switches("a", "b", "c")
	got, err := Select(all, []string{"c", "a"})
	if err != nil || len(got) != 2 || got[0].Name != "c" || got[1].Name != "a" {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := Select(all, []string{"d"}); err == nil || !strings.Contains(err.Error(), "there are a, b, c") {
		t.Errorf("got %v", err)
	}
}

func TestCulprit(t *testing.T) {
	c := Culprit{"checkout", "application"}
	for named, want := range map[Culprit]bool{
		{"checkout", "application"}: true,
		{"checkout", ""}:            true,
		{"checkout", "platform"}:    false,
		{"payments", "application"}: false,
	} {
		if c.Is(named) != want {
			t.Errorf("%s named as %s: want %v", c, named, want)
		}
	}
}
