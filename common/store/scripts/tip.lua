#!lua flags=allow-oom
-- Notes the tip of `results`: everything before it is in Redis already.
-- KEYS: 1 marker, 2 positions
-- ARGV: 1 nonce, 2 tip
-- Returns {now_ms, 'c'} (the marker is another) or {now_ms, 'k'}
--@include _time.lua
--@include _marker.lua
if not ready_under(KEYS[1], ARGV[1]) then
	return {time_ms(), 'c'}
end
redis.call('HSET', KEYS[2], 'r', ARGV[2])
return {time_ms(), 'k'}
