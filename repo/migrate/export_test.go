package migrate

// LockKey is the key of the advisory lock, for tests that hold it.
const LockKey int64 = lockKey
