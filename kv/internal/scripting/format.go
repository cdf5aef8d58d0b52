package scripting

import (
	"fmt"
	"math"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// format is string.format as C's Lua has it.
func format(l *lua.LState) int {
	text := l.CheckString(1)
	var out strings.Builder
	arg := 1
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			out.WriteByte(text[i])
			continue
		}
		start := i + 1
		for i++; i < len(text) && strings.IndexByte("-+ #0123456789.", text[i]) >= 0; i++ {
			if i-start > 10 {
				l.RaiseError("invalid format (width or precision too long)")
			}
		}
		switch {
		case i == len(text):
			l.RaiseError("invalid option '%%' to 'format'")
		case text[i] == '%':
			out.WriteByte('%')
			continue
		}
		arg++
		out.WriteString(formatOne(l, text[start:i], text[i], arg))
	}
	l.Push(lua.LString(out.String()))
	return 1
}

// formatOne writes one argument. spec is what stands between the percent sign and the verb.
func formatOne(l *lua.LState, spec string, verb byte, arg int) string {
	switch verb {
	case 'c':
		return string([]byte{byte(l.CheckNumber(arg))})
	case 'd', 'i':
		return fmt.Sprintf("%"+spec+"d", int64(l.CheckNumber(arg)))
	case 'u':
		return fmt.Sprintf("%"+spec+"d", uint64(int64(l.CheckNumber(arg))))
	case 'o', 'x', 'X':
		return fmt.Sprintf("%"+spec+string(verb), uint64(int64(l.CheckNumber(arg))))
	case 'e', 'E', 'f', 'g', 'G':
		n := float64(l.CheckNumber(arg))
		if math.IsInf(n, 0) || math.IsNaN(n) {
			width, _, _ := strings.Cut(strings.TrimLeft(spec, "0"), ".")
			return fmt.Sprintf("%"+width+"s", appendFourteen(nil, n))
		}
		if !strings.Contains(spec, ".") {
			spec += ".6"
		}
		return fmt.Sprintf("%"+spec+string(verb), n)
	case 'q':
		return quoted(l.CheckString(arg))
	case 's':
		return padded(spec, lua.LVAsString(l.ToStringMeta(l.CheckAny(arg))))
	}
	l.RaiseError("invalid option '%%%c' to 'format'", verb)
	return ""
}

// padded brings a string of bytes to the width and precision of spec.
func padded(spec, s string) string {
	var width, precision int
	w, p, cut := strings.Cut(strings.TrimLeft(spec, "-+ #0"), ".")
	_, _ = fmt.Sscan(w, &width)
	_, _ = fmt.Sscan(p, &precision)
	if cut && precision < len(s) {
		s = s[:precision]
	}
	fill := strings.Repeat(" ", max(0, width-len(s)))
	if strings.HasPrefix(spec, "-") {
		return s + fill
	}
	return fill + s
}

// quoted writes a string so that Lua reads it back.
func quoted(s string) string {
	return `"` + strings.NewReplacer(`"`, `\"`, `\`, `\\`, "\n", "\\\n", "\r", `\r`, "\x00", `\000`).Replace(s) + `"`
}
