package handlers

import (
	"net/http"
)

// NewServer returns a server for the API with the limits of c. The caller owns its listener and ends it.
func NewServer(c *Config, h http.Handler) *http.Server {
	return &http.Server{
		Addr:              c.Addr,
		Handler:           h,
		ReadHeaderTimeout: c.ReadHeaderTimeout,
		ReadTimeout:       c.ReadTimeout,
		WriteTimeout:      c.WriteTimeout,
		IdleTimeout:       c.IdleTimeout,
		MaxHeaderBytes:    int(c.MaxHeaderBytes),
	}
}

// NewAdminServer returns a server for the second listener. Profiles take as long as they are asked to,
// so that responses have no time limit.
func NewAdminServer(c *Config, h http.Handler) *http.Server {
	return &http.Server{
		Addr:              c.AdminAddr,
		Handler:           h,
		ReadHeaderTimeout: c.ReadHeaderTimeout,
		ReadTimeout:       c.ReadTimeout,
		IdleTimeout:       c.IdleTimeout,
		MaxHeaderBytes:    int(c.MaxHeaderBytes),
	}
}
