-- Idempotency keys have no TTL, so that no eviction policy can take them; whole periods are dropped instead.
-- clock returns Unix seconds, and the present period of so many seconds.
local function clock(period)
  local now = tonumber(redis.call('TIME')[1])
  return now, math.floor(now / tonumber(period))
end
-- recall returns what is stored under a key.
local function recall(prefix, bucket, key)
  return redis.call('HGET', prefix .. 'k:' .. bucket, key)
    or redis.call('HGET', prefix .. 'k:' .. (bucket - 1), key)
end
-- remember stores a value under a key, and drops old periods; oldest is what meta says of them.
local function remember(prefix, bucket, oldest, key, value)
  redis.call('HSET', prefix .. 'k:' .. bucket, key, value)
  -- What is left lies from kb to kb + 2: the last step kept the period before its own, its own, and, in case
  -- the clock had stepped back, the next. Numbers fall when the period is made longer.
  local kb = tonumber(oldest or bucket)
  for b = kb, kb + 2 do
    if b < bucket - 1 or b > bucket + 1 then redis.call('UNLINK', prefix .. 'k:' .. b) end
  end
  if kb ~= bucket - 1 then redis.call('HSET', KEYS[1], 'kb', bucket - 1) end
end
