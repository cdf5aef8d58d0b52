package resp

import "bytes"

// The limits of one request.
const (
	// MaxArgs is the number of arguments that a request may have.
	MaxArgs = 1 << 20
	// MaxLine is how many bytes an inline request, or the line with a length, may have.
	MaxLine = 64 << 10
	// DefaultMaxBulk is how many bytes an argument may have by default.
	DefaultMaxBulk = 512 << 20

	guestArgs = 10
	guestBulk = 16 << 10

	keptArgs = 256     // slots that stay allocated between requests
	keptText = 1 << 10 // bytes likewise
)

// ProtocolError is what a client has done wrong. Error words it as Redis does behind "ERR ".
type ProtocolError string

func (e ProtocolError) Error() string { return "Protocol error: " + string(e) }

const (
	errMultibulk      = ProtocolError("invalid multibulk length")
	errMultibulkLine  = ProtocolError("too big mbulk count string")
	errGuestMultibulk = ProtocolError("unauthenticated multibulk length")
	errBulk           = ProtocolError("invalid bulk length")
	errBulkLine       = ProtocolError("too big bulk count string")
	errGuestBulk      = ProtocolError("unauthenticated bulk length")
	errInline         = ProtocolError("too big inline request")
	errQuotes         = ProtocolError("unbalanced quotes in request")
)

// Parser is the state of one connection's request. The zero value is ready.
type Parser struct {
	// MaxBulk is how many bytes an argument may have; 0 is DefaultMaxBulk.
	MaxBulk int
	// Guest holds the client to what one needs to authenticate: 10 arguments of at most 16 KB.
	Guest bool

	args  [][]byte
	text  []byte // of the arguments of an inline request
	spans []span // the arguments of an incomplete request, as far as they are there
	left  int    // arguments that are still missing; 0 is before the first line
	bulk  int    // the length of the argument that comes; -1 while its line is missing
	at    int    // how far an incomplete request has been read
	seen  int    // how far the line there has been searched for its end; -1: it can have none
}

type span struct{ from, to int }

// Next reads the request at the start of in. When it is complete, n > 0 says how many bytes it took; args
// is empty for one that asks for nothing. When it is not, n is 0 and so is err: Next must be called again
// with the same bytes and some more. err says what the client did wrong, as Redis does; the connection is
// then of no more use.
//
// args aliases in and the parser: it is valid until the next call. A request costs time in proportion to
// its bytes, in however many pieces it arrives, and one of up to 256 arguments allocates nothing.
func (p *Parser) Next(in []byte) (args [][]byte, n int, err error) {
	if p.left == 0 {
		if len(in) == 0 {
			return nil, 0, nil
		}
		if in[0] != '*' {
			return p.inline(in)
		}
		if !p.Guest {
			if n = p.whole(in); n > 0 {
				return p.args, n, nil
			}
		}
		if n, err = p.header(in); p.left == 0 {
			return nil, n, err
		}
	}
	return p.pieces(in)
}

// Want is how many bytes the request that Next found incomplete has at the least; 0 if that is not known
// yet. It is what the client claims: make room for it only as the bytes arrive.
func (p *Parser) Want() int {
	switch {
	case p.left == 0:
		return 0
	case p.bulk < 0:
		return p.at + 6*p.left
	}
	return p.at + p.bulk + 2 + 6*(p.left-1)
}

// whole reads a request of the usual form that is all there. It returns 0, and has changed nothing, if
// it is not.
func (p *Parser) whole(in []byte) (n int) {
	count, at := digits(in, 1)
	if at == 0 || count == 0 || count > MaxArgs {
		return 0
	}
	limit := p.maxBulk()
	args := p.slots()
	for range count {
		if at >= len(in) || in[at] != '$' {
			return 0
		}
		size, from := digits(in, at+1)
		if from == 0 || size > limit || len(in)-from < size+2 {
			return 0
		}
		end := from + size
		args = append(args, in[from:end:end])
		at = end + 2
	}
	p.args = args
	return at
}

// digits reads a number of at most nine digits in its shortest form, and the end of its line, at b[at:]. It
// returns the place behind, 0 if there is something else.
func digits(b []byte, at int) (n, next int) {
	for i := at; i < len(b) && i < at+10; i++ {
		d := b[i] - '0'
		if d <= 9 {
			n = n*10 + int(d)
			continue
		}
		if b[i] != '\r' || i == at || b[at] == '0' && i > at+1 || i+1 >= len(b) {
			return 0, 0
		}
		return n, i + 2
	}
	return 0, 0
}

