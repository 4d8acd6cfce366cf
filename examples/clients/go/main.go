// SPDX-License-Identifier: Apache-2.0

// Purpose: publishes one task in Avro and one in JSON, and awaits both results. Kafka is all that it needs of Millrace.
//
// How to run, with `millrace dev` or any other worker that has the activity:
//
//	go run . --id hello-1 --type greet --input '"Ada"'
//
// Expected output:
//
//	avro hello-1/greet%2Favro COMPLETED "Hello, Ada"
//	json hello-1/greet%2Fjson COMPLETED "Hello, Ada"
//
// Exit status: 0 both completed, 1 one of them did not, 2 wrong usage, 5 no result in time, 6 Kafka cannot be reached.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hamba/avro/v2"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"
)

// codec is Avro single-object encoding: C3 01, the CRC-64-AVRO fingerprint of the schema, the body.
type codec struct {
	schema avro.Schema
	head   []byte
}

func newCodec(folder, name string) (*codec, error) {
	text, err := os.ReadFile(filepath.Join(folder, name+".avsc"))
	if err != nil {
		return nil, fmt.Errorf("--schemas: %w", err)
	}
	schema, err := avro.ParseWithCache(string(text), "", &avro.SchemaCache{}) // several files define a Failure
	if err != nil {
		return nil, err
	}
	sum, err := schema.FingerprintUsing(avro.CRC64Avro)
	if err != nil {
		return nil, err
	}
	head := []byte{0xc3, 0x01}
	for i := len(sum) - 1; i >= 0; i-- { // little-endian on the wire
		head = append(head, sum[i])
	}
	return &codec{schema, head}, nil
}

func (c *codec) encode(fields any) ([]byte, error) {
	body, err := avro.Marshal(c.schema, fields)
	return append(append([]byte{}, c.head...), body...), err
}

// result has the fields of schemas/result.avsc that are read here.
type result struct {
	Status  string           `json:"status" avro:"status"`
	Result  *json.RawMessage `json:"result" avro:"result"`
	Failure *struct {
		Type    *string `json:"type" avro:"type"`
		Message *string `json:"message" avro:"message"`
	} `json:"failure" avro:"failure"`
}

// decode reads a result in either encoding.
func (c *codec) decode(value []byte) (ret result, err error) {
	if bytes.HasPrefix(value, []byte("{")) {
		return ret, json.Unmarshal(value, &ret)
	}
	if !bytes.HasPrefix(value, c.head) {
		return ret, fmt.Errorf("a result was written with another schema: %x", value)
	}
	return ret, avro.Unmarshal(c.schema, value[len(c.head):], &ret)
}

// text is what an optional field says, which JSON may leave out.
func text(field *string) string {
	if field == nil {
		return ""
	}
	return *field
}

func (r result) String() string {
	if r.Failure != nil {
		return fmt.Sprintf("%s %s: %s", r.Status, text(r.Failure.Type), text(r.Failure.Message))
	}
	if r.Result == nil {
		return r.Status
	}
	return fmt.Sprintf("%s %s", r.Status, *r.Result) // content_type says that it is JSON
}

// taskKey is what identifies the task in every record: both ids, with % and / percent-encoded in each.
func taskKey(workflowID, activityID string) string {
	encode := strings.NewReplacer("%", "%25", "/", "%2F").Replace
	return encode(workflowID) + "/" + encode(activityID)
}

// connect returns a client that reads a topic from where it ends now, which must be before the tasks are published.
func connect(ctx context.Context, brokers []string, topic string) (*kgo.Client, error) {
	// The broker that `millrace dev` embeds speaks no newer versions; leave MaxVersions out where that one is not used.
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.RequestRetries(2), kgo.MaxVersions(kversion.V2_0_0()), kgo.FetchMaxWait(time.Second))
	if err != nil {
		return nil, err
	}
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", topic, err)
	}
	client.AddConsumePartitions(ends.KOffsets())
	return client, nil
}

