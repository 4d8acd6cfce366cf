#!lua flags=allow-oom
-- Recovery, step 1: writes the recovery nonce, where no scheduler has vouched for the data of this server. A recovery that
-- another scheduler began is taken over; positions stay.
-- KEYS: as `look`
-- ARGV: 1 nonce
-- Returns as `look`, afterwards
--@include _time.lua
--@include _marker.lua
--@include _status.lua
local id = identity()
local marker = redis.call('GET', KEYS[1])
if not marker or string.sub(marker, 1, 1 + #id) ~= '1' .. id then
	marker = '0' .. id .. ARGV[1]
	redis.call('SET', KEYS[1], marker)
end
return status(marker, id)
