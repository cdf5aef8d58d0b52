//go:build !linux

package server

import "net"

// poller does not exist here.
type poller struct {
	done chan struct{}
	err  error
}

func (*poller) signal() {}

func (*poller) release() {}

func (*Server) poller(net.Listener) (*poller, error) { return nil, nil }
