#!lua flags=allow-oom
-- KEYS: meta, queue, events
-- ARGV: epoch, position (hex), position (stream ID), prefix of the shard's keys, ttl of values and of
--       deletions in ms, most entries for one call, events to keep,
--       position (hex) after which the caller read (empty: it did not), IDs that it read up to the position
-- Returns {released position (hex), 1 if there is more to do}. Idempotent: anybody may call it with any
-- committed position. The caller's IDs are used only if the released position is the one that the
-- caller read after; else the script reads what it releases from the stream itself.
local m = redis.call('HMGET', KEYS[1], 'epoch', 'rel', 'seq')
if m[1] ~= ARGV[1] then return redis.error_reply('STALE epoch') end
local from, to, most, more = m[2], ARGV[2], tonumber(ARGV[7]), 0
if to <= from then return { from, 0 } end

local function unpin(id)
  local key = ARGV[4] .. 'f:' .. id
  local head = redis.call('GETRANGE', key, 0, 17)
  -- A newer write of the key than the position stays pinned.
  if head:sub(1, 1) == 'p' and head:sub(3) <= to then
    redis.call('SETRANGE', key, 0, 'c')
    redis.call('PEXPIRE', key, head:sub(2, 2) == 'd' and ARGV[6] or ARGV[5])
  end
end

if from == ARGV[9] then
  for i = 10, #ARGV do unpin(ARGV[i]) end
else
  local start = string.format('(%d-%d', tonumber(from:sub(1, 6), 16), tonumber(from:sub(7), 16))
  local batch = redis.call('XRANGE', KEYS[2], start, ARGV[3], 'COUNT', most)
  if #batch == most then
    local e, s = batch[most][1]:match('(%d+)-(%d+)')
    local last = string.format('%06x%010x', e, s)
    if last < to then to, more = last, 1 end
  end
  for _, e in ipairs(batch) do unpin(e[2][1]:sub(2)) end
end

local seq = redis.call('HINCRBY', KEYS[1], 'seq', 1)
redis.call('HSET', KEYS[1], 'rel', to)
redis.call('XADD', KEYS[3], string.format('%d-%d', ARGV[1], seq), 'r', to)
-- Events older than the newest few are of use only to a replica that must enter anew anyway.
local keep = seq - tonumber(ARGV[8])
if keep > 0 then redis.call('XTRIM', KEYS[3], 'MINID', '~', string.format('%d-%d', ARGV[1], keep)) end
return { to, more }
