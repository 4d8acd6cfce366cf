#!lua flags=no-writes
-- A task as it is known.
-- KEYS: 1 marker, 2 task
-- Returns {now_ms, ready (0 or 1), record, heartbeat, commands (each '' where there is none)}
--@include _time.lua
--@include _marker.lua
--@include _record.lua
--@include _beside.lua
local ready = '1' .. identity()
local marker = redis.call('GET', KEYS[1]) or ''
local answer = {time_ms(), string.sub(marker, 1, #ready) == ready and 1 or 0}
append_found(answer, KEYS[2], redis.call('GET', KEYS[2]))
return answer
