// SPDX-License-Identifier: Apache-2.0
// A peer: BullMQ with its defaults (completed jobs are kept), concurrency 100. Prints one JSON object.
//
//   node bull.mjs add PORT JOBS                          in bulks of 500
//   node bull.mjs drain PORT JOBS                        from the first completed job to the last
//   node bull.mjs work PORT                              until SIGTERM; prints "ready" first
//   node bull.mjs latency PORT PER_S SECONDS WARM_UP_S   from the due time of an add to its `completed` event, in ms
import {Queue, QueueEvents, Worker} from 'bullmq';

const NAME = 'bench';
const CONCURRENCY = 100;
const data = {input: 'x'.repeat(140)};
const [mode, port, ...numbers] = process.argv.slice(2);
const connection = {host: '127.0.0.1', port: Number(port), maxRetriesPerRequest: null};

const id = (number) => `task-${String(number).padStart(8, '0')}`;
const nowMs = () => Number(process.hrtime.bigint()) / 1e6;

function startWorker() {
	return new Worker(NAME, async (job) => job.data.input, {connection, concurrency: CONCURRENCY});
}

async function add(jobs) {
	const queue = new Queue(NAME, {connection});
	const began = nowMs();
	for (let next = 0; next < jobs; ) {
		const bulk = [];
		for (; bulk.length < 500 && next < jobs; next++) bulk.push({name: 'noop', data, opts: {jobId: id(next)}});
		await queue.addBulk(bulk);
	}
	const took = nowMs() - began;
	await queue.close();
	return {n: jobs, per_s: (jobs / took) * 1000};
}

async function drain(jobs) {
	const worker = startWorker();
	let done = 0;
	let first = 0;
	const took = await new Promise((resolve) => {
		worker.on('completed', () => {
			if (done++ === 0) first = nowMs();
			if (done === jobs) resolve(nowMs() - first);
		});
	});
	const {user, system} = process.cpuUsage();
	await worker.close();
	return {n: jobs, per_s: ((jobs - 1) / took) * 1000, cpu_us: (user + system) / jobs};
}

async function work() {
	const worker = startWorker();
	await worker.waitUntilReady();
	console.log('ready');
	await new Promise((resolve) => process.once('SIGTERM', resolve));
	await worker.close();
}

// Node's timers have 1 ms: what comes due meanwhile is added together. To spin instead would take a core from Redis.
function pause(ms) {
	return new Promise((resolve) => setTimeout(resolve, ms));
}

async function latency(perS, seconds, warmUpS) {
	const queue = new Queue(NAME, {connection});
	const events = new QueueEvents(NAME, {connection});
	await events.waitUntilReady();
	const due = new Map();
	const total = (warmUpS + seconds) * perS;
	const took = [];
	let failed = null;
	events.on('completed', ({jobId}) => {
		const {at, counts} = due.get(jobId);
		due.delete(jobId);
		if (counts) took.push(nowMs() - at);
	});
	events.on('failed', ({jobId, failedReason}) => (failed = new Error(`${jobId}: ${failedReason}`)));

	const began = nowMs();
	for (let number = 0; number < total; number++) {
		const at = began + (number * 1000) / perS;
		while (at > nowMs()) await pause(at - nowMs());
		due.set(id(number), {at, counts: number >= warmUpS * perS});
		queue.add('noop', data, {jobId: id(number)}).catch((error) => (failed = error));
	}
	const giveUp = nowMs() + 30000;
	while (due.size > 0 && !failed && nowMs() < giveUp) await pause(10);
	await events.close();
	await queue.close();
	if (failed || due.size > 0) throw failed ?? new Error(`${due.size} results are missing`);
	took.sort((a, b) => a - b);
	return {n: took.length, p50: took[took.length >> 1], p99: took[Math.floor(took.length * 0.99)], max: took[took.length - 1]};
}

const modes = {add, drain, work, latency};
if (!Object.hasOwn(modes, mode)) {
	console.error('usage: bull.mjs add|drain|work|latency PORT NUMBER...');
	process.exit(2);
}
const figures = await modes[mode](...numbers.map(Number));
if (figures) console.log(JSON.stringify(figures));
