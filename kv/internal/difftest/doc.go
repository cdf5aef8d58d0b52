// Package difftest has the tests that compare the engine with a real Redis: seeded random commands go to
// both, and every reply must be the same, byte for byte, in RESP2 and RESP3. What may differ, and why, is
// in one table: the variable tolerated.
//
// The number of commands of each suite is set by -difftest.commands or KV_DIFF_COMMANDS, the seed by
// -difftest.seed or KV_DIFF_SEED.
package difftest
