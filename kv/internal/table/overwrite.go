package table

// Overwrite replaces the value of e, which is in the table, where it is, and reports whether that could be
// done: e is an inline entry, has the table's stamp, and takes as much memory with the one value as with the
// other. The deadline stays. It saves Put's lookup to those who have the entry.
func (t *Table) Overwrite(e *Entry, value []byte) bool {
	return e.stamp == t.stamp && e.overwrite(value, e.Deadline())
}
