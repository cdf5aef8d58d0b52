package difftest

import (
	"strings"
	"testing"
)

// colliders give keys other types, and take them away.
const colliders = `
	4 SET key value
	2 RPUSH key ( elem )+
	2 SADD key ( elem )+
	2 HSET key ( elem value )+
	2 ! ZADD key ( 0 elem )+
	1 XADD key 1-1 'a' 'b'
	4 DEL|UNLINK ( key )+
	2 RENAME key key
	1 COPY key key [REPLACE]
	1 EXPIREAT key at
	1 EXPIREAT key past
	1 PERSIST key
	1 TYPE key
	1 OBJECT ENCODING key
	1 DUMP nokey
	1 PTTL key
`

func TestStrings(t *testing.T) {
	t.Parallel()
	suite(t, colliders, `
	20 SET key value
	20 SET key value { [NX|XX] [GET] [EX ttl] }
	10 SET key value { [NX|XX] [GET] [KEEPTTL] [PX ttlms] }
	5 SET key value { [NX|XX] [GET] [EXAT at] [PXAT atms] }
	5 SET key value EX|PX|EXAT|PXAT badttl
	5 SET key value EXAT|PXAT past
	10 GET key
	10 GETSET key value
	5 GETDEL key
	10 GETEX key
	10 GETEX key EX ttl
	6 GETEX key PX ttlms
	6 GETEX key EXAT at
	6 GETEX key PXAT atms
	2 GETEX key EXAT|PXAT past
	6 GETEX key PERSIST
	3 GETEX key EX|PX|EXAT|PXAT badttl
	3 GETEX key { [PERSIST] [EX ttl] [PX ttlms] }
	5 SETEX key ttl value
	2 SETEX key badttl value
	5 PSETEX key ttlms value
	2 PSETEX key badttl value
	8 SETNX key value
	8 MSET ( key value )+
	5 MSETNX ( key value )+
	8 MGET ( key )+
	20 APPEND key value
	8 STRLEN key
	14 SETRANGE key index value
	10 GETRANGE|SUBSTR key index index
	10 INCR|DECR key
	20 INCRBY|DECRBY key int
	20 INCRBYFLOAT key float
	4 LCS key key { [LEN] [IDX] [WITHMATCHLEN] [MINMATCHLEN count] }
	`)
}

func TestBitmaps(t *testing.T) {
	t.Parallel()
	suite(t, colliders, `
	10 SET key value
	30 SETBIT key offset 0|1
	2 SETBIT key offset odd
	10 GETBIT key offset
	10 BITCOUNT key
	10 BITCOUNT key index index [BYTE|BIT]
	10 BITPOS key 0|1
	10 BITPOS key 0|1 index [ index [BYTE|BIT] ]
	20 BITOP AND|OR|XOR key ( key )+
	5 BITOP NOT key key
	2 BITOP odd|NOT key ( key )+
	20 BITFIELD key OVERFLOW WRAP|SAT|FAIL INCRBY kind offset int GET kind offset
	20 BITFIELD key SET kind offset int OVERFLOW WRAP|SAT|FAIL INCRBY kind offset int
	10 BITFIELD key GET kind offset [ OVERFLOW SAT|odd ] [ INCRBY kind offset int ] GET kind offset
	5 BITFIELD_RO key ( GET kind offset )*
	2 BITFIELD_RO key SET kind offset int
	5 APPEND key value
	5 GETRANGE key index index
	`)
}

func TestHyperLogLogs(t *testing.T) {
	t.Parallel()
	suite(t, colliders, `
	40 PFADD key ( elem )^
	10 PFADD key
	20 PFCOUNT ( key )+
	10 PFMERGE ( key )+
	5 SET key value
	2 SETRANGE key index value ; PFCOUNT same ; DEL same
	5 GETRANGE key 0 20
	`)
}

func TestLists(t *testing.T) {
	t.Parallel()
	suite(t, colliders, `
	40 LPUSH|RPUSH key ( elem )^
	20 LPUSH|RPUSH key ( value )+
	10 LPUSHX|RPUSHX key ( elem )+
	20 LPOP|RPOP key
	10 LPOP|RPOP key count
	20 LRANGE key index index
	10 LINDEX key index
	10 LLEN key
	20 LSET key index value
	20 LINSERT key BEFORE|AFTER elem value
	2 LINSERT key odd elem elem
	20 LREM key index elem
	8 LTRIM key index index
	4 RPOPLPUSH key key
	8 LMOVE key key LEFT|RIGHT LEFT|RIGHT
	2 LMOVE key key odd LEFT|RIGHT
	20 LPOS key elem { [RANK index] [COUNT count] [MAXLEN count] }
	8 LMPOP 1 key LEFT|RIGHT [ COUNT count ]
	8 LMPOP 2 key key LEFT|RIGHT [ COUNT count ]
	4 LMPOP count key key LEFT|RIGHT { [COUNT count] [COUNT count] }
	10 SORT key { [LIMIT index index] [ASC|DESC] [ALPHA] }
	4 SORT key ALPHA [ STORE key ]
	2 SORT_RO key ALPHA
	`)
}

