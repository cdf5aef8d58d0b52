package service

import (
	"bytes"
	"encoding/json"
)

// mergePatch applies a JSON merge patch (RFC 7396) to target. Both must be valid JSON. What the patch
// does not mention stays byte for byte, in its place; new members follow in the order of the patch. Of
// members with the same name the last one counts, and the others go when the patch mentions the name.
// Its time is linear in the sizes of both for any nesting.
func mergePatch(target, patch []byte) []byte {
	p := parseJSON(patch)
	if p.members == nil {
		return bytes.Clone(p.raw)
	}
	return appendMerged(make([]byte, 0, len(target)+len(patch)), parseJSON(target), p)
}

// node is a JSON value: its bytes, and the members of an object (not nil, even if there are none).
type node struct {
	raw     []byte
	members []member
}

// member is one member of an object. name is what rawName, with its quotes, spells.
type member struct {
	rawName []byte
	name    string
	value   *node
}

var emptyObject = &node{raw: []byte("{}"), members: []member{}}

// appendMerged appends target as changed by patch, which must be an object.
func appendMerged(dst []byte, target, patch *node) []byte {
	if target.members == nil {
		target = emptyObject // RFC 7396: the patch of what is no object applies to an empty one
	}
	changes := lastOf(patch.members)
	current := lastOf(target.members)
	dst = append(dst, '{')
	seen := make(map[string]bool, len(changes))
	for _, m := range target.members {
		change, mentioned := changes[m.name]
		if mentioned && seen[m.name] {
			continue
		}
		seen[m.name] = true
		dst = appendMember(dst, m, current[m.name], change)
	}
	for _, m := range patch.members {
		if !seen[m.name] {
			seen[m.name] = true
			dst = appendMember(dst, m, emptyObject, changes[m.name])
		}
	}
	return append(dst, '}')
}

// lastOf maps the names of members to their last value.
func lastOf(members []member) map[string]*node {
	last := make(map[string]*node, len(members))
	for _, m := range members {
		last[m.name] = m.value
	}
	return last
}

// appendMember appends a member m, whose name has the value current, as changed by change (nil: not).
func appendMember(dst []byte, m member, current, change *node) []byte {
	if change != nil && string(change.raw) == "null" {
		return dst
	}
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	dst = append(dst, m.rawName...)
	dst = append(dst, ':')
	switch {
	case change == nil:
		return append(dst, m.value.raw...)
	case change.members == nil:
		return append(dst, change.raw...)
	default:
		return appendMerged(dst, current, change)
	}
}

// parseJSON returns the tree of objects of valid JSON. Arrays are not looked into: a patch replaces
// them as a whole.
func parseJSON(src []byte) *node {
	p := parser{src: src}
	return p.value()
}

// parser reads valid JSON from pos on. It checks nothing.
type parser struct {
	src []byte
	pos int
}

// next skips white space and returns the byte that follows, without taking it.
func (p *parser) next() byte {
	for {
		switch c := p.src[p.pos]; c {
		case ' ', '\t', '\r', '\n':
			p.pos++
		default:
			return c
		}
	}
}

func (p *parser) value() *node {
	c := p.next()
	start := p.pos
	n := &node{}
	switch c {
	case '{':
		n.members = p.object()
	case '[':
		p.skipArray()
	case '"':
		p.skipString()
	default:
		p.skipLiteral()
	}
	n.raw = p.src[start:p.pos]
	return n
}

func (p *parser) object() []member {
	members := []member{}
	p.pos++ // {
	for p.next() != '}' {
		if p.src[p.pos] == ',' {
			p.pos++
			p.next()
		}
		start := p.pos
		p.skipString()
		m := member{rawName: p.src[start:p.pos]}
		m.name = unquote(m.rawName)
		p.next()
		p.pos++ // :
		m.value = p.value()
		members = append(members, m)
	}
	p.pos++ // }
	return members
}

func (p *parser) skipArray() {
	for depth := 0; ; {
		switch p.src[p.pos] {
		case '"':
			p.skipString()
			continue
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		}
		p.pos++
		if depth == 0 {
			return
		}
	}
}

func (p *parser) skipString() {
	for p.pos++; p.src[p.pos] != '"'; p.pos++ {
		if p.src[p.pos] == '\\' {
			p.pos++
		}
	}
	p.pos++
}

// skipLiteral skips a number, true, false or null.
func (p *parser) skipLiteral() {
	for p.pos < len(p.src) && bytes.IndexByte([]byte(",]} \t\r\n"), p.src[p.pos]) < 0 {
		p.pos++
	}
}

// unquote returns what a JSON string spells.
func unquote(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return string(raw) // cannot be: the JSON is valid
	}
	return s
}
