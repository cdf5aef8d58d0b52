-- unpin lets an item's entry expire. A newer write of it than the position stays pinned.
local function unpin(key, to, values, deletions)
  local head = redis.call('GETRANGE', key, 0, 17)
  if head:sub(1, 1) == 'p' and head:sub(3) <= to then
    redis.call('SETRANGE', key, 0, 'c')
    redis.call('PEXPIRE', key, head:sub(2, 2) == 'd' and deletions or values)
  end
end
-- settle takes what is in SQL now out of a pending sum. A sum that nobody can have added is left alone: one
-- entry that was damaged must not hold up its shard.
local function settle(prefix, subject, metric, sum)
  local key = prefix .. 'p:' .. subject
  if redis.pcall('HINCRBY', key, metric, negated(sum)) == 0 then redis.call('HDEL', key, metric) end
end
