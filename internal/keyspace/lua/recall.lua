-- KEYS: meta   ARGV: epoch, prefix of the shard's keys, key, value, period of keys in s
-- Returns {1, the value that was there} or {0}.
local m = redis.call('HMGET', KEYS[1], 'epoch', 'kb')
if m[1] ~= ARGV[1] then return redis.error_reply('STALE epoch') end
local bucket = math.floor(tonumber(redis.call('TIME')[1]) / tonumber(ARGV[5]))
local known = redis.call('HGET', ARGV[2] .. 'k:' .. bucket, ARGV[3])
  or redis.call('HGET', ARGV[2] .. 'k:' .. (bucket - 1), ARGV[3])
if known then return { 1, known } end
redis.call('HSET', ARGV[2] .. 'k:' .. bucket, ARGV[3], ARGV[4])
-- What is left lies from kb to kb + 2: the last step kept the period before its own, its own, and, in case
-- the clock had stepped back, the next. Numbers fall when the period is made longer.
local kb = tonumber(m[2] or bucket)
for b = kb, kb + 2 do
  if b < bucket - 1 or b > bucket + 1 then redis.call('UNLINK', ARGV[2] .. 'k:' .. b) end
end
if kb ~= bucket - 1 then redis.call('HSET', KEYS[1], 'kb', bucket - 1) end
return { 0 }