// await returns the results by task key: the first one counts, further ones are copies. Where the time runs out some are missing.
func await(ctx context.Context, client *kgo.Client, keys []string, results *codec) (map[string]result, error) {
	found := map[string]result{}
	for len(found) < len(keys) {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); errors.Is(err, context.DeadlineExceeded) {
			break
		}
		for _, record := range fetches.Records() {
			for _, key := range keys {
				if _, known := found[key]; known || string(record.Key) != key {
					continue
				}
				decoded, err := results.decode(record.Value)
				if err != nil {
					return nil, err
				}
				found[key] = decoded
			}
		}
	}
	return found, nil
}

type options struct {
	brokers, prefix, queue, id, activity, input, schemas string
	wait                                                 time.Duration
}

func run(o options) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), o.wait)
	defer cancel()
	keys := []string{taskKey(o.id, o.activity+"/avro"), taskKey(o.id, o.activity+"/json")}
	tasks, err := newCodec(o.schemas, "task")
	if err != nil {
		return 2, err
	}
	results, err := newCodec(o.schemas, "result")
	if err != nil {
		return 2, err
	}
	policy := map[string]any{"maximum_attempts": int64(3)}
	task := map[string]any{"activity_type": o.activity, "workflow_id": o.id, "start_to_close_timeout_ms": int64(10000)}

	task["activity_id"], task["input"], task["retry_policy"] = o.activity+"/json", json.RawMessage(o.input), policy
	inJSON, err := json.Marshal(task)
	if err != nil {
		return 2, fmt.Errorf("--input: %w", err)
	}
	task["activity_id"], task["input"], task["content_type"] = o.activity+"/avro", []byte(o.input), "application/json"
	policy["non_retryable_error_types"] = []string{}
	task["retry_policy"] = map[string]any{"millrace.RetryPolicy": policy}
	inAvro, err := tasks.encode(task)
	if err != nil {
		return 2, err
	}

	client, err := connect(ctx, strings.Split(o.brokers, ","), o.prefix+"results")
	if err != nil {
		return 6, fmt.Errorf("Kafka (--brokers, MILLRACE_BROKERS): %w", err)
	}
	defer client.Close()
	queue := o.prefix + "tasks." + o.queue
	sent := client.ProduceSync(ctx, &kgo.Record{Topic: queue, Key: []byte(keys[0]), Value: inAvro},
		&kgo.Record{Topic: queue, Key: []byte(keys[1]), Value: inJSON})
	if err := sent.FirstErr(); err != nil {
		return 6, fmt.Errorf("%s: %w", queue, err)
	}

	found, err := await(ctx, client, keys, results)
	if err != nil {
		return 1, err
	}
	code := 0
	for i, encoding := range []string{"avro", "json"} {
		each, ok := found[keys[i]]
		if !ok {
			return 5, fmt.Errorf("no result of %s after %s; does a worker of %s run?", keys[i], o.wait, o.queue)
		}
		fmt.Println(encoding, keys[i], each)
		if each.Status != "COMPLETED" {
			code = 1
		}
	}
	return code, nil
}

func envOr(name, otherwise string) string {
	if value, ok := os.LookupEnv(name); ok {
		return value
	}
	return otherwise
}

func main() {
	var o options
	flag.StringVar(&o.brokers, "brokers", envOr("MILLRACE_BROKERS", "127.0.0.1:9092"), "Kafka, as `HOST:PORT,...`")
	flag.StringVar(&o.prefix, "prefix", envOr("MILLRACE_PREFIX", "millrace."), "what topics begin with")
	flag.StringVar(&o.queue, "queue", envOr("MILLRACE_QUEUE", "default"), "task queue")
	flag.StringVar(&o.id, "id", fmt.Sprintf("hello-%x", time.Now().UnixNano()), "workflow id; the same one again: the stored results")
	flag.StringVar(&o.activity, "type", "greet", "the activity")
	flag.StringVar(&o.input, "input", `"Ada"`, "its input, as `JSON`")
	flag.StringVar(&o.schemas, "schemas", "../../../schemas", "`folder` with the .avsc files")
	wait := flag.Float64("wait", 30, "seconds to wait for the results")
	flag.Parse()
	o.wait = time.Duration(*wait * float64(time.Second))
	code, err := run(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "client:", err)
	}
	os.Exit(code)
}
