#!lua
-- 3 claim: may these records' tasks be run by this worker, now? Refused whole when memory is full, and from 80 % of maxmemory.
-- The tasks come ordered by shard. S = number of shards, n = number of tasks.
-- KEYS: S markers, n tasks, then S times: leases, declared dead
-- ARGV: 1 worker
--       2 tasks of each shard, "5 12 3"
--       3 '' or one character a task: '-', 'l' (attempt >= 2 or epoch > 0), 'd' (a key that the batch has had before)
--       4 a line a task: max_attempts, reuse policy, conflict policy, first loss retries (0 or 1), reply
--       5.. a task each: the record R if it is nobody's yet
-- Returns {now_ms, one letter a task, record of each task with a capital letter...}:
--   r RUN as asked    R RUN    L LOST    W WAIT    B BUSY    F FINISHED    H HOLD    S STALE    C CANCELED    J REJECTED
--     (running)
--   E REJECTED (closed)    s STALE, no state    n NOT_READY    x BURIED
-- Repeated with the same nonce it answers the same.
--@include _time.lua
--@include _marker.lua
--@include _record.lua
--@include _beside.lua
--@include _wheel.lua
--@include _closed.lua
local REUSE_ALLOW, REUSE_ALLOW_FAILED, REUSE_REJECT = '1', '2', '3'
local STATUS_COMPLETED = '0'
local REPLIES_MAX = 8

local info = redis.call('INFO', 'server', 'replication', 'memory')
local maxmemory = tonumber(string.match(info, '\nmaxmemory:(%d+)'))
if maxmemory > 0 and tonumber(string.match(info, 'used_memory:(%d+)')) > maxmemory * 0.8 then
	return redis.error_reply('OOM claims are refused from 80 % of maxmemory')
end

local K, A = KEYS, ARGV
local worker, marks = A[1], A[3]
local counts, n_shards = {}, 0
for count in string.gmatch(A[2], '%d+') do
	n_shards = n_shards + 1
	counts[n_shards] = tonumber(count)
end
local n = #A - 4
local leases_at = n_shards + n

