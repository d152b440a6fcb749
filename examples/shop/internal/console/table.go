package console

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/throughline-otel/throughline/examples/shop/internal/fault"
	"github.com/throughline-otel/throughline/examples/shop/internal/score"
)

// maxCell bounds a column: names come from the network.
const maxCell = 28

func table(p *page, r score.Report) {
	if len(r.Answers) == 0 {
		p.paragraph("", plain, "No fault was injected.")
	} else {
		rows(p, r.Answers)
	}
	if len(r.FalseAlarms) > 0 {
		p.blank()
		p.paragraph("", red, fmt.Sprintf("%s without a fault:", plural(len(r.FalseAlarms), "alarm")))
		for _, a := range r.FalseAlarms {
			p.paragraph("  ", red, a.At.Format(clock)+" "+a.SLO+naming(a.Said))
		}
	}
	p.blank()
	p.paragraph("", verdictStyle(r.OK), summary(r))
}

func rows(p *page, answers []score.Answer) {
	lines := [][]string{{"fault", "culprit", "culprit said", "verdict", "time"}}
	for _, a := range answers {
		seconds := "-"
		if a.Announcements > 0 {
			seconds = fmt.Sprintf("%.1f s", a.Seconds)
		}
		lines = append(lines, []string{a.Fault, a.Culprit.String(), said(a.Said), string(a.Verdict), seconds})
	}
	widths := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, cell := range line {
			line[i] = cut(cell)
			widths[i] = max(widths[i], utf8.RuneCountInString(line[i]))
		}
	}
	for n, line := range lines {
		var b strings.Builder
		for i, cell := range line {
			gap := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			switch i {
			case 0:
				b.WriteString(cell + gap)
			case len(line) - 1: // numbers
				b.WriteString("  " + gap + cell)
			default:
				b.WriteString("  " + cell + gap)
			}
		}
		s := bold
		if n > 0 {
			s = verdictStyle(answers[n-1].Verdict == score.VerdictRight)
		}
		p.line(s, b.String())
	}
}

func summary(r score.Report) string {
	if r.Events == 0 {
		return "No events came at all: is the collector running, does it get the shop's telemetry, and does it" +
			" send its events here?"
	}
	right := 0
	for _, a := range r.Answers {
		if a.Verdict == score.VerdictRight {
			right++
		}
	}
	return fmt.Sprintf("%d of %s answered right, %s without a fault, %s heard.",
		right, plural(len(r.Answers), "fault"), plural(len(r.FalseAlarms), "alarm"), plural(r.Events, "event"))
}

func naming(c *fault.Culprit) string {
	if c == nil {
		return ""
	}
	return " → " + c.String()
}

func said(c *fault.Culprit) string {
	if c == nil {
		return "-"
	}
	return c.String()
}

func verdictStyle(ok bool) style {
	if ok {
		return green
	}
	return red
}

func cut(cell string) string {
	if runes := []rune(cell); len(runes) > maxCell {
		return string(runes[:maxCell-1]) + "…"
	}
	return cell
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
