package streams

// EstimateRead returns how many entries were ever added up to id, or UnknownRead if that cannot be known: it
// stands for what a group of an old file has read, which does not tell.
func (s *Stream) EstimateRead(id ID) int64 { return s.distance(id) }