local option_lines
local function options(i)
	if not option_lines then
		option_lines = {}
		for line in string.gmatch(A[4], '([^\n]*)\n') do
			option_lines[#option_lines + 1] = line
		end
	end
	return split(option_lines[i])
end

-- Under the claimant's nonce and record.
local function take(key, want, f, attempt, lost, flags)
	local record = join({'R', f[2], f[3], attempt, want[5], want[6], want[7], want[8], lost, journalled_of(f), flags,
		replies_of(f)})
	redis.call('SET', key, record)
	return record
end

-- Another publication of a task that is under way: its reply goes to the list.
local function join_in(key, f, ask)
	local reply, i = ask[5], f[1] == 'R' and 12 or 9
	if reply == '' then
		return
	end
	local count = 0
	for known in string.gmatch(f[i], '[^\30]+') do
		if known == reply then
			return
		end
		count = count + 1
	end
	if count < REPLIES_MAX then
		f[i] = count > 0 and f[i] .. '\30' .. reply or reply
		redis.call('SET', key, join(f))
	end
end

local function is_late(want)
	return want[4] ~= '1' or want[3] ~= '0'
end

-- A record that is not the one which runs or may run.
local function other_record(key, want, ask, f)
	if want[2] == f[2] then
		if f[1] == 'R' and compare(want[3], want[4], f[3], f[4]) == 0 then
			join_in(key, f, ask)
			return 'B'
		end
		return 'S'
	end
	if is_late(want) then
		return 'S'
	end
	if ask[3] == '1' then
		return 'J'
	end
	join_in(key, f, ask)
	return 'B'
end

-- Attempt n of an owner that is dead.
local function lost_attempt(key, want, ask, f)
	local flags = f[11]
	if has_flag(flags, 'c') or has_flag(flags, 't') then
		return 'C', take(key, want, f, f[4], f[9], flags)
	end
	local max, attempt, first = tonumber(ask[1]), tonumber(f[4]), tonumber(f[9]) == 0
	local held = has_flag(flags, 'p') or has_flag(flags, 'r') or has_flag(flags, 'l')
	if ask[4] == '1' and first and (max == 0 or attempt < max) and not held then
		return 'R', take(key, want, f, attempt + 1, 1, flags)
	end
	if not has_flag(flags, 'l') then
		flags = flags .. 'l'
	end
	return 'L', take(key, want, f, f[4], f[9], flags)
end

local function started(key, want, ask, f, state, leases)
	if f[5] == want[5] then
		local ends = has_flag(f[11], 'c') or has_flag(f[11], 't')
		return has_flag(f[11], 'l') and 'L' or ends and 'C' or 'R', state
	end
	if f[7] ~= want[7] then
		return other_record(key, want, ask, f), state
	end
	-- The very record again: kept as long as its owner lives, because a loss of the owner is found by asking for it. The journal
	-- has an attempt that is parked: its end comes from its worker, or from the scheduler.
	if f[6] == '' or has_flag(f[11], 'k') then
		return 'B', state
	end
	if redis.call('HEXISTS', leases, f[6]) == 1 then
		return 'W', state
	end
	return lost_attempt(key, want, ask, f)
end

-- What commands have said of an attempt that is to start.
local function told(f)
	if has_flag(f[8], 'c') or has_flag(f[8], 't') then
		return 'C'
	end
	return (has_flag(f[8], 'p') or has_flag(f[8], 'u')) and 'H' or 'R'
end

local function scheduled(key, want, ask, f, state)
	local same = f[5] ~= '' and f[5] == want[7]
	if not same and (want[2] ~= f[2] or compare(want[3], want[4], f[3], f[4]) ~= 0) then
		return other_record(key, want, ask, f), state
	end
	local verdict = told(f)
	if verdict == 'H' then
		return 'H', state
	end
	return verdict, take(key, want, f, f[4], f[7], f[8])
end

-- A task of which only commands were known. What they said of another run is forgotten when the task ends.
local function marked(key, want, f, state)
	if is_late(want) then
		return 'S', state
	end
	local fits = f[2] == '' or f[2] == want[2]
	local verdict = fits and told(f) or 'R'
	f[2] = want[2]
	if verdict == 'H' then
		return 'H', join(f)
	end
	return verdict, take(key, want, f, f[4], f[7], fits and f[8] or 'e')
end

local function closed(key, i, want, ask, f, state)
	if want[2] == f[2] then
		return 'F', state
	end
	if is_late(want) then
		return 'S', head_of(state)
	end
	local reuse = ask[2]
	if reuse == REUSE_REJECT or (reuse == REUSE_ALLOW_FAILED and f[6] == STATUS_COMPLETED) then
		return 'E', head_of(state)
	end
	if reuse == REUSE_ALLOW or reuse == REUSE_ALLOW_FAILED then
		if f[8] == '1' then
			return 'W', head_of(state) -- the result of the old run is not published yet
		end
		lay_aside(key, state, f)
		-- With the flag a release leaves a state, and the closed run does not begin again.
		return 'R', take(key, want, {'M', want[2], want[3], [6] = '', [9] = ''}, want[4], '0', 'e')
	end
	return 'F', state
end

local function decide(i, key, state, leases)
	local want, ask, f = split(A[4 + i]), options(i), fields_of(state)
	if f[2] ~= want[2] and f[1] ~= 'M' and not is_late(want) then
		local result = redis.call('GET', closed_key(key, want[2]))
		if result then
			return 'F', result
		end
	end
	if f[1] == 'F' then
		return closed(key, i, want, ask, f, state)
	elseif f[1] == 'R' then
		return started(key, want, ask, f, state, leases)
	elseif f[1] == 'S' then
		return scheduled(key, want, ask, f, state)
	elseif f[1] == 'M' then
		return marked(key, want, f, state)
	end
	return other_record(key, want, ask, f), state
end

local found = redis.call('MGET', unpack(K, 1, n_shards + n))
local verdicts, details, fresh, n_fresh, again = {}, {}, {}, 0, {}
local ready = '1' .. identity_of(info)

local function refusal(shard)
	if string.sub(found[shard] or '', 1, #ready) ~= ready then
		return 'n'
	end
	local leases = leases_at + 2 * shard - 1
	if redis.call('HEXISTS', K[leases], worker) == 0 then
		return redis.call('HEXISTS', K[leases + 1], worker) == 1 and 'x' or 'n'
	end
end

local i = 0
for shard = 1, n_shards do
	local refused = refusal(shard)
	local leases = K[leases_at + 2 * shard - 1]
	for _ = 1, counts[shard] do
		i = i + 1
		local state = found[n_shards + i]
		local mark = marks ~= '' and string.sub(marks, i, i) or '-'
		if refused then
			verdicts[i] = refused
		elseif mark == 'd' then
			again[#again + 1] = {i, leases}
		elseif state then
			verdicts[i], details[i] = decide(i, K[n_shards + i], state, leases)
		elseif mark == 'l' then
			verdicts[i] = 's'
		else
			verdicts[i] = 'r'
			fresh[n_fresh + 1], fresh[n_fresh + 2] = K[n_shards + i], A[4 + i]
			n_fresh = n_fresh + 2
		end
	end
end
if n_fresh > 0 then
	redis.call('MSET', unpack(fresh, 1, n_fresh))
end

-- Further records of a key see what the first one did.
for _, entry in ipairs(again) do
	local at, key = entry[1], K[n_shards + entry[1]]
	local state = redis.call('GET', key)
	if state then
		verdicts[at], details[at] = decide(at, key, state, entry[2])
	elseif is_late(split(A[4 + at])) then
		verdicts[at] = 's'
	else
		redis.call('SET', key, A[4 + at])
		verdicts[at] = 'r'
	end
end

local answer = {time_ms(), table.concat(verdicts)}
for at = 1, n do
	if details[at] then
		answer[#answer + 1] = details[at]
	end
end
return answer
