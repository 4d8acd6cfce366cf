#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
//
// Purpose: publishes one task in Avro and one in JSON, and awaits both results. Kafka is all that it needs of Millrace.
//
// How to run, with `millrace dev` or any other worker that has the activity:
//
//     npm install
//     node client.js --id hello-1 --type greet --input '"Ada"'
//
// Expected output:
//
//     avro hello-1/greet%2Favro COMPLETED "Hello, Ada"
//     json hello-1/greet%2Fjson COMPLETED "Hello, Ada"
//
// Exit status: 0 both completed, 1 one of them did not, 2 wrong usage, 5 no result in time, 6 Kafka cannot be reached.
'use strict';

const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { parseArgs } = require('node:util');
const avro = require('avsc');
const { Kafka, Partitioners, logLevel } = require('kafkajs');

// Avro single-object encoding: C3 01, the CRC-64-AVRO fingerprint of the schema, the body.
class Codec {
  constructor(name) {
    const text = fs.readFileSync(path.join(__dirname, '../../../schemas', `${name}.avsc`), 'utf8');
    this.type = avro.Type.forSchema(JSON.parse(text), { wrapUnions: false });
    this.head = Buffer.concat([Buffer.from([0xc3, 0x01]), crc64(this.type.schema())]);
  }

  encode(fields) {
    return Buffer.concat([this.head, this.type.toBuffer(fields)]);
  }

  decode(value) {
    if (!value.subarray(0, 10).equals(this.head)) throw new Error(`written with another schema: ${value.toString('hex', 0, 10)}`);
    return this.type.fromBuffer(value.subarray(10));
  }
}

// CRC-64-AVRO of a schema in parsing canonical form, as it stands on the wire (little-endian).
function crc64(canonical) {
  const empty = 0xc15d213aa4d7a795n;
  let sum = empty;
  for (const byte of Buffer.from(JSON.stringify(canonical))) {
    let shifted = (sum ^ BigInt(byte)) & 0xffn;
    for (let bit = 0; bit < 8; bit++) shifted = (shifted >> 1n) ^ (shifted & 1n ? empty : 0n);
    sum = (sum >> 8n) ^ shifted;
  }
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(sum);
  return bytes;
}

// What identifies the task in every record: both ids, with % and / percent-encoded in each.
function taskKey(workflowId, activityId) {
  return [workflowId, activityId].map((id) => id.replace(/%/g, '%25').replace(/\//g, '%2F')).join('/');
}

// A result in either encoding, with what the activity returned as a value of JavaScript.
function decodeResult(codec, value) {
  if (value[0] === '{'.charCodeAt(0)) return JSON.parse(value);
  const fields = { ...codec.decode(value) };
  if (fields.result) fields.result = JSON.parse(fields.result); // content_type says that it is JSON
  return fields;
}

// Begins to read the results topic where it ends now, which must be before the tasks are published. Returns {received, stop};
// `received` is a promise of {task key: its result}: the first one counts, further ones are copies.
async function awaitResults(kafka, topic, keys, waitMs, codec) {
  const admin = kafka.admin();
  await admin.connect();
  const ends = await admin.fetchTopicOffsets(topic);
  await admin.disconnect();
  const consumer = kafka.consumer({ groupId: `millrace-example-${crypto.randomUUID()}` });
  await consumer.connect();
  await consumer.subscribe({ topic });
  const found = {};
  const received = new Promise((resolve, reject) => {
    setTimeout(() => resolve(found), waitMs).unref();
    consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error));
    consumer
      .run({
        autoCommit: false,
        eachMessage: async ({ message }) => {
          const key = message.key?.toString();
          if (keys.includes(key) && !found[key]) found[key] = decodeResult(codec, message.value);
          if (Object.keys(found).length === keys.length) resolve(found);
        },
      })
      .catch(reject);
    for (const { partition, offset } of ends) consumer.seek({ topic, partition, offset });
  });
  return { received, stop: () => consumer.disconnect() };
}

async function main(options) {
  const kafka = new Kafka({ brokers: options.brokers.split(','), logLevel: logLevel.NOTHING, retry: { retries: 3 } });
  const ids = (encoding) => ({ workflow_id: options.id, activity_id: `${options.type}/${encoding}` });
  const [avroKey, jsonKey] = ['avro', 'json'].map((encoding) => taskKey(options.id, `${options.type}/${encoding}`));
  const policy = { activity_type: options.type, start_to_close_timeout_ms: 10000 };
  const retries = { maximum_attempts: 3 };
  const bytes = { input: Buffer.from(options.input), content_type: 'application/json' };
  const avroTask = new Codec('task').encode({ ...policy, ...ids('avro'), ...bytes, retry_policy: retries });
  const jsonTask = JSON.stringify({ ...policy, ...ids('json'), input: JSON.parse(options.input), retry_policy: retries });

  const waitMs = Number(options.wait) * 1000;
  const results = await awaitResults(kafka, `${options.prefix}results`, [avroKey, jsonKey], waitMs, new Codec('result'));
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });
  await producer.connect();
  const messages = [{ key: avroKey, value: avroTask }, { key: jsonKey, value: jsonTask }];
  await producer.send({ topic: `${options.prefix}tasks.${options.queue}`, acks: -1, messages });
  await producer.disconnect();

  const found = await results.received;
  await results.stop();
  for (const [encoding, key] of [['avro', avroKey], ['json', jsonKey]]) {
    const result = found[key];
    if (!result) {
      console.error(`client.js: no result of ${key} after ${options.wait} s; does a worker of ${options.queue} run?`);
      return 5;
    }
    const { failure, status } = result;
    console.log(encoding, key, status, failure ? `${failure.type}: ${failure.message}` : JSON.stringify(result.result));
  }
  return Object.values(found).every((result) => result.status === 'COMPLETED') ? 0 : 1;
}

function usage(error) {
  console.error(`client.js: ${error.message}
usage: client.js [--brokers HOST:PORT,...] [--prefix PREFIX] [--queue QUEUE] [--id ID] [--type TYPE] [--input JSON] [--wait SECONDS]`);
  process.exit(2);
}

function parseOptions() {
  const defaults = {
    brokers: process.env.MILLRACE_BROKERS ?? '127.0.0.1:9092',
    prefix: process.env.MILLRACE_PREFIX ?? 'millrace.',
    queue: process.env.MILLRACE_QUEUE ?? 'default',
    id: `hello-${crypto.randomBytes(4).toString('hex')}`, // the workflow id; the same one again: the stored results
    type: 'greet',
    input: '"Ada"',
    wait: '30',
  };
  const names = Object.keys(defaults).map((name) => [name, { type: 'string' }]);
  const options = { ...defaults, ...parseArgs({ options: Object.fromEntries(names) }).values };
  JSON.parse(options.input); // refused here where it is not JSON
  return options;
}

let options;
try {
  options = parseOptions();
} catch (error) {
  usage(error);
}
main(options).then(process.exit, (error) => {
  console.error(`client.js: Kafka (--brokers, MILLRACE_BROKERS): ${error.message}`);
  process.exit(6);
});
