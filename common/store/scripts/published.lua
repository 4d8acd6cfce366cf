#!lua flags=allow-oom
-- Clears outbox entries whose publication is acknowledged, while the task is still where it was.
-- KEYS: two a task: task, outbox
-- ARGV: a task each: run, epoch, attempt, finished (0 or 1), task key (TAB-separated)
-- Returns {now_ms}
--@include _time.lua
--@include _record.lua
--@include _beside.lua
-- The first fields of F lie within this, whatever the size of the publication.
local HEAD_BYTES = 2048

local function confirm(key, outbox, f, name)
	if f[8] == '1' then
		local at = #f[1] + #f[2] + #f[3] + #f[4] + #f[5] + #f[6] + #f[7] + 7
		redis.call('SETRANGE', key, at, '0')
	end
	redis.call('ZREM', outbox, name)
end

for i = 1, #ARGV do
	local key, outbox, want = KEYS[2 * i - 1], KEYS[2 * i], split(ARGV[i])
	local f = split(redis.call('GETRANGE', key, 0, HEAD_BYTES - 1))
	if want[4] == '1' then
		if f[1] == 'F' and f[2] == want[1] then
			confirm(key, outbox, f, want[5])
		end
	elseif (f[1] == 'S' or f[1] == 'R') and f[2] == want[1] and compare(f[3], f[4], want[2], want[3]) == 0
		and not is_to_end(f) then
		redis.call('ZREM', outbox, want[5])
	end
end
return {time_ms()}
