// SPDX-License-Identifier: Apache-2.0

// Purpose: an order as plain code: four steps, each an activity that a worker runs and Millrace retries. The program has no state of
// its own: killed at any step and run again with the same order, it starts from the top, joins what still runs, and is answered with
// the stored results of what is done. Nothing is charged twice.
//
// How to run, with `millrace dev` and `order-services` (examples/README.md says how), or any worker that has these activities:
//
//	go run . order-17
//
// Expected output:
//
//	charge_card: {"receipt":"charge-order-17/charge_card"}
//	update_inventory: {"receipt":"reserve-order-17/update_inventory"}
//	send_confirmation: {"receipt":"mail-order-17/send_confirmation"}
//	arrange_shipment: {"receipt":"ship-order-17/arrange_shipment"}
//	Order order-17 is complete.
//
// Exit status: 0 complete, 1 a step failed for good, 2 wrong usage, 5 a step took too long, 6 Kafka cannot be reached.
// MILLRACE_BROKERS, MILLRACE_PREFIX and MILLRACE_QUEUE say where.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"
)

// order is the workflow. A step that fails for good returns an *ActivityError, which may be handled, for example to refund the card.
func order(ctx context.Context, w *workflow) error {
	for _, step := range []string{"charge_card", "update_inventory", "send_confirmation", "arrange_shipment"} {
		fmt.Print(step, ": ")
		result, err := w.executeActivity(ctx, step, map[string]string{"order": w.id}, step)
		if err != nil {
			return err
		}
		fmt.Println(string(result))
	}
	fmt.Printf("Order %s is complete.\n", w.id)
	return nil
}

// ActivityError says that an activity ended otherwise than COMPLETED.
type ActivityError struct {
	Key, Status, Type, Message string
}

func (e *ActivityError) Error() string {
	return fmt.Sprintf("%s: %s %s: %s", e.Key, e.Status, e.Type, e.Message)
}

type workflow struct {
	id, tasks string
	client    *kgo.Client
}

// newWorkflow reads results from where they end now: each task is published after this.
func newWorkflow(ctx context.Context, id, brokers, prefix, queue string) (*workflow, error) {
	// The broker that `millrace dev` embeds speaks no newer versions; leave MaxVersions out where that one is not used.
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(brokers, ",")...), kgo.RequestRetries(2),
		kgo.MaxVersions(kversion.V2_0_0()), kgo.FetchMaxWait(time.Second))
	if err != nil {
		return nil, err
	}
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, prefix+"results")
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, err
	}
	client.AddConsumePartitions(ends.KOffsets())
	return &workflow{id, prefix + "tasks." + queue, client}, nil
}

// executeActivity returns what the activity returned, as JSON. The task's key is WORKFLOW/ID, so the same call after a restart is the
// same task: it is not run again but joined, or answered with its stored result.
func (w *workflow) executeActivity(ctx context.Context, activity string, input any, id string) (json.RawMessage, error) {
	task, err := json.Marshal(map[string]any{"activity_type": activity, "workflow_id": w.id, "activity_id": id, "input": input,
		"start_to_close_timeout_ms": 10000})
	if err != nil {
		return nil, err
	}
	encode := strings.NewReplacer("%", "%25", "/", "%2F").Replace
	key := encode(w.id) + "/" + encode(id)
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := w.client.ProduceSync(ctx, &kgo.Record{Topic: w.tasks, Key: []byte(key), Value: task}).FirstErr(); err != nil {
		return nil, err
	}
	return w.awaitResult(ctx, key)
}

func (w *workflow) awaitResult(ctx context.Context, key string) (json.RawMessage, error) {
	for {
		fetches := w.client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("no result of %s: %w; does a worker of %s run?", key, ctx.Err(), w.tasks)
		}
		for _, record := range fetches.Records() {
			if string(record.Key) != key {
				continue
			}
			var result struct {
				Status  string
				Result  json.RawMessage
				Failure struct{ Type, Message string }
			}
			if err := json.Unmarshal(record.Value, &result); err != nil {
				return nil, err
			}
			if result.Status != "COMPLETED" {
				return nil, &ActivityError{key, result.Status, result.Failure.Type, result.Failure.Message}
			}
			return result.Result, nil
		}
	}
}

func envOr(name, otherwise string) string {
	if value, ok := os.LookupEnv(name); ok {
		return value
	}
	return otherwise
}

func run(id string) (int, error) {
	ctx := context.Background()
	w, err := newWorkflow(ctx, id, envOr("MILLRACE_BROKERS", "127.0.0.1:9092"), envOr("MILLRACE_PREFIX", "millrace."),
		envOr("MILLRACE_QUEUE", "default"))
	if err != nil {
		return 6, fmt.Errorf("Kafka (MILLRACE_BROKERS): %w", err)
	}
	defer w.client.Close()
	err = order(ctx, w)
	var failed *ActivityError
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &failed):
		return 1, err
	case errors.Is(err, context.DeadlineExceeded):
		return 5, err
	default:
		return 6, err
	}
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: order ORDER")
		os.Exit(2)
	}
	code, err := run(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "order:", err)
	}
	os.Exit(code)
}
