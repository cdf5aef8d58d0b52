package aof

// CommitLazily is Commit, but, unless the policy is Always, returns at once while what is not written yet is
// at most slack bytes. The background writes that within a second; a crash of the process before loses it.
func (l *Log) CommitLazily(upTo, slack int64) error {
	if Policy(l.policy.Load()) != Always && upTo-l.written.Load() <= slack {
		return nil
	}
	return l.Commit(upTo)
}
