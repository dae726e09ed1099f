//! What topics are configured to do, as far as it says how to read their figures.

use std::collections::BTreeMap;

use kafka_protocol::messages::DescribeConfigsRequest;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;

use super::text;
use crate::cluster::snapshot::CleanupPolicy;
use crate::cluster::wire::{Connection, WireError};

/// Kafka's number for topics among the things that have a configuration.
const TOPIC: i8 = 2;

/// The configuration of a topic; what a broker does not know, or says in words that we do not
/// know, is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TopicConfig {
    pub(crate) cleanup: Option<CleanupPolicy>,
    /// `min.insync.replicas`
    pub(crate) in_sync_min: Option<u32>,
    /// `remote.storage.enable` (KIP-405): a part of the log is elsewhere.
    pub(crate) tiered: bool,
}

/// Configurations, or codes, by topic. Needs DESCRIBE_CONFIGS on each topic.
pub(crate) async fn topic_configs(
    connection: &Connection,
    topics: &[String],
) -> Result<BTreeMap<String, Result<TopicConfig, i16>>, WireError> {
    let keys = ["cleanup.policy", "min.insync.replicas", "remote.storage.enable"];
    let resources = topics.iter().map(|topic| {
        DescribeConfigsResource::default()
            .with_resource_type(TOPIC)
            .with_resource_name(text(topic))
            .with_configuration_keys(Some(keys.iter().map(|key| text(key)).collect()))
    });
    let request = DescribeConfigsRequest::default().with_resources(resources.collect());
    let answer = connection.call(&request).await?;
    let mut configs = BTreeMap::new();
    for result in answer.results.into_iter().filter(|r| r.resource_type == TOPIC) {
        let config = match result.error_code {
            0 => Ok(read(
                result.configs.iter().filter_map(|c| Some((c.name.as_str(), c.value.as_ref()?.as_str()))),
            )),
            code => Err(code),
        };
        configs.insert(result.resource_name.to_string(), config);
    }
    Ok(configs)
}

fn read<'a>(entries: impl Iterator<Item = (&'a str, &'a str)>) -> TopicConfig {
    let mut config = TopicConfig::default();
    for (name, value) in entries {
        match name {
            "cleanup.policy" => config.cleanup = cleanup(value),
            "min.insync.replicas" => config.in_sync_min = value.trim().parse().ok(),
            "remote.storage.enable" => config.tiered = value.trim() == "true",
            _ => {}
        }
    }
    config
}

/// A list in any order; an empty one keeps everything (KIP-1211).
fn cleanup(value: &str) -> Option<CleanupPolicy> {
    let (mut compact, mut delete) = (false, false);
    for word in value.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        match word {
            "compact" => compact = true,
            "delete" => delete = true,
            _ => return None,
        }
    }
    Some(match (compact, delete) {
        (true, true) => CleanupPolicy::CompactDelete,
        (true, false) => CleanupPolicy::Compact,
        (false, true) => CleanupPolicy::Delete,
        (false, false) => CleanupPolicy::Keep,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_are_read_and_what_is_not_understood_is_unknown() {
        let all = [("cleanup.policy", "delete,compact"), ("min.insync.replicas", "2"), ("other", "x")];
        let config = read(all.into_iter());
        assert_eq!(config.cleanup, Some(CleanupPolicy::CompactDelete));
        assert_eq!((config.in_sync_min, config.tiered), (Some(2), false));
        assert_eq!(cleanup("compact"), Some(CleanupPolicy::Compact));
        assert_eq!(cleanup(" delete "), Some(CleanupPolicy::Delete));
        assert_eq!(cleanup(""), Some(CleanupPolicy::Keep));
        assert_eq!(cleanup("compact,magic"), None);
        let odd = read([("min.insync.replicas", "-1"), ("remote.storage.enable", "true")].into_iter());
        assert_eq!(odd, TopicConfig { cleanup: None, in_sync_min: None, tiered: true });
    }
}
