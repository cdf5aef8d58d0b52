// Package scripting runs Lua scripts: EVAL, EVALSHA and SCRIPT, with what Redis gives scripts: redis.call
// and its kin, cjson, cmsgpack, struct, bit, and Lua 5.1's string, table and math.
//
// A script runs as one command does: nothing else happens meanwhile, the time stands still, and the log
// keeps or loses all that it changed.
package scripting

import (
	"context"
	"crypto/sha1" //nolint:gosec // the protocol names scripts by SHA-1; nothing is secured by it
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"time"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/parse"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

// maxScripts bounds the cache: past it, it is emptied, and clients that get NOSCRIPT send the text again.
const maxScripts = 10_000

// Host runs the scripts of one engine.
type Host struct {
	e       *engine.Engine
	scripts map[string]*script
	vm      *vm

	mu      sync.Mutex // guards running, which SCRIPT KILL reads while the engine's lock is held by a script
	running *run
}

type script struct {
	sha   string
	proto *lua.FunctionProto
	flags flags
}

// flags are what a script's first line says of it, such as "#!lua flags=no-writes,allow-oom".
type flags struct {
	noWrites, allowOOM, given bool
}

// run is one execution.
type run struct {
	cancel context.CancelFunc
	wrote  bool
	killed bool
}

// New returns the host of an engine's scripts.
func New(e *engine.Engine) *Host {
	h := &Host{e: e, scripts: make(map[string]*script)}
	e.OnStop(func() { h.stop(true) })
	return h
}

// Commands returns the commands, for engine.Register.
func (h *Host) Commands() []*engine.Command {
	const fl = engine.NoScript | engine.Stale | engine.SkipMonitor | engine.MayReplicate | engine.NoMandatoryKeys | engine.MovableKeys
	const sub = engine.NoScript | engine.Loading | engine.Stale
	return []*engine.Command{
		{Name: "eval", Arity: -3, Flags: fl, Keys: keys, Run: func(c *engine.Client, args [][]byte) { h.eval(c, args, false) }},
		{Name: "eval_ro", Arity: -3, Flags: fl&^engine.MayReplicate | engine.ReadOnly, Keys: keys, Run: func(c *engine.Client, args [][]byte) { h.eval(c, args, true) }},
		{Name: "evalsha", Arity: -3, Flags: fl, Keys: keys, Run: func(c *engine.Client, args [][]byte) { h.evalSHA(c, args, false) }},
		{Name: "evalsha_ro", Arity: -3, Flags: fl&^engine.MayReplicate | engine.ReadOnly, Keys: keys, Run: func(c *engine.Client, args [][]byte) { h.evalSHA(c, args, true) }},
		{Name: "script", Arity: -2, Sub: map[string]*engine.Command{
			"load":   {Name: "load", Arity: 3, Flags: sub, Run: h.load},
			"exists": {Name: "exists", Arity: -3, Flags: sub, Run: h.exists},
			"flush":  {Name: "flush", Arity: -2, Flags: sub, Run: h.flush},
			"kill":   {Name: "kill", Arity: 2, Flags: sub | engine.AllowBusy, Run: h.kill},
			"help":   {Name: "help", Arity: 2, Flags: engine.Loading | engine.Stale, Run: help},
		}},
	}
}

// keys finds the keys of EVAL and its kin.
func keys(args [][]byte) []int {
	n, ok := engine.ParseInt(args[2])
	if !ok || n < 0 || int(n) > len(args)-3 {
		return nil
	}
	positions := make([]int, n)
	for i := range positions {
		positions[i] = 3 + i
	}
	return positions
}

func help(c *engine.Client, _ [][]byte) {
	lines := []string{
		"SCRIPT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
		"EXISTS <sha1> [<sha1> ...]",
		"    Return information about the existence of the scripts in the script cache.",
		"FLUSH [ASYNC|SYNC]",
		"    Flush the Lua scripts cache.",
		"KILL",
		"    Kill the currently executing Lua script.",
		"LOAD <script>",
		"    Load a script into the scripts cache without executing it.",
		"HELP",
		"    Prints this help.",
	}
	c.Array(len(lines))
	for _, l := range lines {
		c.Simple(l)
	}
}

func shaOf(text []byte) string {
	sum := sha1.Sum(text) //nolint:gosec // see the import
	return hex.EncodeToString(sum[:])
}

// compiled returns the script of a text, from the cache if it has it.
func (h *Host) compiled(text []byte) (*script, error) {
	sha := shaOf(text)
	if s := h.scripts[sha]; s != nil {
		return s, nil
	}
	body, fl, err := shebang(string(text))
	if err != nil {
		return nil, err
	}
	chunk, err := parse.Parse(strings.NewReader(body), "user_script")
	if err == nil {
		var proto *lua.FunctionProto
		if proto, err = lua.Compile(chunk, "user_script"); err == nil {
			if len(h.scripts) >= maxScripts {
				clear(h.scripts)
			}
			s := &script{sha: sha, proto: proto, flags: fl}
			h.scripts[sha] = s
			return s, nil
		}
	}
	return nil, fmt.Errorf("ERR Error compiling script (new function): %s", strings.TrimSpace(err.Error()))
}

// shebang reads a first line like "#!lua flags=no-writes", and blanks it out, so that lines keep their
// numbers.
func shebang(text string) (body string, fl flags, err error) {
	if !strings.HasPrefix(text, "#!") {
		return text, fl, nil
	}
	line, rest, found := strings.Cut(text, "\n")
	if !found {
		return "", fl, fmt.Errorf("ERR Invalid script shebang")
	}
	fields := strings.Fields(line)
	if fields[0] != "#!lua" {
		return "", fl, fmt.Errorf("ERR Unexpected engine in script shebang: %s", fields[0])
	}
	fl.given = true
	for _, f := range fields[1:] {
		list, ok := strings.CutPrefix(f, "flags=")
		if !ok {
			return "", fl, fmt.Errorf("ERR Unknown lua shebang option: %s", f)
		}
		for name := range strings.SplitSeq(list, ",") {
			switch name {
			case "no-writes":
				fl.noWrites = true
			case "allow-oom":
				fl.allowOOM = true
			case "allow-stale", "no-cluster", "allow-cross-slot-keys", "":
			default:
				return "", fl, fmt.Errorf("ERR Unexpected flag in script shebang: %s", name)
			}
		}
	}
	return "\n" + rest, fl, nil
}

func (h *Host) eval(c *engine.Client, args [][]byte, readOnly bool) {
	n, ok := keyCount(c, args)
	if !ok {
		return
	}
	s, err := h.compiled(args[1])
	if err != nil {
		c.Error(err.Error())
		return
	}
	h.execute(c, s, args[3:3+n], args[3+n:], readOnly)
}

func (h *Host) evalSHA(c *engine.Client, args [][]byte, readOnly bool) {
	if len(args[1]) != 40 {
		c.Error("NOSCRIPT No matching script. Please use EVAL.")
		return
	}
	n, ok := keyCount(c, args)
	if !ok {
		return
	}
	s := h.scripts[string(args[1])]
	if s == nil {
		if s = h.scripts[strings.ToLower(string(args[1]))]; s == nil {
			c.Error("NOSCRIPT No matching script. Please use EVAL.")
			return
		}
	}
	h.execute(c, s, args[3:3+n], args[3+n:], readOnly)
}

func keyCount(c *engine.Client, args [][]byte) (int, bool) {
	n, ok := engine.ParseInt(args[2])
	switch {
	case !ok:
		c.Error(engine.ErrNotInt)
	case n > int64(len(args)-3):
		c.Error("ERR Number of keys can't be greater than number of args")
	case n < 0:
		c.Error("ERR Number of keys can't be negative")
	default:
		return int(n), true
	}
	return 0, false
}

// execute runs a script. What it changes is one unit of the log.
func (h *Host) execute(c *engine.Client, s *script, keys, argv [][]byte, readOnly bool) {
	if h.vm == nil {
		h.vm = newVM(h)
	}
	if readOnly && s.flags.given && !s.flags.noWrites {
		c.Error("ERR Can not execute a script with write flag using *_ro command.")
		return
	}
	oom := c.Engine().OverMemory()
	if oom && s.flags.given && !s.flags.allowOOM && !s.flags.noWrites {
		c.Error("OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'")
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r := &run{cancel: cancel}
	h.setRunning(r)
	defer h.setRunning(nil)
	if limit := c.Engine().Config().ScriptTimeLimit; limit > 0 {
		// Nobody else can say that the script should stop while it holds the lock, so time does. One that has
		// written is left to go on: half of it must not be kept.
		watchdog := time.AfterFunc(limit, func() { h.stop(false) })
		defer watchdog.Stop()
	}
	e := c.Engine()
	c.PropagateNothing() // its effects are logged, not itself
	e.Atomically(func() {
		h.vm.run(ctx, c, s, keys, argv, mode{readOnly: readOnly || s.flags.noWrites, denyOOM: oom && !s.flags.allowOOM, run: r})
		if r.killed && r.wrote {
			e.DropUnit()
		}
	})
}

func (h *Host) setRunning(r *run) {
	h.mu.Lock()
	h.running = r
	h.mu.Unlock()
}

// stop ends the running script; one that has written, only if it must, since then nothing of what it did may
// be kept. It needs no lock of the engine.
func (h *Host) stop(must bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r := h.running; r != nil && (must || !r.wrote) {
		r.killed = true
		r.cancel()
	}
}

// noteWrite marks the running script as one that has written. It reports false if it was stopped before.
func (h *Host) noteWrite() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.running == nil || h.running.killed {
		return false
	}
	h.running.wrote = true
	return true
}

func (h *Host) load(c *engine.Client, args [][]byte) {
	s, err := h.compiled(args[2])
	if err != nil {
		c.Error(err.Error())
		return
	}
	c.BulkString(s.sha)
}

func (h *Host) exists(c *engine.Client, args [][]byte) {
	c.Array(len(args) - 2)
	for _, sha := range args[2:] {
		c.Bool01(h.scripts[strings.ToLower(string(sha))] != nil)
	}
}

func (h *Host) flush(c *engine.Client, args [][]byte) {
	if len(args) > 3 || len(args) == 3 && !engine.EqualFold(args[2], "SYNC") && !engine.EqualFold(args[2], "ASYNC") {
		c.Error("ERR SCRIPT FLUSH only support SYNC|ASYNC option")
		return
	}
	clear(h.scripts)
	c.OK()
}

// kill can only run when no script does: commands run one after the other. A script that reads for longer
// than the time limit is stopped by that.
func (h *Host) kill(c *engine.Client, _ [][]byte) {
	c.Error("NOTBUSY No scripts in execution right now.")
}

// Scripts is the number of scripts in the cache.
func (h *Host) Scripts() int { return len(h.scripts) }
