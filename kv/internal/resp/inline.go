package resp

import "bytes"

// inline reads a request that is a line of words, as people type it.
func (p *Parser) inline(in []byte) (args [][]byte, n int, err error) {
	end := p.line(in, '\n')
	switch {
	case end < 0 && len(in) > MaxLine:
		return nil, 0, errInline
	case end < 0:
		return nil, 0, nil
	}
	p.seen = 0
	line := bytes.TrimSuffix(in[:end], []byte{'\r'})
	if cap(p.text) < len(line) || cap(p.text) > keptText {
		p.text = make([]byte, 0, len(line))
	}
	w := words{line: line, text: p.text[:0]}
	args = p.slots()
	for {
		word, ok := w.next()
		if !ok {
			break
		}
		args = append(args, word)
	}
	if w.bad {
		return nil, 0, errQuotes
	}
	p.args = args
	return args, end + 1, nil
}

// words splits a line into words: in quotes there may be spaces, and in double quotes escapes. Its rules
// are those of Redis's sdssplitargs.
type words struct {
	line []byte
	at   int
	text []byte // what has been split off; it has room for all of line
	bad  bool   // a quote is not closed, or something follows the closing one
}

// next returns the next word, which aliases text.
func (w *words) next() (word []byte, ok bool) {
	for w.at < len(w.line) && isSpace(w.line[w.at]) {
		w.at++
	}
	if w.at == len(w.line) {
		return nil, false
	}
	from := len(w.text)
	for w.at < len(w.line) {
		c := w.line[w.at]
		w.at++
		switch c {
		case '"', '\'':
			if !w.quoted(c) {
				w.bad = true
				return nil, false
			}
			return w.text[from:len(w.text):len(w.text)], true
		case ' ', '\n', '\r', '\t':
			return w.text[from:len(w.text):len(w.text)], true
		}
		w.text = append(w.text, c)
	}
	return w.text[from:len(w.text):len(w.text)], true
}

// quoted reads up to the closing quote, which ends the word.
func (w *words) quoted(quote byte) bool {
	for w.at < len(w.line) {
		c := w.line[w.at]
		w.at++
		switch {
		case c == quote:
			return w.at == len(w.line) || isSpace(w.line[w.at])
		case c == '\\' && quote == '"' && w.at < len(w.line):
			c = w.escape()
		case c == '\\' && quote == '\'' && w.at < len(w.line) && w.line[w.at] == '\'':
			c = '\''
			w.at++
		}
		w.text = append(w.text, c)
	}
	return false
}

// escape reads what follows a backslash.
func (w *words) escape() byte {
	c := w.line[w.at]
	w.at++
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case 'a':
		return '\a'
	case 'x':
		if w.at+1 < len(w.line) {
			hi, ok1 := hexDigit(w.line[w.at])
			lo, ok2 := hexDigit(w.line[w.at+1])
			if ok1 && ok2 {
				w.at += 2
				return hi<<4 | lo
			}
		}
	}
	return c
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }
