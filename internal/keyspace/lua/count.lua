-- KEYS: meta, queue, events
-- ARGV: epoch, prefix of the shard's keys, now in ms, period of keys in s, '1' if the keys were looked up in SQL,
--       '1' if cold counters may be added to all the same (blind), then of each change
--       subject, metric, op (a: add, s: set, r: remove), what to add or to set,
--       idempotency key (empty: none), fingerprint (without '|')
-- Returns one list for each change: {'ok', seq, total (empty: not known), difference}, {'cold'} (the totals must be loaded
--         first), {'range', total}, {'many'}, {'replay', result, entry}, {'reused'}, {'key'} (it must be looked up in SQL
--         first). The entry is that of the queue with the change, nothing if it is there no more.
-- A change that follows one of its subject that could not be done is 'cold' too: they are done in order.
-- include keys
-- include negated
-- include queued
local m = redis.call('HMGET', KEYS[1], 'epoch', 'kb', 'kc', 'cg')
if m[1] ~= ARGV[1] then return redis.error_reply('STALE epoch') end
local epoch, prefix, ms, looked, blind = ARGV[1], ARGV[2], ARGV[3], ARGV[5] == '1', ARGV[6] == '1'
local stamp = epoch .. ':' .. (m[4] or '0')
local now, bucket = clock(ARGV[4])
local most, metrics = 9007199254740991, 256 -- model.MaxCount, model.MaxMetrics
local held, seq, done = {}, 0, 0

-- sum adds what is too great for the numbers of a script.
local function sum(a, b)
  redis.call('HSET', KEYS[1], 'x', a)
  redis.call('HINCRBY', KEYS[1], 'x', b)
  local n = redis.call('HGET', KEYS[1], 'x')
  redis.call('HDEL', KEYS[1], 'x')
  return n
end

-- known answers a change whose key tells that it was done, or must be looked up in SQL: that comes first, see
-- the write script.
local function known(key, print)
  if not looked and now < tonumber(m[3] or 0) then return { 'key' } end
  local stored = recall(prefix, bucket, key)
  if not stored then return false end
  local n = #print + 1
  if stored:sub(1, n) ~= print .. '|' then return { 'reused' } end
  local result = stored:sub(n + 1)
  return { 'replay', result, queued(KEYS[2], result:match('|(%d+)|(%d+)$')) }
end

-- limited answers a change that may not be done; total is false if it is not known, or the metric not there.
-- The sum of two numbers that are in range is on the right side of its end, even if it is not exact.
local function limited(key, sums, hot, metric, op, n, total)
  if op == 'r' then return false end
  if not hot then
    -- Blind additions have an end too, and so have the metrics that may come with them.
    local queued = redis.call('HGET', sums, metric)
    local over = math.abs(tonumber(queued or 0) + tonumber(n)) > most
    return (over or not queued and redis.call('HLEN', sums) >= metrics) and { 'cold' }
  end
  local after = tonumber(n)
  if op == 'a' and total then
    -- Blind additions may have led out of the range.
    after = math.abs(tonumber(total)) > most and tonumber(sum(total, n)) or after + tonumber(total)
  end
  if math.abs(after) > most then return { 'range', total or '0' } end
  return not total and redis.call('HLEN', key) > metrics and { 'many' } -- one field is the stamp
end

local function count(subject, metric, op, n, key, print)
  if held[subject] then return { 'cold' } end
  local answer = key ~= '' and known(key, print)
  if answer then return answer end
  local totals, sums = prefix .. 'c:' .. subject, prefix .. 'p:' .. subject
  local c = redis.call('HMGET', totals, '!', metric)
  local hot = c[1] == stamp
  local total = hot and c[2]
  if not hot and not (blind and op == 'a') then return { 'cold' } end
  answer = limited(totals, sums, hot, metric, op, n, total)
  if answer then return answer end

  local delta, flags = n, ''
  if op == 's' then delta = sum(n, negated(total or '0')) end
  if op == 'r' then delta, flags = negated(total or '0'), 'r' end
  seq, done = redis.call('HINCRBY', KEYS[1], 'seq', 1), done + 1
  if redis.call('HINCRBY', sums, metric, delta) == 0 then redis.call('HDEL', sums, metric) end
  local value = ''
  if hot and op == 'r' then
    redis.call('HDEL', totals, metric)
    value = '0'
  elseif hot then
    value = string.format('%.0f', redis.call('HINCRBY', totals, metric, delta))
  end
  local id = string.format('%d-%d', epoch, seq)
  local change = subject .. '|' .. metric .. '|' .. delta .. '|' .. ms .. '|' .. flags
  if key == '' then
    redis.call('XADD', KEYS[2], id, 'i', change)
  else
    local stored = string.format('%s|%s|%d|%d', print, value, epoch, seq)
    redis.call('XADD', KEYS[2], id, 'i', change, 'k', key .. '|' .. stored)
    remember(prefix, bucket, m[2], key, stored)
  end
  return { 'ok', seq, value, delta }
end

local r = {}
for i = 7, #ARGV, 6 do
  local answer = count(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], ARGV[i + 5])
  if answer[1] == 'cold' or answer[1] == 'key' then held[ARGV[i]] = true end
  r[#r + 1] = answer
end
if done > 0 then redis.call('XADD', KEYS[3], string.format('%d-%d', epoch, seq), 'c', done) end
return r
