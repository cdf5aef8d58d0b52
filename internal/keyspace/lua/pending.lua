-- KEYS: meta, queue   ARGV: epoch, stream ID to begin after, most
-- Returns {tip, released position (hex), entry...}, an entry being 'stream ID op+id author'.
local m = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'rel')
if m[1] ~= ARGV[1] then return redis.error_reply('STALE epoch') end
local r = { tonumber(m[2]), m[3] }
for _, e in ipairs(redis.call('XRANGE', KEYS[2], '(' .. ARGV[2], '+', 'COUNT', ARGV[3])) do
  r[#r + 1] = e[1] .. ' ' .. e[2][1] .. ' ' .. e[2][2]:match('^%d+')
end
return r