func TestZSets(t *testing.T) {
	t.Parallel()
	suite(t, colliders, sortedSets)
}

const sortedSets = `
	30 ZADD key ( score elem )^
	30 ZADD key { [NX|XX] [GT|LT] [CH] [INCR] } ( score elem )+
	10 ZINCRBY key score elem
	10 ZREM key ( elem )+
	5 ZCARD key
	10 ZSCORE key elem
	10 ZMSCORE key ( elem )+
	10 ZRANK|ZREVRANK key elem
	10 ZCOUNT key bound bound
	10 ZRANGE|ZREVRANGE key index index [WITHSCORES]
	10 ZRANGE key index index { [REV] [WITHSCORES] [BYSCORE] }
	10 ZRANGE key bound bound BYSCORE { [REV] [WITHSCORES] [LIMIT index index] }
	8 ZRANGEBYSCORE|ZREVRANGEBYSCORE key bound bound { [WITHSCORES] [LIMIT index index] }
	5 ZRANGESTORE key key index index [REV]
	5 ZRANGESTORE key key bound bound BYSCORE { [REV] [LIMIT index index] }
	3 ZREMRANGEBYRANK key index index
	3 ZREMRANGEBYSCORE key bound bound
	4 ZPOPMIN|ZPOPMAX key [ count ]
	4 ZMPOP 1 key MIN|MAX [ COUNT count ]
	4 ZMPOP count key key MIN|MAX [ COUNT count ]
	6 ZUNION|ZINTER 2 key key { [ WEIGHTS score score ] [ AGGREGATE SUM|MIN|MAX ] [WITHSCORES] }
	4 ZUNION|ZINTER|ZDIFF count key key { [WITHSCORES] }
	6 ZDIFF 2 key key [WITHSCORES]
	6 ZUNIONSTORE|ZINTERSTORE key 2 key key { [ WEIGHTS score score ] [ AGGREGATE SUM|MIN|MAX ] }
	4 ZUNIONSTORE|ZINTERSTORE|ZDIFFSTORE key count key key
	3 ZDIFFSTORE key 2 key key
	4 ZINTERCARD 2 key key [ LIMIT count ]
	4 ZINTERCARD count key key [ LIMIT count ]
	3 ZRANDMEMBER key
	5 ZRANDMEMBER key index [WITHSCORES]
	3 ZSCAN key cursor { [ MATCH pattern ] [ COUNT count ] }
	4 SADD key ( elem )+
`

// TestLexicographicRanges has its own sets, whose scores are all the same: of others Redis does not say what
// a range is.
func TestLexicographicRanges(t *testing.T) {
	t.Parallel()
	suite(t, colliders, `
	60 ! ZADD key ( 0 elem )^
	10 ZREM key ( elem )+
	10 ZRANGE key index index { [REV] [WITHSCORES] [BYLEX] }
	6 ZLEXCOUNT key lex lex
	10 ZRANGE key lex lex BYLEX { [REV] [WITHSCORES] [LIMIT index index] }
	8 ZRANGEBYLEX|ZREVRANGEBYLEX key lex lex [ LIMIT index index ]
	3 ZRANGESTORE key key lex lex BYLEX { [REV] [LIMIT index index] }
	3 ZREMRANGEBYLEX key lex lex
	`)
}

