-- KEYS: meta   ARGV: epoch, prefix of the shard's keys, key, value, period of keys in s
-- Returns {1, the value that was there} or {0}.
local m = redis.call('HMGET', KEYS[1], 'epoch', 'kb')
if m[1] ~= ARGV[1] then return redis.error_reply('STALE epoch') end
local bucket = math.floor(tonumber(redis.call('TIME')[1]) / tonumber(ARGV[5]))
local known = redis.call('HGET', ARGV[2] .. 'k:' .. bucket, ARGV[3])
  or redis.call('HGET', ARGV[2] .. 'k:' .. (bucket - 1), ARGV[3])
if known then return { 1, known } end
redis.call('HSET', ARGV[2] .. 'k:' .. bucket, ARGV[3], ARGV[4])
local oldest = math.max(tonumber(m[2] or bucket), bucket - 100)
for b = oldest, bucket - 2 do redis.call('UNLINK', ARGV[2] .. 'k:' .. b) end
redis.call('HSET', KEYS[1], 'kb', math.max(oldest, bucket - 1))
return { 0 }
