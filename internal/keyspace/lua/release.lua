#!lua flags=allow-oom
-- KEYS: meta, queue, events
-- ARGV: epoch, position (hex), position (stream ID), prefix of the shard's keys, ttl of values and of
--       deletions in ms, most entries for one call, events to keep,
--       position (hex) after which the caller read (empty: it did not),
--       position (hex) of the last round that SQL left something out of (empty: none),
--       number of items, IDs of the items that the caller read up to the position,
--       subject, metric and sum of each counter whose changes it read
-- Returns {released position (hex), 1 if there is more to do, position (hex) of the last release that SQL left
-- something out of}. Idempotent: anybody may call it with any committed position. What the caller read is
-- used only if the released position is the one that the caller read after, and SQL has all of it; else the
-- script reads what it releases from the stream itself.
-- include negated
-- include settle
local m = redis.call('HMGET', KEYS[1], 'epoch', 'rel', 'seq', 'skip')
if m[1] ~= ARGV[1] then return redis.error_reply('STALE epoch') end
local from, to, most, more = m[2], ARGV[2], tonumber(ARGV[7]), 0
local prefix, skip = ARGV[4], m[4] or '0000000000000000'
if to <= from then return { from, 0, skip } end
local short = ARGV[10] > from -- SQL lacks something of what is to be released: the script cannot tell what
if ARGV[10] > skip then skip = ARGV[10] end

local seq
local function event(field, value)
  seq = redis.call('HINCRBY', KEYS[1], 'seq', 1)
  redis.call('XADD', KEYS[3], string.format('%d-%d', ARGV[1], seq), field, value)
end

local function item(id)
  local key = prefix .. 'f:' .. id
  if not short then return unpin(key, to, ARGV[5], ARGV[6]) end
  local head = redis.call('GETRANGE', key, 0, 17)
  if head:sub(1, 1) == 'p' and head:sub(3) <= to then
    redis.call('UNLINK', key)
    event('x', id)
  end
end

if from == ARGV[9] and not short then
  local items = tonumber(ARGV[11])
  for i = 12, 11 + items do item(ARGV[i]) end
  for i = 12 + items, #ARGV, 3 do settle(prefix, ARGV[i], ARGV[i + 1], ARGV[i + 2]) end
else
  local start = string.format('(%d-%d', tonumber(from:sub(1, 6), 16), tonumber(from:sub(7), 16))
  local batch = redis.call('XRANGE', KEYS[2], start, ARGV[3], 'COUNT', most)
  if #batch == most then
    local e, s = batch[most][1]:match('(%d+)-(%d+)')
    local last = string.format('%06x%010x', e, s)
    if last < to then to, more = last, 1 end
  end
  for _, e in ipairs(batch) do
    local field, value = e[2][1], e[2][2]
    local subject, metric, delta = value:match('^([^|]*)|([^|]*)|(%-?%d+)|')
    if field:match('^[vd]%d+$') then
      item(field:sub(2))
    elseif field == 'i' and delta then
      settle(prefix, subject, metric, delta)
    end
  end
end

redis.call('HSET', KEYS[1], 'rel', to)
event('r', to .. ' ' .. skip)
if short then
  -- Nothing that was read before may be stored any more, and no total holds.
  redis.call('HSET', KEYS[1], 'skip', skip)
  redis.call('HSET', prefix .. 'g', '*', seq)
  redis.call('HINCRBY', KEYS[1], 'cg', 1)
end
-- Events older than the newest few are of use only to a replica that must enter anew anyway.
local keep = seq - tonumber(ARGV[8])
if keep > 0 then redis.call('XTRIM', KEYS[3], 'MINID', '~', string.format('%d-%d', ARGV[1], keep)) end
return { to, more, skip }
