package console

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// width is that of the narrowest terminal in which the timeline still looks well.
const width = 100

// style is how a paragraph looks where there are colours.
type style string

const (
	plain  style = ""
	bold   style = "\x1b[1m"
	faint  style = "\x1b[2m"
	red    style = "\x1b[31m"
	green  style = "\x1b[32m"
	yellow style = "\x1b[33m"

	reset = "\x1b[0m"
)

// page breaks lines. What cannot be written is lost: there is nobody else to tell.
type page struct {
	w      io.Writer
	colour bool
	blanks bool // the last line is blank
}

// blank ends a paragraph; twice is as good as once.
func (p *page) blank() {
	if !p.blanks {
		fmt.Fprintln(p.w)
	}
	p.blanks = true
}

func (p *page) line(s style, text string) {
	if p.colour && s != plain {
		text = string(s) + text + reset
	}
	fmt.Fprintln(p.w, text)
	p.blanks = false
}

// paragraph writes text to the right of a prefix, and its further lines below its first.
func (p *page) paragraph(prefix string, s style, text string) {
	left := strings.Repeat(" ", utf8.RuneCountInString(prefix))
	for _, line := range wrap(text, width-utf8.RuneCountInString(prefix)) {
		if p.colour && s != plain {
			line = string(s) + line + reset
		}
		fmt.Fprintln(p.w, strings.TrimRight(prefix+line, " "))
		p.blanks, prefix = false, left
	}
}

// wrap breaks text at its spaces, and a word only if it is longer than a line.
func wrap(text string, width int) []string {
	var lines []string
	var line []rune
	for _, word := range strings.Fields(text) {
		runes := []rune(word)
		if len(line) > 0 && len(line)+1+len(runes) > width {
			lines, line = append(lines, string(line)), nil
		}
		if len(line) > 0 {
			line = append(line, ' ')
		}
		line = append(line, runes...)
		for len(line) > width {
			lines, line = append(lines, string(line[:width])), line[width:]
		}
	}
	return append(lines, string(line))
}
