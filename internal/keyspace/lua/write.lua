-- KEYS: meta, entry, queue, events, gen
-- ARGV: epoch, op (v: put, d: delete), stripe, id, author, kind, content, now in ms,
--       cond (a: absent, x: exists, m<hex,hex...>: one of these versions, empty: none),
--       snapshot's tip (empty: no snapshot), snapshot, prefix of the shard's keys,
--       idempotency key (empty: none), fingerprint, period of keys in s
-- Returns {'ok', seq, created, existed, author}, {'none', version, author (0: none)}, {'cond', version}, {'author'},
--         {'load', tip}, {'replay', record}, {'reused'}.
local epoch = ARGV[1]
local m = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'kb')
if m[1] ~= epoch then return redis.error_reply('STALE epoch') end

local bucket
if ARGV[13] ~= '' then
  -- Keys have no TTL, so that no eviction policy can take them; whole periods are dropped instead.
  bucket = math.floor(tonumber(redis.call('TIME')[1]) / tonumber(ARGV[15]))
  local known = redis.call('HGET', ARGV[12] .. 'k:' .. bucket, ARGV[13])
    or redis.call('HGET', ARGV[12] .. 'k:' .. (bucket - 1), ARGV[13])
  if known then
    local n = #ARGV[14]
    if known:sub(1, n) ~= ARGV[14] then return { 'reused' } end
    return { 'replay', known:sub(n + 2) }
  end
end

local stamp = string.format('%06x', epoch)
local cur = redis.call('GETRANGE', KEYS[2], 0, 255)
if cur == '' or cur:sub(19, 24) ~= stamp then
  -- Not there, or not trusted: the caller's snapshot of SQL will do if the key was not written since.
  local g = redis.call('HGET', KEYS[5], ARGV[3])
  if ARGV[10] == '' or (g and tonumber(g) > tonumber(ARGV[10])) then return { 'load', tonumber(m[2]) } end
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

local now, content = ARGV[8], ARGV[7]
if ARGV[2] == 'd' then
  if not exists then return { 'none', version, author or '0' } end
  content = ''
else
  if author and author ~= ARGV[5] then return { 'author' } end
  author, kind = ARGV[5], ARGV[6]
  if not exists then created = now end
end

local seq = redis.call('HINCRBY', KEYS[1], 'seq', 1)
local id = string.format('%d-%d', epoch, seq)
local record = author .. '|' .. kind .. '|' .. created .. '|' .. now .. '|' .. content
redis.call('SET', KEYS[2], 'p' .. ARGV[2] .. string.format('%06x%010x', epoch, seq) .. stamp .. record)
redis.call('XADD', KEYS[3], id, ARGV[2] .. ARGV[4], record)
redis.call('XADD', KEYS[4], id, ARGV[2], ARGV[4] .. ' ' .. author .. ' ' .. now)
redis.call('HSET', KEYS[5], ARGV[3], seq)

if bucket then
  redis.call('HSET', ARGV[12] .. 'k:' .. bucket, ARGV[13], string.format('%s|%s|%d|%d|%s|%s|%d',
    ARGV[14], ARGV[4], epoch, seq, created, now, exists and 1 or 0))
  -- What is left lies from kb to kb + 2: the last step kept the period before its own, its own, and, in case
  -- the clock had stepped back, the next. Numbers fall when the period is made longer.
  local kb = tonumber(m[3] or bucket)
  for b = kb, kb + 2 do
    if b < bucket - 1 or b > bucket + 1 then redis.call('UNLINK', ARGV[12] .. 'k:' .. b) end
  end
  if kb ~= bucket - 1 then redis.call('HSET', KEYS[1], 'kb', bucket - 1) end
end
return { 'ok', seq, created, exists and 1 or 0, author }
