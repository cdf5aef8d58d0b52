-- queued returns the entry of a write in the stream, nil if it is not there: who repeats a write answers for it like
-- the one who made it, and must be able to store it if this Redis is lost.
local function queued(stream, epoch, seq)
  local id = epoch and epoch .. '-' .. seq
  return id and redis.call('XRANGE', stream, id, id)[1]
end
