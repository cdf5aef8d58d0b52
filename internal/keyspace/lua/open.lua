#!lua flags=allow-oom
-- KEYS: meta, queue, events, gen
-- ARGV: epoch, position (hex), prefix of the shard's keys, ttl of values and of deletions in ms,
--       for how many seconds from now keys must be looked up in SQL first (0: they need not)
-- Returns 'ok', 'newer' (an attempt with a later epoch was here), 'backlog' (SQL must have it first).
-- include negated
-- include settle
local m = redis.call('HMGET', KEYS[1], 'epoch', 'rel', 'kc')
local cur, rel = tonumber(m[1] or 0), m[2] or '0000000000000000'
local epoch, to = tonumber(ARGV[1]), ARGV[2]
if cur > epoch then return 'newer' end
-- Sent twice; but if SQL has forgotten this epoch, and came to it again, it was opened at another position.
if cur == epoch then return rel == to and 'ok' or 'newer' end
local function version(id)
  local e, s = id:match('(%d+)-(%d+)')
  return string.format('%06x%010x', e, s)
end
local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
if last and version(last[1]) > to then return 'backlog' end
-- What is left of the stream is in SQL: its release was not finished.
local start = '-'
while true do
  local batch = redis.call('XRANGE', KEYS[2], start, '+', 'COUNT', 500)
  for _, e in ipairs(batch) do
    local field, value = e[2][1], e[2][2]
    if field ~= 'i' then
      unpin(ARGV[3] .. 'f:' .. field:sub(2), to, ARGV[4], ARGV[5])
    elseif version(e[1]) > rel then
      local subject, metric, delta = value:match('^([^|]*)|([^|]*)|(%-?%d+)|')
      if delta then settle(ARGV[3], subject, metric, delta) end
    end
  end
  if #batch < 500 then break end
  start = '(' .. batch[#batch][1]
end
redis.call('DEL', KEYS[2], KEYS[3], KEYS[4])
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'seq', 0, 'rel', to)
local unknown = tonumber(ARGV[6])
if unknown > 0 then
  local kc = tonumber(redis.call('TIME')[1]) + unknown
  if kc > tonumber(m[3] or 0) then redis.call('HSET', KEYS[1], 'kc', kc) end
end
return 'ok'
