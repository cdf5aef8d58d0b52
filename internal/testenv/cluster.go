package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	slots = 16384 // of every Redis Cluster

	// A failover takes about this long to begin, so that tests of it are short.
	nodeTimeout = 2 * time.Second
)

// Cluster is a Redis Cluster. Nodes holds the masters first, then the replicas: replica r of master m
// is Nodes[masters+m*replicas+r].
type Cluster struct {
	Nodes []*Redis
}

// StartCluster starts a Redis Cluster of so many masters, each with so many replicas, and returns
// when all nodes agree that every slot is served and every replica is in sync. The slots are spread
// evenly. A dead master is replaced after about three seconds, if it has a replica and at least two
// other masters live.
func StartCluster(ctx context.Context, masters, replicas int) (*Cluster, error) {
	if masters < 1 || replicas < 0 {
		return nil, fmt.Errorf("cannot start a cluster of %d masters with %d replicas each", masters, replicas)
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	c := &Cluster{}
	if err := c.form(ctx, masters, replicas); err != nil {
		return nil, errors.Join(fmt.Errorf("start cluster: %w", err), c.Close())
	}
	return c, nil
}

// Addrs returns the addresses of all nodes.
func (c *Cluster) Addrs() []string {
	addrs := make([]string, len(c.Nodes))
	for i, n := range c.Nodes {
		addrs[i] = n.Addr()
	}
	return addrs
}

// Close stops all nodes for good and removes their directories.
func (c *Cluster) Close() error {
	var err error
	for _, n := range c.Nodes {
		err = errors.Join(err, n.Close())
	}
	return err
}

func (c *Cluster) form(ctx context.Context, masters, replicas int) error {
	for i := range masters * (1 + replicas) {
		n, err := startNode(ctx)
		if err != nil {
			return err
		}
		c.Nodes = append(c.Nodes, n)
		// Distinct epochs from the start spare the nodes the resolution of collisions.
		if _, err := n.Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1)); err != nil {
			return err
		}
	}
	for i, n := range c.Nodes[:masters] {
		first, last := i*slots/masters, (i+1)*slots/masters-1
		if _, err := n.Do(ctx, "CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(first), strconv.Itoa(last)); err != nil {
			return err
		}
	}
	for _, n := range c.Nodes[1:] {
		if _, err := c.Nodes[0].Do(ctx, "CLUSTER", "MEET", loopback.String(), n.port.String(), n.bus.String()); err != nil {
			return err
		}
	}
	if err := c.await(ctx, "CLUSTER INFO", "cluster_known_nodes:"+strconv.Itoa(len(c.Nodes)), c.Nodes); err != nil {
		return err
	}
	for i, n := range c.Nodes[masters:] {
		id, err := c.Nodes[i/replicas].Do(ctx, "CLUSTER", "MYID")
		if err != nil {
			return err
		}
		if _, err := n.Do(ctx, "CLUSTER", "REPLICATE", id); err != nil {
			return err
		}
	}
	return errors.Join(
		c.await(ctx, "INFO replication", "master_link_status:up", c.Nodes[masters:]),
		c.await(ctx, "INFO replication", "connected_slaves:"+strconv.Itoa(replicas), c.Nodes[:masters]),
		c.await(ctx, "CLUSTER INFO", "cluster_state:ok", c.Nodes),
	)
}

// await polls every node until the answer to command holds the line want.
func (c *Cluster) await(ctx context.Context, command, want string, nodes []*Redis) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for _, n := range nodes {
		for {
			info, err := n.Do(ctx, strings.Fields(command)...)
			if err == nil && strings.Contains(info, want+"\r\n") {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%w waiting for %q of %s: %w\n%s", ctx.Err(), want, n.Addr(), err, info)
			case <-tick.C:
			}
		}
	}
	return nil
}

// startNode starts a redis-server in cluster mode that knows no other.
func startNode(ctx context.Context) (*Redis, error) {
	path, err := findRedis()
	if err != nil {
		return nil, err
	}
	r, err := newRedis(path, "")
	if err != nil {
		return nil, err
	}
	if r.bus, err = reservePort(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	r.args = []string{
		"--port", r.port.String(), "--bind", loopback.String(), "--dir", r.dir,
		"--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0",
		"--cluster-enabled", "yes", "--cluster-port", r.bus.String(),
		"--cluster-announce-ip", loopback.String(),
		"--cluster-node-timeout", strconv.FormatInt(nodeTimeout.Milliseconds(), 10),
	}
	if err := r.Start(ctx); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// StartSentinel starts a sentinel that watches master under name and fails over to one of its
// replicas on its own (the quorum is 1) when master has been silent for a second.
func StartSentinel(ctx context.Context, master *Redis, name string) (*Redis, error) {
	path, err := findRedis()
	if err != nil {
		return nil, err
	}
	r, err := newRedis(path, "")
	if err != nil {
		return nil, err
	}
	// A sentinel rewrites its configuration, so it must be a file.
	conf := filepath.Join(r.dir, "sentinel.conf")
	text := fmt.Sprintf("port %[1]s\nbind %[2]s\ndir %[3]s\nsentinel monitor %[4]s %[2]s %[5]s 1\n"+
		"sentinel down-after-milliseconds %[4]s 1000\nsentinel failover-timeout %[4]s 5000\n",
		r.port, loopback, r.dir, name, master.port)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	r.name, r.args = "redis-sentinel", []string{conf, "--sentinel"}
	if err := r.Start(ctx); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}
