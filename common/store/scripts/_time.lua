-- The only clock of the scripts, in whole milliseconds (cut, so that what is due by it is never early).
local function time_ms()
	local t = redis.call('TIME')
	return t[1] * 1000 + math.floor(t[2] / 1000)
end
