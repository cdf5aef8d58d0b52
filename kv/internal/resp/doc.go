// Package resp reads Redis's protocol: Parser reads requests as a server gets them, Decode reads replies.
// Neither trusts its input: what they allocate is bounded by the bytes that have arrived, and the time they
// take is linear in them, however they are cut into pieces.
package resp
