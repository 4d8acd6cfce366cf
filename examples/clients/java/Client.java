// SPDX-License-Identifier: Apache-2.0
//
// Purpose: publishes one task in Avro and one in JSON, and awaits both results. Kafka is all that it needs of Millrace.
//
// How to run, with `millrace dev --kafka` (its embedded broker is too old for this library) or any other worker that has the activity:
//
//     mvn -q dependency:copy-dependencies
//     java -cp 'target/dependency/*' Client.java --id hello-1 --type greet --input '"Ada"'
//
// Expected output:
//
//     avro hello-1/greet%2Favro COMPLETED "Hello, Ada"
//     json hello-1/greet%2Fjson COMPLETED "Hello, Ada"
//
// Exit status: 0 both completed, 1 one of them did not, 2 wrong usage, 5 no result in time, 6 Kafka cannot be reached.

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.generic.GenericRecordBuilder;
import org.apache.avro.message.BinaryMessageDecoder;
import org.apache.avro.message.BinaryMessageEncoder;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public final class Client {
    private static final ObjectMapper JSON = new ObjectMapper();

    /** Status, and what the activity returned or why it failed. */
    private record Result(String status, String outcome) {}

    /** What identifies the task in every record: both ids, with % and / percent-encoded in each. */
    static String taskKey(String workflowId, String activityId) {
        return encode(workflowId) + "/" + encode(activityId);
    }

    private static String encode(String id) {
        return id.replace("%", "%25").replace("/", "%2F");
    }

    static byte[] jsonTask(String workflowId, String activityId, String type, JsonNode input) {
        Map<String, Object> task = Map.of(
            "activity_type", type, "workflow_id", workflowId, "activity_id", activityId, "input", input,
            "start_to_close_timeout_ms", 10000, "retry_policy", Map.of("maximum_attempts", 3));
        return JSON.valueToTree(task).toString().getBytes(StandardCharsets.UTF_8);
    }

    static byte[] avroTask(Schema schema, String workflowId, String activityId, String type, JsonNode input) throws IOException {
        Schema policy = schema.getField("retry_policy").schema().getTypes().get(1);
        GenericRecord task = new GenericRecordBuilder(schema)
            .set("activity_type", type)
            .set("workflow_id", workflowId)
            .set("activity_id", activityId)
            .set("input", ByteBuffer.wrap(input.toString().getBytes(StandardCharsets.UTF_8)))
            .set("content_type", "application/json")
            .set("start_to_close_timeout_ms", 10000L)
            .set("retry_policy", new GenericRecordBuilder(policy).set("maximum_attempts", 3L).build())
            .build();
        return bytes(new BinaryMessageEncoder<GenericRecord>(GenericData.get(), schema).encode(task));
    }

    /** A result in either encoding. */
    static Result decode(BinaryMessageDecoder<GenericRecord> decoder, byte[] value) throws IOException {
        if (value[0] == '{') {
            JsonNode result = JSON.readTree(value);
            JsonNode failure = result.get("failure");
            String why = failure == null ? null : failure.path("type").asText() + ": " + failure.path("message").asText();
            return new Result(result.get("status").asText(), why == null ? String.valueOf(result.get("result")) : why);
        }
        GenericRecord result = decoder.decode(value);
        GenericRecord failure = (GenericRecord) result.get("failure");
        String status = result.get("status").toString();
        if (failure != null) return new Result(status, failure.get("type") + ": " + failure.get("message"));
        ByteBuffer payload = (ByteBuffer) result.get("result"); // content_type says that it is JSON
        return new Result(status, payload == null ? "null" : new String(bytes(payload), StandardCharsets.UTF_8));
    }

    private static byte[] bytes(ByteBuffer buffer) {
        byte[] copy = new byte[buffer.remaining()];
        buffer.duplicate().get(copy);
        return copy;
    }

    /** A consumer of the results from where they end now, which must be before the tasks are published. */
    static KafkaConsumer<byte[], byte[]> readFromEnd(String brokers, String topic) {
        // A topic that the broker made by itself would keep its number of partitions for ever.
        Map<String, Object> properties = Map.of("bootstrap.servers", brokers, "default.api.timeout.ms", 5000, "request.timeout.ms", 5000,
            "allow.auto.create.topics", false);
        var consumer = new KafkaConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        List<TopicPartition> places = consumer.partitionsFor(topic).stream()
            .map(each -> new TopicPartition(topic, each.partition())).toList();
        if (places.isEmpty()) throw new IllegalArgumentException("there is no topic " + topic + "; `millrace setup` makes it (see --prefix)");
        consumer.assign(places);
        consumer.seekToEnd(places);
        places.forEach(consumer::position); // seekToEnd is lazy, position is not
        return consumer;
    }

    /** Returns when Kafka has acknowledged all of them. */
    static void publish(String brokers, String topic, Map<String, byte[]> tasks) throws ExecutionException, InterruptedException {
        Map<String, Object> properties = Map.of("bootstrap.servers", brokers);
        try (var producer = new KafkaProducer<>(properties, new ByteArraySerializer(), new ByteArraySerializer())) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            tasks.forEach((key, value) ->
                sent.add(producer.send(new ProducerRecord<>(topic, key.getBytes(StandardCharsets.UTF_8), value))));
            for (Future<RecordMetadata> each : sent) each.get();
        }
    }

    /** The results by task key: the first one counts, further ones are copies. Those that did not come in time are missing. */
    static Map<String, Result> await(
            KafkaConsumer<byte[], byte[]> consumer, Iterable<String> keys, Schema schema, Duration wait) throws IOException {
        var decoder = new BinaryMessageDecoder<GenericRecord>(GenericData.get(), schema);
        Map<String, Result> found = new HashMap<>();
        keys.forEach(key -> found.put(key, null));
        Instant end = Instant.now().plus(wait);
        while (found.containsValue(null) && Instant.now().isBefore(end)) {
            for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(200))) {
                String key = record.key() == null ? null : new String(record.key(), StandardCharsets.UTF_8);
                if (found.containsKey(key) && found.get(key) == null) found.put(key, decode(decoder, record.value()));
            }
        }
        return found;
    }

    private static Map<String, String> options(String[] words) {
        Map<String, String> options = new HashMap<>(Map.of(
            "--brokers", System.getenv().getOrDefault("MILLRACE_BROKERS", "127.0.0.1:9092"),
            "--prefix", System.getenv().getOrDefault("MILLRACE_PREFIX", "millrace."),
            "--queue", System.getenv().getOrDefault("MILLRACE_QUEUE", "default"),
            "--id", "hello-" + UUID.randomUUID(), "--type", "greet", "--input", "\"Ada\"",
            "--wait", "30", "--schemas", "../../../schemas"));
        for (int i = 0; i < words.length; i += 2) {
            if (!options.containsKey(words[i]) || i + 1 == words.length) {
                throw new IllegalArgumentException(words[i] + ": options are " + options.keySet() + ", each with a value");
            }
            options.put(words[i], words[i + 1]);
        }
        return options;
    }

    static int run(Map<String, String> options) throws IOException, ExecutionException, InterruptedException {
        String id = options.get("--id"), type = options.get("--type"), prefix = options.get("--prefix");
        String avroKey = taskKey(id, type + "/avro"), jsonKey = taskKey(id, type + "/json");
        JsonNode input = JSON.readTree(options.get("--input"));
        Schema taskSchema = new Schema.Parser().parse(new File(options.get("--schemas"), "task.avsc"));
        Schema resultSchema = new Schema.Parser().parse(new File(options.get("--schemas"), "result.avsc"));

        try (var consumer = readFromEnd(options.get("--brokers"), prefix + "results")) {
            publish(options.get("--brokers"), prefix + "tasks." + options.get("--queue"), Map.of(
                avroKey, avroTask(taskSchema, id, type + "/avro", type, input),
                jsonKey, jsonTask(id, type + "/json", type, input)));
            var found = await(consumer, List.of(avroKey, jsonKey), resultSchema, Duration.ofSeconds(Long.parseLong(options.get("--wait"))));
            for (String key : List.of(avroKey, jsonKey)) {
                Result result = found.get(key);
                if (result == null) {
                    System.err.println("Client: no result of " + key + " in time; does a worker of " + options.get("--queue") + " run?");
                    return 5;
                }
                System.out.println((key.equals(avroKey) ? "avro " : "json ") + key + " " + result.status() + " " + result.outcome());
            }
            return found.values().stream().allMatch(each -> each.status().equals("COMPLETED")) ? 0 : 1;
        }
    }

    public static void main(String[] words) throws Exception {
        int code = 2;
        try {
            code = run(options(words));
        } catch (IllegalArgumentException | JsonProcessingException error) {
            System.err.println("Client: " + error.getMessage());
        } catch (KafkaException | ExecutionException error) {
            System.err.println("Client: Kafka (--brokers, MILLRACE_BROKERS): " + error.getMessage());
            code = 6;
        }
        System.exit(code);
    }
}
