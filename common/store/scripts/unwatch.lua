#!lua flags=allow-oom
-- Forgets schedule timeouts of task records that wait no more.
-- KEYS: 1 marker, 2 timeout set
-- ARGV: 1 nonce, 2.. entries of the timeout set
-- Returns {now_ms, 'c'} (the marker is another) or {now_ms, 'k'}
--@include _time.lua
--@include _marker.lua
if not ready_under(KEYS[1], ARGV[1]) then
	return {time_ms(), 'c'}
end
redis.call('ZREM', KEYS[2], unpack(ARGV, 2))
return {time_ms(), 'k'}
