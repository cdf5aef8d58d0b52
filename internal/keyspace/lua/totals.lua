-- KEYS: meta, totals...   ARGV: epoch
-- Returns the released position (hex), and of each subject metric, value... or false if its totals are cold.
local m = redis.call('HMGET', KEYS[1], 'epoch', 'rel', 'cg')
if m[1] ~= ARGV[1] then return redis.error_reply('STALE epoch') end
local stamp = m[1] .. ':' .. (m[3] or '0')
local r = { m[2] }
for i = 2, #KEYS do
  local all, hot, list = redis.call('HGETALL', KEYS[i]), false, {}
  for j = 1, #all, 2 do
    if all[j] == '!' then
      hot = all[j + 1] == stamp
    else
      list[#list + 1], list[#list + 2] = all[j], all[j + 1]
    end
  end
  r[i] = hot and list
end
return r
