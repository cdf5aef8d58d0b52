-- KEYS: meta, entry, events, gen   ARGV: epoch, id, events to keep, stripe
-- A pinned entry stays: it is the only readable copy of a queued write. Fills with what was read before are
-- refused from here on: SQL may have been changed by hand.
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return redis.error_reply('STALE epoch') end
local seq = redis.call('HINCRBY', KEYS[1], 'seq', 1)
if redis.call('GETRANGE', KEYS[2], 0, 0) ~= 'p' then redis.call('UNLINK', KEYS[2]) end
redis.call('XADD', KEYS[3], string.format('%d-%d', ARGV[1], seq), 'x', ARGV[2])
redis.call('HSET', KEYS[4], ARGV[4], seq)
local keep = seq - tonumber(ARGV[3])
if keep > 0 then redis.call('XTRIM', KEYS[3], 'MINID', '~', string.format('%d-%d', ARGV[1], keep)) end
return seq
