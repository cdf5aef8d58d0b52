package persist

// CommitLazily is Commit for those that can do without the write; see aof.Log.
func (j *journal) CommitLazily(upTo, slack int64) error { return j.log.CommitLazily(upTo, slack) }
