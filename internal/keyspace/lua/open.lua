#!lua flags=allow-oom
-- KEYS: meta, queue, events, gen
-- ARGV: epoch, position (hex), prefix of the shard's keys, ttl of values and of deletions in ms
-- Returns 'ok', 'newer' (an attempt with a later epoch was here), 'backlog' (SQL must have it first).
local cur = tonumber(redis.call('HGET', KEYS[1], 'epoch') or 0)
local epoch = tonumber(ARGV[1])
if cur > epoch then return 'newer' end
if cur == epoch then return 'ok' end
local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
if last then
  local e, s = last[1]:match('(%d+)-(%d+)')
  if string.format('%06x%010x', e, s) > ARGV[2] then return 'backlog' end
end
-- What is left of the stream is in SQL: its release was not finished.
local start = '-'
while true do
  local batch = redis.call('XRANGE', KEYS[2], start, '+', 'COUNT', 500)
  for _, e in ipairs(batch) do
    local key = ARGV[3] .. 'f:' .. e[2][1]:sub(2)
    local head = redis.call('GETRANGE', key, 0, 1)
    if head:sub(1, 1) == 'p' then
      redis.call('SETRANGE', key, 0, 'c')
      redis.call('PEXPIRE', key, head:sub(2) == 'd' and ARGV[5] or ARGV[4])
    end
  end
  if #batch < 500 then break end
  start = '(' .. batch[#batch][1]
end
redis.call('DEL', KEYS[2], KEYS[3], KEYS[4])
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'seq', 0, 'rel', ARGV[2])
return 'ok'
