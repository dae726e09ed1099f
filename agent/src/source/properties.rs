//! The consumer's properties: the user's, and those that Tapline must own to keep its promises.

use std::collections::BTreeMap;

use checks::limits::Limits;
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;

use crate::config::Config;

/// A property that the user's configuration cannot set, and why.
pub struct Owned {
    /// Its name.
    pub name: &'static str,
    /// Why it is not the user's to set.
    pub reason: &'static str,
}

/// Properties that Tapline sets itself. A user's value is overridden with a warning.
pub const OWNED: &[Owned] = &[
    Owned {
        name: "group.id",
        reason: "the agent's own group (agent.group), so that no other group's offsets are touched",
    },
    Owned { name: "group.instance.id", reason: "two agents of one instance id would fence each other" },
    Owned { name: "group.protocol", reason: "the classic protocol, which every broker speaks" },
    Owned { name: "group.protocol.type", reason: "the consumer protocol" },
    Owned { name: "group.remote.assignor", reason: "belongs to another group protocol" },
    Owned {
        name: "partition.assignment.strategy",
        reason: "cooperative-sticky: partitions that stay are never interrupted",
    },
    Owned {
        name: "enable.auto.commit",
        reason: "positions are committed after the collector acknowledged them",
    },
    Owned {
        name: "auto.commit.enable",
        reason: "positions are committed after the collector acknowledged them",
    },
    Owned {
        name: "auto.commit.interval.ms",
        reason: "positions are committed after the collector acknowledged them",
    },
    Owned {
        name: "enable.auto.offset.store",
        reason: "positions are committed after the collector acknowledged them",
    },
    Owned {
        name: "auto.offset.reset",
        reason: "where to read is decided by the agent, which counts what it passes over",
    },
    Owned { name: "allow.auto.create.topics", reason: "an observer creates no topics" },
    Owned { name: "isolation.level", reason: "read_committed: aborted records are not records" },
    Owned { name: "enable.partition.eof", reason: "ends are looked up" },
    Owned {
        name: "statistics.interval.ms",
        reason: "ends behind control records are taken from the statistics",
    },
    Owned { name: "queued.max.messages.kbytes", reason: "bounded by limits.agent_memory" },
    Owned { name: "queued.min.messages", reason: "bounded by limits.agent_memory" },
    Owned { name: "fetch.message.max.bytes", reason: "bounded by limits.agent_memory" },
    Owned { name: "max.partition.fetch.bytes", reason: "bounded by limits.agent_memory" },
    Owned { name: "fetch.max.bytes", reason: "bounded by limits.agent_memory" },
    Owned { name: "receive.message.max.bytes", reason: "bounded by limits.batch" },
    Owned { name: "fetch.queue.backoff.ms", reason: "belongs to the bounds above" },
];

/// The properties of one of the agent's consumers, and warnings about those that were overridden.
pub fn of_consumer(config: &Config) -> (BTreeMap<String, String>, Vec<String>) {
    let mut warnings = Vec::new();
    let mut properties = config.properties.clone();
    for owned in OWNED {
        if properties.remove(owned.name).is_some() {
            warnings.push(format!("the Kafka property {} is ignored: {}", owned.name, owned.reason));
        }
    }
    // Defaults that a user may change.
    for (name, value) in [
        ("client.id", "tapline-agent".to_owned()),
        // After a crash the group waits this long before it gives the partitions away.
        ("session.timeout.ms", "10000".to_owned()),
        ("heartbeat.interval.ms", "3000".to_owned()),
        ("topic.metadata.refresh.interval.ms", config.discover_every_ms.clamp(1_000, 300_000).to_string()),
        ("reconnect.backoff.max.ms", "2000".to_owned()),
        ("socket.keepalive.enable", "true".to_owned()),
        ("log.connection.close", "false".to_owned()),
    ] {
        properties.entry(name.to_owned()).or_insert(value);
    }
    let bounds = Bounds::of(&config.limits, config.threads);
    for (name, value) in [
        ("group.id", config.group.clone()),
        ("partition.assignment.strategy", "cooperative-sticky".to_owned()),
        ("enable.auto.commit", "false".to_owned()),
        ("enable.auto.offset.store", "false".to_owned()),
        ("auto.offset.reset", "error".to_owned()),
        ("allow.auto.create.topics", "false".to_owned()),
        ("isolation.level", "read_committed".to_owned()),
        ("statistics.interval.ms", "3000".to_owned()),
        ("queued.max.messages.kbytes", bounds.queue_kbytes.to_string()),
        ("fetch.message.max.bytes", bounds.partition_fetch_bytes.to_string()),
        ("fetch.max.bytes", bounds.fetch_bytes.to_string()),
        ("receive.message.max.bytes", bounds.receive_bytes.to_string()),
        ("fetch.queue.backoff.ms", "100".to_owned()),
    ] {
        properties.insert(name.to_owned(), value);
    }
    (properties, warnings)
}

