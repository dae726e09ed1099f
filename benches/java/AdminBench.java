import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AdminClientConfig;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsSpec;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.TopicPartition;

/**
 * What a refresh of the watcher reads, by the official client: groups, their members and commits, and start, end and
 * last stable offset of every partition. Requests that do not need each other's answers run side by side.
 *
 * AdminBench BOOTSTRAP ROUNDS PAUSE_MS; one line of JSON a round, then one with the memory.
 */
public final class AdminBench {
    public static void main(String[] args) throws Exception {
        Properties properties = new Properties();
        properties.put(AdminClientConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
        properties.put(AdminClientConfig.REQUEST_TIMEOUT_MS_CONFIG, 300_000);
        properties.put(AdminClientConfig.DEFAULT_API_TIMEOUT_MS_CONFIG, 300_000);
        try (Admin admin = Admin.create(properties)) {
            for (int round = Integer.parseInt(args[1]); round > 0; round--) {
                round(admin);
                Thread.sleep(Long.parseLong(args[2]));
            }
        }
        String peak = Files.readAllLines(Path.of("/proc/self/status")).stream()
            .filter(line -> line.startsWith("VmHWM:")).findFirst().orElseThrow().replaceAll("[^0-9]", "");
        System.out.printf("{\"memory\":{\"peak_kib\":%s}}%n", peak);
    }

    private static void round(Admin admin) throws Exception {
        long wall = System.nanoTime();
        long cpu = cpuNanos();
        double requests = metric(admin, "request-total");
        double bytes = metric(admin, "incoming-byte-total");

        List<String> classic = new ArrayList<>();
        List<String> consumer = new ArrayList<>();
        var topicNames = admin.listTopics().names();
        for (GroupListing group : admin.listGroups().all().get()) {
            boolean isClassic = group.type().orElse(GroupType.CLASSIC) == GroupType.CLASSIC;
            (isClassic ? classic : consumer).add(group.groupId());
        }
        Map<String, ListConsumerGroupOffsetsSpec> all = new HashMap<>();
        classic.forEach(group -> all.put(group, new ListConsumerGroupOffsetsSpec()));
        consumer.forEach(group -> all.put(group, new ListConsumerGroupOffsetsSpec()));
        var classicDescriptions = admin.describeClassicGroups(classic).all();
        var consumerDescriptions = admin.describeConsumerGroups(consumer).all();
        var commits = admin.listConsumerGroupOffsets(all).all();
        var topics = admin.describeTopics(topicNames.get()).allTopicNames();

        long members = 0;
        for (var description : classicDescriptions.get().values()) {
            members += description.members().size();
        }
        for (var description : consumerDescriptions.get().values()) {
            members += description.members().size();
        }
        Map<String, Map<TopicPartition, OffsetAndMetadata>> committed = commits.get();
        Map<TopicPartition, OffsetSpec> start = new HashMap<>();
        Map<TopicPartition, OffsetSpec> end = new HashMap<>();
        for (TopicDescription topic : topics.get().values()) {
            topic.partitions().forEach(partition -> {
                TopicPartition place = new TopicPartition(topic.name(), partition.partition());
                start.put(place, OffsetSpec.earliest());
                end.put(place, OffsetSpec.latest());
            });
        }
        var starts = admin.listOffsets(start).all();
        var stable = admin.listOffsets(end, new ListOffsetsOptions(IsolationLevel.READ_COMMITTED)).all();
        var ends = admin.listOffsets(end).all().get();
        starts.get();
        stable.get();

        long places = 0;
        long lag = 0;
        for (var offsets : committed.values()) {
            for (var commit : offsets.entrySet()) {
                places++;
                var log = ends.get(commit.getKey());
                if (log != null) {
                    lag += log.offset() - commit.getValue().offset();
                }
            }
        }
        Map<String, Object> result = new TreeMap<>();
        result.put("wall", (System.nanoTime() - wall) / 1e9);
        result.put("cpu", (cpuNanos() - cpu) / 1e9);
        result.put("requests", (long) (metric(admin, "request-total") - requests));
        result.put("bytes", (long) (metric(admin, "incoming-byte-total") - bytes));
        result.put("groups", committed.size());
        result.put("members", members);
        result.put("group_partitions", places);
        result.put("partitions", end.size());
        result.put("lag_sum", lag);
        List<String> fields = new ArrayList<>();
        result.forEach((name, value) -> fields.add("\"" + name + "\":" + value));
        System.out.println("{\"refresh\":{" + String.join(",", fields) + "}}");
    }

    private static long cpuNanos() {
        var system = (com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        return system.getProcessCpuTime();
    }

    private static double metric(Admin admin, String name) {
        return admin.metrics().entrySet().stream()
            .filter(m -> m.getKey().name().equals(name) && m.getKey().group().equals("admin-client-metrics"))
            .mapToDouble(m -> ((Number) m.getValue().metricValue()).doubleValue())
            .sum();
    }
}
