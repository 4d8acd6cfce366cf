#!lua flags=allow-oom
-- 5 outcome, final: marks the task terminal and stores what is to be published, in one step. Needs no readiness: terminal
-- wins over all. The tasks come ordered by shard. S = number of shards, n = number of tasks.
-- KEYS: n tasks, then S times: wheel, outbox, the prefix of task keys
-- ARGV: 1 tasks of each shard, "5 12 3"
--       2 '' or one character a task: '1' = keep an outbox entry
--       3.. two a task: the record R as this attempt's claim wrote it (the common case, compared as a whole), the record F
-- Returns {now_ms, one letter a task, replies of each task with a capital letter...}:  k OK   K OK, there are replies
--   c C the same, the journal has a COMMAND or HEARTBEAT record of the task: with the outbox   s STALE
-- OK where the state is R of this token, or older than the token by (epoch, attempt, phase), or lost, or F of this very
-- end. The nonce of R is the claim's, that of F the end's: they differ where another than the holder of the claim ends it.
--@include _time.lua
--@include _record.lua
--@include _beside.lua
--@include _wheel.lua
--@include _closed.lua
local K, A = KEYS, ARGV
local outbox_marks = A[2]
local n = (#A - 2) / 2
local now = time_ms()

-- The record of the token decides; `mine` are the fields of F, `holder` is the nonce of R.
local function is_stale(f, mine, holder)
	if f[1] == 'M' then
		return false
	elseif f[2] ~= mine[2] then
		return true
	end
	local order = compare(f[3], f[4], mine[3], mine[4])
	return order > 0 or (order == 0 and f[1] == 'R' and f[5] ~= holder)
end

-- Heartbeats may have been told by a command, too.
local function is_commanded(key, f)
	local shard, name = shard_of(key)
	return has_flag(flags_of(f), 'e') and redis.call('EXISTS', shard .. 'c:' .. name, shard .. 'y:' .. name) > 0
end

-- Returns verdict, replies, and the record F to write with whether it needs the outbox.
local function judge(key, started, final, outbox)
	local state = redis.call('GET', key)
	if not state then
		return 'k', nil, final, outbox
	end
	local f, mine = fields_of(state), fields_of(final)
	if f[1] == 'F' then
		if takes_over(key, state, f, mine[2]) then
			return 'k', nil, final, outbox
		elseif f[2] ~= mine[2] or f[5] ~= mine[5] then
			return 's'
		end
		return f[9] ~= '' and 'K' or 'k', f[9]
	end
	if is_stale(f, mine, fields_of(started)[5]) then
		return 's'
	end
	local commanded = is_commanded(key, f)
	forget(key, f)
	local replies = replies_of(f)
	outbox = outbox or commanded or journalled_of(f) ~= ''
	mine[8], mine[9] = outbox and '1' or '0', replies
	final = join(mine) .. string.sub(final, string.find(final, '\n', 1, true), -1)
	local letter = commanded and 'c' or 'k'
	return replies ~= '' and string.upper(letter) or letter, replies, final, outbox
end

local found = redis.call('MGET', unpack(K, 1, n))
local verdicts, details, writes, n_writes = {}, {}, {}, 0
local slice = wheel_slice(now)

local i, shard_keys = 0, n
for count in string.gmatch(A[1], '%d+') do
	local ended, n_ended, outboxed, n_outboxed = {}, 0, {}, 0
	local prefix_len = #K[shard_keys + 3] + 1
	for _ = 1, count do
		i = i + 1
		local outbox = outbox_marks ~= '' and string.byte(outbox_marks, i) == 49
		if found[i] == A[1 + 2 * i] then
			writes[n_writes + 1], writes[n_writes + 2] = K[i], A[2 + 2 * i]
			n_writes = n_writes + 2
			verdicts[i] = 'k'
			n_ended = n_ended + 1
			ended[n_ended] = string.sub(K[i], prefix_len)
		else
			local final
			verdicts[i], details[i], final, outbox = judge(K[i], A[1 + 2 * i], A[2 + 2 * i], outbox)
			if final then
				redis.call('SET', K[i], final)
				n_ended = n_ended + 1
				ended[n_ended] = string.sub(K[i], prefix_len)
			end
		end
		if outbox then
			outboxed[n_outboxed + 1], outboxed[n_outboxed + 2] = now, string.sub(K[i], prefix_len)
			n_outboxed = n_outboxed + 2
		end
	end
	if n_ended > 0 then
		wheel_add(K[shard_keys + 1], slice, ended, n_ended)
	end
	if n_outboxed > 0 then
		redis.call('ZADD', K[shard_keys + 2], unpack(outboxed, 1, n_outboxed))
	end
	shard_keys = shard_keys + 3
end
if n_writes > 0 then
	redis.call('MSET', unpack(writes, 1, n_writes))
end

local answer = {now, table.concat(verdicts)}
for at = 1, n do
	if verdicts[at] == 'K' or verdicts[at] == 'C' then
		answer[#answer + 1] = details[at]
	end
end
return answer
