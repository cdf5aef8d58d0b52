-- KEYS: meta, entry, gen   ARGV: epoch, stripe, tip, entry, ttl in ms
-- Refuses when the key was written since the miss (its write, drain and eviction may all lie behind
-- the caller's SQL read), and when a pinned entry or one of this epoch is there.
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return redis.error_reply('STALE epoch') end
local g = redis.call('HMGET', KEYS[3], ARGV[2], '*')
if math.max(tonumber(g[1] or 0), tonumber(g[2] or 0)) > tonumber(ARGV[3]) then return 0 end
local head = redis.call('GETRANGE', KEYS[2], 0, 23)
if head ~= '' and (head:sub(1, 1) == 'p' or head:sub(19, 24) == string.format('%06x', ARGV[1])) then return 0 end
redis.call('SET', KEYS[2], ARGV[4], 'PX', ARGV[5])
return 1
