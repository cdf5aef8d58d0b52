package handlers

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"

	stdjson "encoding/json"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/zmsg/zmsg/model"
)

// maxDepth is how many arrays and objects may be nested. Databases and clients recurse over them.
const maxDepth = 256

var (
	errNull = errors.New("must not be null")

	// strict refuses members that the contract does not name, and null for all but raw JSON, which would
	// else count as missing. Names that occur twice, invalid UTF-8 and trailing data are refused anyway.
	strict = json.JoinOptions(
		json.RejectUnknownMembers(true),
		json.WithUnmarshalers(json.UnmarshalFromFunc(func(dec *jsontext.Decoder, v any) error {
			switch v.(type) {
			case *stdjson.RawMessage, *jsontext.Value:
			default:
				if dec.PeekKind() == 'n' {
					return errNull
				}
			}
			return errors.ErrUnsupported
		})),
	)
)

// decode reads data, one JSON value, into v. Its errors name the member that was wrong.
func decode(data []byte, v any) error {
	if err := checkDepth(data); err != nil {
		return err
	}
	return decodeError(json.Unmarshal(data, v, strict), len(data))
}

// validate checks that data is one JSON value as decode would accept it.
func validate(data []byte) error {
	var raw stdjson.RawMessage
	return decode(data, &raw)
}

// decodeError turns an error of package json into one for the client.
func decodeError(err error, size int) error {
	if err == nil {
		return nil
	}
	if size == 0 {
		return model.NewMalformed("", "the body is empty")
	}
	var syntactic *jsontext.SyntacticError
	if errors.As(err, &syntactic) {
		message := fmt.Sprintf("is not acceptable JSON at byte %d: %v", syntactic.ByteOffset, syntactic.Err)
		if errors.Is(err, jsontext.ErrDuplicateName) {
			message = "occurs twice"
		}
		return bodyError(model.Malformed, syntactic.JSONPointer, message, err)
	}
	var semantic *json.SemanticError
	if !errors.As(err, &semantic) {
		return &model.Error{Kind: model.Malformed, Message: "the body is not acceptable JSON", Cause: err}
	}
	switch {
	case errors.Is(err, json.ErrUnknownName):
		return bodyError(model.Malformed, semantic.JSONPointer, "unknown member", err)
	case errors.Is(err, errNull):
		return bodyError(model.Malformed, semantic.JSONPointer, errNull.Error(), err)
	case errors.Is(err, strconv.ErrRange):
		return bodyError(model.Invalid, semantic.JSONPointer, "is out of range", err)
	default:
		return bodyError(model.Malformed, semantic.JSONPointer, "must be "+typeName(semantic.GoType), err)
	}
}

// bodyError names a place in the body; the body as a whole has no name.
func bodyError(kind model.Kind, at jsontext.Pointer, message string, cause error) error {
	if at == "" {
		message = "the body " + message
	}
	return &model.Error{Kind: kind, Field: string(at), Message: message, Cause: cause}
}

// typeName tells what JSON a Go type is read from.
func typeName(t reflect.Type) string {
	if t == nil {
		return "of another type"
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Int:
		return "a whole number"
	case reflect.Slice:
		return "an array"
	case reflect.Struct:
		return "an object"
	default:
		return "of another type"
	}
}

// checkDepth refuses deeply nested JSON before anything recurses over it. What is not JSON at all may pass.
func checkDepth(data []byte) error {
	depth := 0
	inString := false
	for i := 0; i < len(data); i++ {
		c := data[i]
		switch {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return model.NewMalformed("", fmt.Sprintf("the body is nested more than %d levels deep", maxDepth))
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}
