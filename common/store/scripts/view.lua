#!lua flags=no-writes
-- The record of a task, for people.
-- KEYS: 1 marker, 2 task
-- Returns {now_ms, ready (0 or 1), record or ''}
--@include _time.lua
--@include _marker.lua
local ready = '1' .. identity()
local marker = redis.call('GET', KEYS[1]) or ''
return {time_ms(), string.sub(marker, 1, #ready) == ready and 1 or 0, redis.call('GET', KEYS[2]) or ''}
