package engine

// Class is a class of keyspace events, as notify-keyspace-events names it by a letter.
type Class uint16

// The classes of events.
const (
	EventGeneric  Class = 1 << iota // g: DEL, EXPIRE, RENAME, …
	EventString                     // $
	EventList                       // l
	EventSet                        // s
	EventHash                       // h
	EventZSet                       // z
	EventStream                     // t
	EventTrie                       // r
	EventExpired                    // x
	EventEvicted                    // e
	EventMissed                     // m
	EventNew                        // n
	eventKeyspace                   // K
	eventKeyevent                   // E
	eventAll      = EventGeneric | EventString | EventList | EventSet | EventHash | EventZSet | EventStream | EventTrie | EventExpired | EventEvicted
)

var classLetters = []struct {
	letter byte
	class  Class
}{
	{'g', EventGeneric},
	{'$', EventString},
	{'l', EventList},
	{'s', EventSet},
	{'h', EventHash},
	{'z', EventZSet},
	{'x', EventExpired},
	{'e', EventEvicted},
	{'t', EventStream},
	{'r', EventTrie},
	{'K', eventKeyspace},
	{'E', eventKeyevent},
	{'m', EventMissed},
	{'n', EventNew},
	{'d', 0}, // of modules, which there are not
}

// ParseClasses reads the value of notify-keyspace-events.
func ParseClasses(text string) (Class, bool) {
	var classes Class
	for i := range len(text) {
		if text[i] == 'A' {
			classes |= eventAll
			continue
		}
		found := false
		for _, l := range classLetters {
			if l.letter == text[i] {
				classes |= l.class
				found = true
			}
		}
		if !found {
			return 0, false
		}
	}
	return classes, true
}

// String writes the classes as notify-keyspace-events shows them.
func (c Class) String() string {
	var text []byte
	all := c&eventAll == eventAll
	if all {
		text = append(text, 'A')
	}
	for _, l := range classLetters {
		if c&l.class != 0 && (!all || eventAll&l.class == 0) {
			text = append(text, l.letter)
		}
	}
	return string(text)
}

// Changed notes that the running command has changed a key of the client's database: it will be logged,
// watchers fail, clients that wait for the key are looked at, and event is published. Every change needs a
// call; after the last element of a collection has gone, and the key with it, one more for "del".
func (c *Client) Changed(key []byte, class Class, event string) {
	c.db.Changed(key, class, event)
}

// Changed is Client.Changed for a database that is not the client's.
func (k *Keyspace) Changed(key []byte, class Class, event string) {
	k.e.dirty++
	if len(k.watched) > 0 {
		k.touch(string(key))
	}
	if len(k.waiting) > 0 {
		k.signal(key)
	}
	k.e.Notify(k, class, event, key)
}

// Dirtied notes a change that touches no key in particular, so that the command is logged.
func (c *Client) Dirtied() { c.e.dirty++ }

// Notify publishes a keyspace event, if anybody asked for it by configuration.
func (e *Engine) Notify(k *Keyspace, class Class, event string, key []byte) {
	mask := e.config.Notify
	if mask&class == 0 {
		return
	}
	if mask&eventKeyspace != 0 {
		e.Publish([]byte("__keyspace@"+k.name()+"__:"+string(key)), []byte(event))
	}
	if mask&eventKeyevent != 0 {
		e.Publish([]byte("__keyevent@"+k.name()+"__:"+event), key)
	}
}
