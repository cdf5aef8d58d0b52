-- KEYS: meta, entry, queue, events, gen
-- ARGV: epoch, op (v: put, d: delete), stripe, id, author, kind, content, now in ms,
--       cond (a: absent, x: exists, m<hex,hex...>: one of these versions, empty: none),
--       snapshot's tip (empty: no snapshot), snapshot, prefix of the shard's keys,
--       idempotency key (empty: none), fingerprint (without '|'), period of keys in s,
--       '1' if the key was looked up in SQL
-- Returns {'ok', seq, created, existed, author}, {'none', version, author (0: none), entry}, {'cond', version},
--         {'author'}, {'load', tip}, {'replay', result, entry}, {'reused'}, {'key'} (it must be looked up in SQL first).
--         An entry is that of the queue with the write that the answer is about, nothing if it is there no more.
-- include keys
-- include queued
local epoch = ARGV[1]
local m = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'kb', 'kc')
if m[1] ~= epoch then return redis.error_reply('STALE epoch') end

local bucket
if ARGV[13] ~= '' then
  local now
  now, bucket = clock(ARGV[15])
  -- First: SQL may have another answer than one that a Redis which was lost had stored, and never gave.
  if now < tonumber(m[4] or 0) and ARGV[16] ~= '1' then return { 'key' } end
  local known = recall(ARGV[12], bucket, ARGV[13])
  if known then
    local n = #ARGV[14] + 1
    if known:sub(1, n) ~= ARGV[14] .. '|' then return { 'reused' } end
    local result = known:sub(n + 1)
    return { 'replay', result, queued(KEYS[3], result:match('^%d+|(%d+)|(%d+)|')) }
  end
end

local stamp = string.format('%06x', epoch)
local cur = redis.call('GETRANGE', KEYS[2], 0, 255)
if cur == '' or cur:sub(19, 24) ~= stamp then
  -- Not there, or not trusted: the caller's snapshot of SQL will do if the key was not written since.
  local g = redis.call('HMGET', KEYS[5], ARGV[3], '*')
  local since = math.max(tonumber(g[1] or 0), tonumber(g[2] or 0))
  if ARGV[10] == '' or since > tonumber(ARGV[10]) then return { 'load', tonumber(m[2]) } end
  cur = ARGV[11]
end
local typ, version = cur:sub(2, 2), cur:sub(3, 18)
local exists = typ == 'v'
local author, kind, created = cur:match('^(%d+)|([^|]*)|(%-?%d+)|', 25)

local cond = ARGV[9]
local c = cond:sub(1, 1)
local shown = exists and version or '0000000000000000'
if (c == 'a' and exists) or (c == 'x' and not exists)
  or (c == 'm' and not (exists and cond:find(version, 2, true))) then
  return { 'cond', shown }
end

local at, content = ARGV[8], ARGV[7]
if ARGV[2] == 'd' then
  if not exists then
    local entry = queued(KEYS[3], tonumber(version:sub(1, 6), 16), string.format('%d', tonumber(version:sub(7), 16)))
    return { 'none', version, author or '0', entry }
  end
  content = ''
else
  if author and author ~= ARGV[5] then return { 'author' } end
  author, kind = ARGV[5], ARGV[6]
  if not exists then created = at end
end

local seq = redis.call('HINCRBY', KEYS[1], 'seq', 1)
local id = string.format('%d-%d', epoch, seq)
local record = author .. '|' .. kind .. '|' .. created .. '|' .. at .. '|' .. content
redis.call('SET', KEYS[2], 'p' .. ARGV[2] .. string.format('%06x%010x', epoch, seq) .. stamp .. record)
if bucket then
  local stored = string.format('%s|%s|%d|%d|%s|%s|%d', ARGV[14], ARGV[4], epoch, seq, created, at, exists and 1 or 0)
  redis.call('XADD', KEYS[3], id, ARGV[2] .. ARGV[4], record, 'k', ARGV[13] .. '|' .. stored)
  remember(ARGV[12], bucket, m[3], ARGV[13], stored)
else
  redis.call('XADD', KEYS[3], id, ARGV[2] .. ARGV[4], record)
end
redis.call('XADD', KEYS[4], id, ARGV[2], ARGV[4] .. ' ' .. author .. ' ' .. at)
redis.call('HSET', KEYS[5], ARGV[3], seq)
return { 'ok', seq, created, exists and 1 or 0, author }
