#!lua flags=allow-oom
-- Recovery, step 5: the shard may be used.
-- KEYS: 1 marker, 2 positions
-- ARGV: 1 nonce, 2 journal offset, 3 results tip, 4 control offset (a later one that the journal told stays)
-- Returns {now_ms, 'c'} (the marker is not this recovery's) or {now_ms, 'k'}
--@include _time.lua
--@include _marker.lua
local marker, rest = redis.call('GET', KEYS[1]), identity() .. ARGV[1]
if marker == '0' .. rest then
	redis.call('SET', KEYS[1], '1' .. rest)
	local control = redis.call('HGET', KEYS[2], 'c')
	if not control or tonumber(control) < tonumber(ARGV[4]) then
		control = ARGV[4]
	end
	redis.call('HSET', KEYS[2], 'j', ARGV[2], 'r', ARGV[3], 'c', control)
elseif marker ~= '1' .. rest then
	return {time_ms(), 'c'}
end
return {time_ms(), 'k'}
