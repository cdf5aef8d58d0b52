-- KEYS: meta, queue   ARGV: epoch
-- Drops what is released from the stream, also what a crash has left behind. Returns how many entries.
local m = redis.call('HMGET', KEYS[1], 'epoch', 'rel')
if m[1] ~= ARGV[1] then return redis.error_reply('STALE epoch') end
local epoch, seq = tonumber(m[2]:sub(1, 6), 16), tonumber(m[2]:sub(7), 16)
return redis.call('XTRIM', KEYS[2], 'MINID', string.format('%d-%d', epoch, seq + 1))
