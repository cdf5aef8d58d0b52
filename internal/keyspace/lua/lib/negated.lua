-- negated returns the negative of an integer in decimal, whatever its size.
local function negated(n)
  if n:sub(1, 1) == '-' then return n:sub(2) end
  return n == '0' and n or '-' .. n
end