/// What the client may hold of fetched records.
struct Bounds {
    queue_kbytes: usize,
    partition_fetch_bytes: usize,
    fetch_bytes: usize,
    receive_bytes: usize,
}

impl Bounds {
    /// An eighth of the agent's memory for records that wait, shared by its consumers, and a
    /// thirty-second for each answer on its way. A single batch is fetched whole however large it
    /// is (KIP-74), up to what may be received at all.
    fn of(limits: &Limits, threads: usize) -> Self {
        let share = limits.agent_memory_bytes / threads.max(1);
        let partition_fetch_bytes = (share / 128).clamp(64 << 10, 1 << 20);
        let fetch_bytes = (share / 32).clamp(partition_fetch_bytes, 512 << 20);
        Self {
            queue_kbytes: (share / 8 / 1024).clamp(1_024, 2_097_151),
            partition_fetch_bytes,
            fetch_bytes,
            receive_bytes: limits.batch_bytes.max(fetch_bytes).clamp(1 << 20, 1 << 30) + (1 << 20),
        }
    }
}

/// What the client says of a configuration, without the value: it may be a password.
pub(crate) fn told(error: &KafkaError) -> String {
    match error {
        KafkaError::ClientConfig(_, description, name, _) if description.contains(name) => {
            description.clone()
        }
        KafkaError::ClientConfig(_, description, name, _) => format!("{name}: {description}"),
        other => other.to_string(),
    }
}

/// The client's configuration.
pub(crate) fn client_config(properties: &BTreeMap<String, String>) -> ClientConfig {
    let mut client = ClientConfig::new();
    for (name, value) in properties {
        client.set(name, value);
    }
    client
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::config;

    #[test]
    fn what_the_promises_rest_on_cannot_be_overridden() {
        let mut config = config("broker:9092", "agent");
        for (name, value) in [
            ("enable.auto.commit", "true"),
            ("allow.auto.create.topics", "true"),
            ("group.id", "theirs"),
            ("sasl.password", "secret-42"),
        ] {
            config.properties.insert(name.into(), value.into());
        }
        let (properties, warnings) = of_consumer(&config);
        assert_eq!(properties["enable.auto.commit"], "false");
        assert_eq!(properties["allow.auto.create.topics"], "false");
        assert_eq!(properties["group.id"], "agent");
        assert_eq!(properties["sasl.password"], "secret-42", "what is the user's stays");
        assert_eq!(warnings.len(), 3, "{warnings:?}");
        assert!(warnings.iter().any(|w| w.contains("enable.auto.commit") && w.contains("acknowledged")));
        assert!(!warnings.iter().any(|w| w.contains("secret")));
    }

    #[test]
    fn the_client_accepts_them_whatever_the_limits() {
        for memory in [0, 1 << 20, 256 << 20, usize::MAX / 2] {
            let mut config = config("broker:9092", "agent");
            config.limits.agent_memory_bytes = memory;
            config.threads = 3;
            let (properties, _) = of_consumer(&config);
            client_config(&properties).create_native_config().expect("valid properties");
            let number = |name: &str| properties[name].parse::<usize>().expect("a number");
            assert!(number("receive.message.max.bytes") >= number("fetch.max.bytes") + 512);
            assert!(number("fetch.max.bytes") >= number("fetch.message.max.bytes"));
        }
    }
}
