package sli

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// token matches one token of a plain condition. A backslash is none, so that texts with escapes are left to OTTL.
var token = regexp.MustCompile(`^\s*([0-9]+\.[0-9]+|[0-9]+|"[^"\\]*"|[A-Za-z][A-Za-z0-9_.]*|==|!=|<=|>=|<|>|[()\[\]-])`)

// parsePlain gives the plain form of a condition that OTTL has accepted, or nil if it has none.
func (v *vocabulary) parsePlain(text string) plain {
	tokens, ok := split(text)
	if !ok {
		return nil
	}
	p := &plainParser{vocabulary: v, tokens: tokens}
	condition := p.or()
	if condition == nil || len(p.tokens) > 0 {
		return nil
	}
	return condition
}

// parsePlainValue gives the plain form of a value expression that OTTL has accepted, or nil if it has none.
func (v *vocabulary) parsePlainValue(text string) *operand {
	tokens, ok := split(text)
	if !ok {
		return nil
	}
	if len(tokens) == 1 {
		if at, ok := v.values[strings.TrimPrefix(tokens[0], v.own)]; ok {
			return &operand{place: at}
		}
	}
	p := &plainParser{vocabulary: v, tokens: tokens}
	value, ok := p.operand()
	if !ok || len(p.tokens) > 0 {
		return nil
	}
	return &value
}

func split(text string) ([]string, bool) {
	var tokens []string
	for strings.TrimSpace(text) != "" {
		found := token.FindStringSubmatch(text)
		if found == nil {
			return nil, false
		}
		tokens = append(tokens, found[1])
		text = text[len(found[0]):]
	}
	return tokens, true
}

// plainParser reads tokens. Each method gives nil or false for what it does not know; the whole condition is OTTL's then.
type plainParser struct {
	*vocabulary
	tokens []string
}

func (p *plainParser) accept(what ...string) bool {
	if len(p.tokens) < len(what) || !slices.Equal(p.tokens[:len(what)], what) {
		return false
	}
	p.tokens = p.tokens[len(what):]
	return true
}

func (p *plainParser) next() string {
	if len(p.tokens) == 0 {
		return ""
	}
	first := p.tokens[0]
	p.tokens = p.tokens[1:]
	return first
}

func (p *plainParser) or() plain {
	terms := p.joined("or", p.and)
	if len(terms) == 1 {
		return terms[0]
	}
	if terms == nil {
		return nil
	}
	return some(terms)
}

func (p *plainParser) and() plain {
	terms := p.joined("and", p.not)
	if len(terms) == 1 {
		return terms[0]
	}
	if terms == nil {
		return nil
	}
	return all(terms)
}

func (p *plainParser) joined(by string, read func() plain) []plain {
	var terms []plain
	for {
		term := read()
		if term == nil {
			return nil
		}
		terms = append(terms, term)
		if !p.accept(by) {
			return terms
		}
	}
}

func (p *plainParser) not() plain {
	if p.accept("not") {
		of := p.single()
		if of == nil {
			return nil
		}
		return negation{of}
	}
	return p.single()
}

func (p *plainParser) single() plain {
	if p.accept("(") {
		inner := p.or()
		if inner == nil || !p.accept(")") {
			return nil
		}
		return inner
	}
	left, ok := p.operand()
	if !ok {
		return nil
	}
	if len(p.tokens) > 0 {
		if op, ok := operators[p.tokens[0]]; ok {
			p.next()
			right, ok := p.operand()
			if !ok {
				return nil
			}
			return &comparison{left: left, right: right, op: op}
		}
	}
	if left.place == nowhere && left.is.kind == isBool {
		return constant(answerOf(left.is.whole == 1))
	}
	return nil
}

func (p *plainParser) operand() (operand, bool) {
	word := p.next()
	switch {
	case word == "":
		return operand{}, false
	case word[0] == '"':
		return operand{is: datum{kind: isText, text: word[1 : len(word)-1]}}, true
	case word[0] >= '0' && word[0] <= '9':
		return number(word)
	case word == "nil":
		return operand{is: datum{kind: isNil}}, true
	case word == "true" || word == "false":
		return operand{is: truth(word == "true")}, true
	case word == "Duration":
		return p.duration()
	}
	if value, ok := p.enums[word]; ok {
		return operand{is: datum{kind: isWhole, whole: value}}, true
	}
	return p.path(word)
}

func (p *plainParser) path(word string) (operand, bool) {
	own := strings.TrimPrefix(word, p.own)
	switch {
	case own == "attributes":
		return p.index(ownAttribute)
	case word == "resource.attributes":
		return p.index(resourceAttribute)
	}
	at, ok := p.fields[own]
	if at == elapsed && !p.accept("-", "start_time") && !p.accept("-", p.own+"start_time") {
		return operand{}, false
	}
	return operand{place: at}, ok
}

func (p *plainParser) index(at place) (operand, bool) {
	if !p.accept("[") {
		return operand{}, false
	}
	key := p.next()
	if key == "" || key[0] != '"' || !p.accept("]") {
		return operand{}, false
	}
	return operand{place: at, key: key[1 : len(key)-1]}, true
}

func (p *plainParser) duration() (operand, bool) {
	if !p.accept("(") {
		return operand{}, false
	}
	text := p.next()
	if text == "" || text[0] != '"' || !p.accept(")") {
		return operand{}, false
	}
	d, err := time.ParseDuration(text[1 : len(text)-1])
	return operand{is: datum{kind: isDuration, whole: int64(d)}}, err == nil
}

func number(word string) (operand, bool) {
	if strings.Contains(word, ".") {
		value, err := strconv.ParseFloat(word, 64)
		return operand{is: datum{kind: isBroken, broken: value}}, err == nil
	}
	value, err := strconv.ParseInt(word, 0, 64) // A leading 0 makes it octal, as in OTTL.
	return operand{is: datum{kind: isWhole, whole: value}}, err == nil
}
