-- KEYS: meta, entry...   ARGV: epoch
-- Returns the event tip and the entries: the tip is never older than an entry, for both are of one moment.
local m = redis.call('HMGET', KEYS[1], 'epoch', 'seq')
if m[1] ~= ARGV[1] then return redis.error_reply('STALE epoch') end
local r = { tonumber(m[2]) }
for i = 2, #KEYS do r[i] = redis.call('GET', KEYS[i]) end
return r