// slots returns an empty array of arguments. What a large request has left is not kept.
func (p *Parser) slots() [][]byte {
	if cap(p.args) > keptArgs {
		p.args = nil
	}
	return p.args[:0]
}

func (p *Parser) maxBulk() int {
	if p.MaxBulk == 0 {
		return DefaultMaxBulk
	}
	return p.MaxBulk
}

// header reads the line with the number of arguments. It sets left if arguments follow; if not, it returns
// how many bytes asked for nothing.
func (p *Parser) header(in []byte) (n int, err error) {
	end := p.line(in, '\r')
	switch {
	case end < 0 && len(in) > MaxLine:
		return 0, errMultibulkLine
	case end < 0 || end+2 > len(in):
		return 0, nil
	}
	count, ok := parseInt(in[1:end])
	switch {
	case !ok || count > MaxArgs:
		return 0, errMultibulk
	case count > guestArgs && p.Guest:
		return 0, errGuestMultibulk
	}
	p.seen = 0
	if count <= 0 {
		return end + 2, nil
	}
	if cap(p.spans) > keptArgs {
		p.spans = nil
	}
	p.left, p.bulk, p.at, p.spans = int(count), -1, end+2, p.spans[:0]
	return 0, nil
}

// pieces goes on with a request that was incomplete. It notes places only: the next call's input may be
// elsewhere.
func (p *Parser) pieces(in []byte) (args [][]byte, n int, err error) {
	for p.left > 0 {
		if p.bulk < 0 {
			if err := p.length(in[p.at:]); err != nil || p.bulk < 0 {
				return nil, 0, err
			}
		}
		end := p.at + p.bulk
		if len(in) < end+2 {
			return nil, 0, nil
		}
		p.spans = append(p.spans, span{p.at, end})
		p.at, p.bulk = end+2, -1
		p.left--
	}
	args = p.slots()
	for _, s := range p.spans {
		args = append(args, in[s.from:s.to:s.to])
	}
	n = p.at
	p.args, p.at = args, 0
	return args, n, nil
}

// length reads the line with an argument's length. It sets bulk unless the line is incomplete.
func (p *Parser) length(rest []byte) error {
	end := p.line(rest, '\r')
	switch {
	case end < 0 && len(rest) > MaxLine:
		return errBulkLine
	case end < 0 || end+2 > len(rest):
		return nil
	case rest[0] != '$':
		return ProtocolError("expected '$', got '" + string(rest[:1]) + "'")
	}
	size, ok := parseInt(rest[1:end])
	switch {
	case !ok || size < 0 || size > int64(p.maxBulk()):
		return errBulk
	case size > guestBulk && p.Guest:
		return errGuestBulk
	}
	p.bulk, p.at, p.seen = int(size), p.at+end+2, 0
	return nil
}

// line returns where the line b ends, at the first byte end within MaxLine; -1 if that is not there. Like
// Redis, it sees none behind a zero byte. What it has searched it does not search again.
func (p *Parser) line(b []byte, end byte) int {
	if p.seen < 0 {
		return -1
	}
	b = b[:min(len(b), MaxLine+1)]
	rest := b[p.seen:]
	i := bytes.IndexByte(rest, end)
	if i >= 0 {
		rest = rest[:i]
	}
	switch {
	case bytes.IndexByte(rest, 0) >= 0:
		p.seen = -1
		return -1
	case i < 0:
		p.seen = len(b)
		return -1
	}
	p.seen += i
	return p.seen
}

// parseInt reads a number in its shortest form, as Redis's string2ll does.
func parseInt(b []byte) (n int64, ok bool) {
	digits := b
	negative := len(b) > 0 && b[0] == '-'
	if negative {
		digits = b[1:]
	}
	if len(digits) == 0 || len(digits) > 19 || digits[0] == '0' && len(b) > 1 {
		return 0, false
	}
	var u uint64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		u = u*10 + uint64(c-'0')
	}
	switch {
	case negative && u <= 1<<63:
		return -int64(u), true
	case !negative && u < 1<<63:
		return int64(u), true
	}
	return 0, false
}
