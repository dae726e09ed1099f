//! How large the logs are that a broker keeps.

use std::collections::BTreeMap;

use kafka_protocol::messages::DescribeLogDirsRequest;

use super::{Trouble, checked};
use crate::cluster::wire::Connection;

/// Bytes of each log that a broker keeps, by topic and partition.
pub(crate) type Sizes = BTreeMap<String, BTreeMap<i32, u64>>;

/// The sizes of all logs on this broker, whether it leads them or follows. Needs DESCRIBE on the
/// cluster.
pub(crate) async fn log_sizes(connection: &Connection) -> Result<Sizes, Trouble> {
    let answer = connection.call(&DescribeLogDirsRequest::default().with_topics(None)).await?;
    // Before version 3 a lack of rights is an empty answer, and nothing is learnt from it.
    checked(answer.error_code)?;
    let mut sizes = Sizes::new();
    // A folder that failed has no say, the others do.
    for folder in answer.results.into_iter().filter(|folder| folder.error_code == 0) {
        for topic in folder.topics {
            let partitions = topic.partitions.iter().filter(|p| !p.is_future_key).filter_map(|p| {
                let size = u64::try_from(p.partition_size).ok()?;
                Some((p.partition_index, size))
            });
            sizes.entry(topic.name.to_string()).or_default().extend(partitions);
        }
    }
    Ok(sizes)
}
