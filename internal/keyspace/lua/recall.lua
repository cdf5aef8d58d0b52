-- KEYS: meta   ARGV: epoch, prefix of the shard's keys, key, value, period of keys in s,
--              '1' if the key was looked up in SQL
-- Returns {1, the value that was there}, {0} if it is stored now, or {2} if the key must be looked up first.
-- include keys
local m = redis.call('HMGET', KEYS[1], 'epoch', 'kb', 'kc')
if m[1] ~= ARGV[1] then return redis.error_reply('STALE epoch') end
local now, bucket = clock(ARGV[5])
if now < tonumber(m[3] or 0) and ARGV[6] ~= '1' then return { 2 } end -- first: see the write script
local known = recall(ARGV[2], bucket, ARGV[3])
if known then return { 1, known } end
remember(ARGV[2], bucket, m[2], ARGV[3], ARGV[4])
return { 0 }
