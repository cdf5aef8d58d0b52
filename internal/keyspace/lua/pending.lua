-- KEYS: meta, queue   ARGV: epoch, stream ID to begin after, most
-- Returns {tip, released position (hex), position (hex) of the last release that SQL left something out of,
-- entry...}, an entry being 'stream ID op+id author'. Fewer than most are all there are. Entries that are no
-- writes of items are left out.
local m = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'rel', 'skip')
if m[1] ~= ARGV[1] then return redis.error_reply('STALE epoch') end
local r = { tonumber(m[2]), m[3], m[4] or '0000000000000000' }
local function number(s) return s and (#s < 19 or (#s == 19 and s <= '9223372036854775807')) end
local start, most = '(' .. ARGV[2], tonumber(ARGV[3])
while true do
  local page = redis.call('XRANGE', KEYS[2], start, '+', 'COUNT', most)
  for _, e in ipairs(page) do
    if e[2][1] == 'i' then return r end -- a shard of counters has no items
    local author = e[2][2]:match('^(%d+)|')
    if number(e[2][1]:match('^[vd](%d+)$')) and number(author) then
      r[#r + 1] = e[1] .. ' ' .. e[2][1] .. ' ' .. author
      if #r == most + 3 then return r end
    end
  end
  if #page < most then return r end
  start = '(' .. page[most][1]
end
