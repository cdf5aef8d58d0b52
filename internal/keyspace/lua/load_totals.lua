#!lua
-- KEYS: meta, totals, pending sums   ARGV: epoch, position (hex), ttl in ms, metric and value of what SQL said...
-- SQL's values are those at the position: the pending sums fit only if exactly that is released.
-- Returns {'ok', metric, total...}, or {'behind' or 'ahead', released position (hex)}.
local m = redis.call('HMGET', KEYS[1], 'epoch', 'rel', 'cg')
if m[1] ~= ARGV[1] then return redis.error_reply('STALE epoch') end
if m[2] ~= ARGV[2] then return { m[2] < ARGV[2] and 'behind' or 'ahead', m[2] } end
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[2], '!', m[1] .. ':' .. (m[3] or '0'))
-- In parts, for unpack has an end. A subject may have more counters than it should: see the count script.
for i = 4, #ARGV, 1000 do redis.call('HSET', KEYS[2], unpack(ARGV, i, math.min(i + 999, #ARGV))) end
local pending = redis.call('HGETALL', KEYS[3])
for i = 1, #pending, 2 do redis.call('HINCRBY', KEYS[2], pending[i], pending[i + 1]) end
redis.call('PEXPIRE', KEYS[2], ARGV[3])
local r, all = { 'ok' }, redis.call('HGETALL', KEYS[2])
for i = 1, #all, 2 do
  if all[i] ~= '!' then r[#r + 1], r[#r + 2] = all[i], all[i + 1] end
end
return r