func TestGeo(t *testing.T) {
	t.Parallel()
	// Of places with the same distance, any may be first: there shall be none, and so no equal scores.
	suite(t, strings.ReplaceAll(colliders, "ZADD key ( 0 elem )+", "ZADD key spot elem"), `
	40 GEOADD key ( lon lat elem )^
	20 GEOADD key { [NX|XX] [CH] } ( lon lat elem )+
	10 GEOPOS key ( elem )*
	10 GEOHASH key ( elem )*
	15 GEODIST key elem elem [M|KM|FT|MI|odd]
	20 GEOSEARCH key { ( FROMLONLAT lon lat ) ( BYRADIUS radius M|KM|FT|MI ) [ASC|DESC] [COUNT count] [WITHCOORD] [WITHDIST] [WITHHASH] }
	20 GEOSEARCH key { ( FROMMEMBER elem ) ( BYBOX radius radius M|KM|FT|MI ) ASC|DESC [COUNT count] [WITHCOORD] [WITHDIST] [WITHHASH] }
	10 GEOSEARCH key { [ FROMMEMBER elem ] [ FROMLONLAT lon lat ] [ BYBOX radius radius KM ] [ BYRADIUS radius KM ] ASC|DESC [ COUNT count ANY ] }
	10 GEOSEARCHSTORE key key { ( FROMLONLAT lon lat ) ( BYRADIUS radius KM ) ASC|DESC [COUNT count] [STOREDIST] }
	5 GEOSEARCHSTORE key key { ( FROMMEMBER elem ) ( BYBOX radius radius KM ) ASC|DESC [STOREDIST] }
	10 GEORADIUS key lon lat radius M|KM { ASC|DESC [COUNT count] [WITHCOORD] [WITHDIST] [WITHHASH] }
	5 GEORADIUS key lon lat radius M|KM { ASC|DESC [COUNT count] [ STORE key ] [ STOREDIST key ] [WITHDIST] }
	10 GEORADIUSBYMEMBER key elem radius M|KM { ASC|DESC [COUNT count] [WITHCOORD] [WITHDIST] [ STORE key ] }
	3 GEORADIUS_RO key lon lat radius M|KM { ASC|DESC [COUNT count] [WITHDIST] [ STORE key ] }
	3 GEORADIUSBYMEMBER_RO key elem radius KM { ASC|DESC [COUNT count] [WITHDIST] }
	5 ZRANGE key 0 -1 WITHSCORES
	5 ZREM key ( elem )+
	`)
}

func TestHashes(t *testing.T) {
	t.Parallel()
	suite(t, colliders, `
	40 HSET|HMSET key ( elem value )^
	20 HSET|HMSET key ( elem elem )^
	10 HSETNX key elem value
	20 HGET key elem
	20 HMGET key ( elem )+
	10 HGETALL key
	10 HKEYS|HVALS key
	10 HLEN key
	10 HEXISTS|HSTRLEN key elem
	20 HDEL key ( elem )+
	20 HINCRBY key elem int
	20 HINCRBYFLOAT key elem float
	5 HRANDFIELD key [ count [WITHVALUES] ]
	5 HRANDFIELD key index [WITHVALUES]
	5 HSCAN key cursor { [ MATCH pattern ] [ COUNT count ] }
	`)
}

func TestSets(t *testing.T) {
	t.Parallel()
	suite(t, colliders, `
	40 SADD key ( elem )^
	20 SADD key ( int )^
	5 SADD key ( value )+
	20 SREM key ( elem )+
	10 SISMEMBER key elem
	10 SMISMEMBER key ( elem )+
	10 SMEMBERS key
	10 SCARD key
	8 SMOVE key key elem
	10 SINTER|SUNION|SDIFF ( key )+
	10 SINTERSTORE|SUNIONSTORE|SDIFFSTORE key ( key )+
	6 SINTERCARD 2 key key [ LIMIT count ]
	4 SINTERCARD count key key [ LIMIT count ]
	4 SPOP key ; DEL same
	8 SPOP key count ; DEL same
	2 SPOP key index ; DEL same
	5 SRANDMEMBER key [ index ]
	5 SSCAN key cursor { [ MATCH pattern ] [ COUNT count ] }
	5 SORT key { [LIMIT index index] [ASC|DESC] [ALPHA] }
	`)
}

