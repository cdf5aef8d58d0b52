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

// decode reads a body, which is one JSON value, into v. Its errors name the member that was wrong.
func decode(body []byte, v any) error {
	if len(body) == 0 {
		return model.NewMalformed("", "the body is empty")
	}
	if err := checkDepth(body); err != nil {
		return err
	}
	err := decodeValue(body, v)
	var e *model.Error
	if errors.As(err, &e) && e.Field == "" {
		e.Message = "the body " + e.Message
	}
	return err
}

// decodeValue reads a value within a body, whose depth is known.
func decodeValue(data []byte, v any) error {
	return decodeError(json.Unmarshal(data, v, strict))
}

// validate checks that data is one JSON value as decode would accept it.
func validate(data []byte) error {
	var raw stdjson.RawMessage
	return decode(data, &raw)
}

// decodeError turns an error of package json into one for the client.
func decodeError(err error) error {
	if err == nil {
		return nil
	}
	fail := func(kind model.Kind, at jsontext.Pointer, message string) error {
		return &model.Error{Kind: kind, Field: string(at), Message: message, Cause: err}
	}
	var syntactic *jsontext.SyntacticError
	if errors.As(err, &syntactic) {
		message := fmt.Sprintf("is not acceptable JSON at byte %d: %v", syntactic.ByteOffset, syntactic.Err)
		if errors.Is(err, jsontext.ErrDuplicateName) {
			message = "occurs twice"
		}
		return fail(model.Malformed, syntactic.JSONPointer, message)
	}
	var semantic *json.SemanticError
	if !errors.As(err, &semantic) {
		return fail(model.Malformed, "", "is not acceptable JSON")
	}
	switch {
	case errors.Is(err, json.ErrUnknownName):
		return fail(model.Malformed, semantic.JSONPointer, "is not a known member")
	case errors.Is(err, errNull):
		return fail(model.Malformed, semantic.JSONPointer, errNull.Error())
	case errors.Is(err, strconv.ErrRange):
		return fail(model.Invalid, semantic.JSONPointer, "is out of range")
	default:
		return fail(model.Malformed, semantic.JSONPointer, "must be "+typeName(semantic.GoType))
	}
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
	case reflect.Int, reflect.Int64:
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
