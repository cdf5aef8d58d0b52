// Package testenv runs real PostgreSQL and Redis servers, private to one process, for tests and for
// "make run". Nothing here fakes a server: what is missing on the machine is an error that says what
// to install, never a skipped test.
//
// A test binary that uses it hands its TestMain over:
//
//	func TestMain(m *testing.M) { testenv.Main(m) }
//
// and then asks for what it needs: [DB] for an empty database, [RedisAddr] or [NewRedis] for a
// redis-server of its own, [NewProxy] for a connection that can be cut, delayed and stalled.
//
// The servers listen on 127.0.0.1 only and ask for no password. On Linux they die with the process
// that started them, however that one dies. It works on Linux and macOS.
package testenv