func TestStreams(t *testing.T) {
	t.Parallel()
	suite(t, colliders, `
	60 XADD key newid ( elem value )^
	60 XADD key newid ( 'a' elem 'b' value )
	20 XADD key { [NOMKSTREAM] [ MAXLEN|MINID [=|~] count ] } newid ( elem value )+
	10 XADD key MAXLEN|MINID [=|~] id [ LIMIT count ] newid ( elem value )+
	2 XADD key '*' elem value ; DEL same
	10 XLEN key
	20 XRANGE|XREVRANGE key id id [ COUNT count ]
	10 XRANGE key - + [ COUNT count ]
	10 XREVRANGE key + - [ COUNT count ]
	10 XDEL key ( id )+
	6 XTRIM key { MAXLEN|MINID [=|~] id } [ LIMIT count ]
	4 XTRIM key MAXLEN [=|~] count
	10 XREAD [ COUNT count ] STREAMS key id
	6 XREAD [ COUNT count ] STREAMS key key id id
	3 XSETID key id { [ ENTRIESADDED count ] [ MAXDELETEDID id ] }
	20 XGROUP CREATE key group id|'$'|0 { [MKSTREAM] [ ENTRIESREAD count ] }
	3 XGROUP SETID key group id|'$' [ ENTRIESREAD count ]
	2 XGROUP DESTROY key group
	4 XGROUP CREATECONSUMER key group name
	2 XGROUP DELCONSUMER key group name
	40 XREADGROUP GROUP group name { [ COUNT count ] [NOACK] } STREAMS key '>'
	10 XREADGROUP GROUP group name { [ COUNT count ] [NOACK] } STREAMS key id|0
	10 XREADGROUP GROUP group name { [ COUNT count ] [NOACK] } STREAMS key key '>' '>'|id
	20 XACK key group ( id )+
	20 XCLAIM key group name idle ( id )+ { [ IDLE idle ] [ TIME atms ] [ RETRYCOUNT count ] [FORCE] [JUSTID] [ LASTID id ] }
	10 XAUTOCLAIM key group name idle id|0 { [ COUNT count ] [JUSTID] }
	10 XPENDING key group
	10 XPENDING key group [ IDLE idle ] id|- id|+ count [ name ]
	10 XPENDING key group - + 10
	5 XINFO STREAM key
	5 XINFO STREAM key FULL [ COUNT count ]
	10 XINFO GROUPS key
	10 XINFO CONSUMERS key group
	2 XINFO|XGROUP HELP|odd [ key ]
	`)
}

func TestKeys(t *testing.T) {
	t.Parallel()
	suite(t, colliders, `
	10 SET key value
	4 SADD key ( elem )^
	4 RPUSH key ( elem )^
	4 HSET key ( elem value )^
	4 ZADD key ( score elem )^
	20 DEL|UNLINK|EXISTS|TOUCH ( key )+
	10 TYPE key
	15 RENAME|RENAMENX key key
	20 COPY key key { [ DB db ] [REPLACE] }
	10 MOVE key db
	20 EXPIRE key ttl [NX|XX|GT|LT]
	10 EXPIRE key ttl { [NX] [XX] [GT] [LT] }
	10 PEXPIRE key ttlms [NX|XX|GT|LT]
	20 EXPIREAT key at [NX|XX|GT|LT]
	20 PEXPIREAT key atms [NX|XX|GT|LT]
	5 EXPIREAT|PEXPIREAT key past [NX|XX|GT|LT]
	5 EXPIRE|PEXPIRE|EXPIREAT|PEXPIREAT key badttl [NX|XX|GT|LT]
	10 PERSIST key
	10 TTL|PTTL|EXPIRETIME|PEXPIRETIME key
	10 OBJECT ENCODING|REFCOUNT|IDLETIME|FREQ|odd key
	1 OBJECT HELP
	5 RANDOMKEY
	5 KEYS pattern
	5 SCAN cursor { [ MATCH pattern ] [ COUNT count ] [ TYPE 'string'|'list'|'hash'|odd ] }
	5 DBSIZE
	3 SELECT db
	3 SWAPDB db db
	5 DUMP key
	20 RESTORE key 0 dump [REPLACE]
	10 RESTORE key atms dump { [REPLACE] [ABSTTL] [ IDLETIME count ] [ FREQ count ] }
	3 RESTORE key past|badttl dump { [REPLACE] [ABSTTL] [ IDLETIME index ] [ FREQ index ] }
	10 APPEND key value
	10 GETSET key value
	1 FLUSHDB|FLUSHALL [SYNC|ASYNC|odd]
	2 SORT key
	`)
}

func TestSort(t *testing.T) {
	t.Parallel()
	suite(t, colliders, `
	20 RPUSH key ( int )^
	20 SADD key ( elem )^
	10 ZADD key ( index elem )^
	20 SET w_:elem int
	20 SET w_:elem elem
	20 HSET h_:elem 'f' elem 'g' int
	20 SORT key { [ LIMIT index index ] [ASC|DESC] [ALPHA] [ GET '#' ] [ GET 'w_*' ] }
	20 SORT key { [ LIMIT index index ] [ASC|DESC] ALPHA [ GET '#' ] [ GET 'h_*->f' ] }
	20 SORT key { [ LIMIT index index ] [ASC|DESC] [ BY 'w_*'|'h_*->g'|'x_*'|'nosort' ] [ALPHA] }
	10 SORT key { [ LIMIT index index ] [ASC|DESC] [ BY 'w_*'|'h_*->g'|'nosort' ] } STORE key ; SET same elem
	10 SORT key { [ LIMIT index index ] [ASC|DESC] ALPHA } STORE key
	10 SORT_RO key { [ LIMIT index index ] [ASC|DESC] ALPHA [ STORE key ] }
	`)
}
