package openslo

import (
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	maxName        = 255
	maxDescription = 1050 // OpenSLO v1
	maxDuration    = 10 * 365 * 24 * time.Hour
)

var units = map[byte]time.Duration{
	's': time.Second,
	'm': time.Minute,
	'h': time.Hour,
	'd': 24 * time.Hour,
	'w': 7 * 24 * time.Hour,
	'M': 30 * 24 * time.Hour,
	'Q': 90 * 24 * time.Hour,
	'Y': 365 * 24 * time.Hour,
}

// ParseDuration reads a duration shorthand: a whole number followed by one of s, m, h, d, w, M, Q, Y. The seconds are an
// addition to OpenSLO. M, Q and Y are 30, 90 and 365 days, since a rolling window has one length. The longest is 10Y.
func ParseDuration(text string) (time.Duration, error) {
	refusal := fmt.Errorf("%q is no duration: write a whole number and one of s, m, h, d, w, M, Q, Y, such as 5m or 30d", text)
	if len(text) < 2 || len(text) > 20 {
		return 0, refusal
	}
	unit, ok := units[text[len(text)-1]]
	if !ok {
		return 0, refusal
	}
	number, err := strconv.ParseUint(text[:len(text)-1], 10, 64)
	if err != nil {
		return 0, refusal
	}
	if number > uint64(maxDuration/unit) {
		return 0, fmt.Errorf("%q is longer than ten years", text)
	}
	return time.Duration(number) * unit, nil
}

var decimalForm = regexp.MustCompile(`^[+-]?[0-9]{1,20}(\.[0-9]{0,20})?([eE][+-]?[0-9]{1,2})?$`)

// parseDecimal reads a number without rounding it, because 1 − 0.999 must be 0.001 and not a little more.
func parseDecimal(text string) (*big.Rat, error) {
	refusal := fmt.Errorf("%q is no decimal number", shorten(text))
	if !decimalForm.MatchString(text) {
		return nil, refusal
	}
	number, ok := new(big.Rat).SetString(text)
	if !ok {
		return nil, refusal
	}
	return number, nil
}

// hasDecimals says whether the number needs no more than so many digits behind the point.
func hasDecimals(number *big.Rat, digits int64) bool {
	scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(digits), nil)
	return new(big.Rat).Mul(number, new(big.Rat).SetInt(scale)).IsInt()
}

// checkText refuses what could be taken for something else where it is shown: it ends up in events and pages.
func checkText(text string, longest int) error {
	if !utf8.ValidString(text) {
		return errors.New("is not valid UTF-8")
	}
	if utf8.RuneCountInString(text) > longest {
		return fmt.Errorf("is longer than %d characters", longest)
	}
	for _, r := range text {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return fmt.Errorf("holds the control character %q", r)
		}
	}
	return nil
}

// checkName is checkText for what becomes a metric attribute or a reference: in one line, without blanks.
func checkName(text string) error {
	if err := checkText(text, maxName); err != nil {
		return err
	}
	if strings.ContainsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) {
		return errors.New("holds a blank")
	}
	return nil
}

func parseService(text string) (Service, error) {
	if err := checkName(text); err != nil {
		return Service{}, fmt.Errorf("%q %w", text, err)
	}
	namespace, name, split := strings.Cut(text, "/")
	if !split {
		return Service{Name: text}, nil
	}
	if namespace == "" || name == "" || strings.Contains(name, "/") {
		return Service{}, fmt.Errorf("%q is neither service.name nor service.namespace/service.name", text)
	}
	return Service{Namespace: namespace, Name: name}, nil
}

func checkLink(text string) error {
	link, err := url.Parse(text)
	if err != nil || (link.Scheme != "http" && link.Scheme != "https") || link.Host == "" || link.User != nil {
		return fmt.Errorf("%q is no http or https link", text)
	}
	return checkName(text)
}

// slug makes a display name into a part of a name.
func slug(text string) string {
	var out strings.Builder
	gap := false
	for _, r := range strings.ToLower(text) {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || r == '.' || r == '_' {
			if gap && out.Len() > 0 {
				out.WriteByte('-')
			}
			gap = false
			out.WriteRune(r)
			continue
		}
		gap = true
	}
	return out.String()
}
