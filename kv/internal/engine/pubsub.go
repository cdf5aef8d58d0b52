package engine

import (
	"github.com/zmsg/zmsg/kv/internal/glob"
)

// subscriptions has who listens to what, in the order in which they came.
type subscriptions struct {
	channels, patterns, shards map[string]map[int64]*Client
}

func newSubscriptions() subscriptions {
	return subscriptions{
		channels: make(map[string]map[int64]*Client),
		patterns: make(map[string]map[int64]*Client),
		shards:   make(map[string]map[int64]*Client),
	}
}

// Kind is a kind of subscription.
type Kind int

// The kinds of subscriptions.
const (
	Channels Kind = iota
	Patterns
	Shards
)

func (e *Engine) listeners(kind Kind) map[string]map[int64]*Client {
	return [...]map[string]map[int64]*Client{e.pubsub.channels, e.pubsub.patterns, e.pubsub.shards}[kind]
}

func (c *Client) subscribed(kind Kind) *map[string]struct{} {
	return [...]*map[string]struct{}{&c.channels, &c.patterns, &c.shards}[kind]
}

// Subscribe adds a subscription. It reports false if the client had it.
func (c *Client) Subscribe(kind Kind, name []byte) bool {
	own := c.subscribed(kind)
	if _, had := (*own)[string(name)]; had {
		return false
	}
	if *own == nil {
		*own = make(map[string]struct{})
	}
	(*own)[string(name)] = struct{}{}
	all := c.e.listeners(kind)
	if all[string(name)] == nil {
		all[string(name)] = make(map[int64]*Client)
	}
	all[string(name)][c.id] = c
	return true
}

// Unsubscribe takes a subscription back. It reports false if the client had none.
func (c *Client) Unsubscribe(kind Kind, name []byte) bool {
	own := *c.subscribed(kind)
	if _, had := own[string(name)]; !had {
		return false
	}
	delete(own, string(name))
	all := c.e.listeners(kind)
	delete(all[string(name)], c.id)
	if len(all[string(name)]) == 0 {
		delete(all, string(name))
	}
	return true
}

// UnsubscribeAll takes all subscriptions back, silently.
func (c *Client) UnsubscribeAll() {
	for _, kind := range []Kind{Channels, Patterns, Shards} {
		for name := range *c.subscribed(kind) {
			c.Unsubscribe(kind, []byte(name))
		}
	}
}

// Subscribed returns the client's subscriptions of a kind.
func (c *Client) Subscribed(kind Kind) map[string]struct{} { return *c.subscribed(kind) }

// Subscriptions is how many subscriptions the client has, of all kinds.
func (c *Client) Subscriptions() int { return len(c.channels) + len(c.patterns) + len(c.shards) }

// Listeners returns who has subscribed, by channel, pattern or shard channel.
func (e *Engine) Listeners(kind Kind) map[string]map[int64]*Client { return e.listeners(kind) }

// Publish sends a message to who listens to the channel, and returns to how many.
func (e *Engine) Publish(channel, message []byte) int {
	e.stats.Published++
	n := e.deliver(e.pubsub.channels[string(channel)], "message", nil, channel, message)
	for pattern, listeners := range e.pubsub.patterns {
		if glob.Match([]byte(pattern), channel, false) {
			n += e.deliver(listeners, "pmessage", []byte(pattern), channel, message)
		}
	}
	return n
}

// PublishShard sends a message to who listens to the shard channel, and returns to how many.
func (e *Engine) PublishShard(channel, message []byte) int {
	e.stats.Published++
	return e.deliver(e.pubsub.shards[string(channel)], "smessage", nil, channel, message)
}

func (e *Engine) deliver(to map[int64]*Client, kind string, pattern, channel, message []byte) int {
	listeners := len(to)
	for _, c := range to {
		n := 3
		if pattern != nil {
			n = 4
		}
		c.Push(n)
		c.BulkString(kind)
		if pattern != nil {
			c.Bulk(pattern)
		}
		c.Bulk(channel)
		c.Bulk(message)
		if limit := e.config.PubSubOutputLimit; limit > 0 && c.Pending() > limit {
			c.Kick()
			continue
		}
		c.Awake()
	}
	return listeners
}

// allowedSubscribed reports whether a RESP2 client that has subscriptions may send the command.
func allowedSubscribed(cmd *Command) bool {
	switch cmd.Name {
	case "subscribe", "unsubscribe", "psubscribe", "punsubscribe", "ssubscribe", "sunsubscribe", "ping", "quit", "reset":
		return true
	}
	return false
}
