//! Every series of Tapline, in one place: no metric name stands anywhere else in the code, and
//! docs/metrics.md is generated from here.

use std::marker::PhantomData;

use super::family::{Desc, Kind};
use super::labels::{self, Labels};

/// A row of the table, without its type.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Full name.
    pub name: &'static str,
    /// Kind.
    pub kind: Kind,
    /// One sentence without its full stop.
    pub help: &'static str,
    /// Label names.
    pub labels: &'static [&'static str],
}

/// Rows that belong together.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// Headline.
    pub title: &'static str,
    /// Its rows.
    pub rows: &'static [Row],
}

macro_rules! series {
    ($( $title:literal { $( $id:ident: $kind:ident<$labels:ident> $name:literal $help:literal; )* } )*) => {
        $( $(
            #[doc = $help]
            pub const $id: Desc<labels::$labels<'static>> =
                Desc { name: $name, kind: Kind::$kind, help: $help, labels: PhantomData };
        )* )*

        /// All of them.
        pub const SECTIONS: &[Section] = &[$( Section {
            title: $title,
            rows: &[$( Row {
                name: $name,
                kind: Kind::$kind,
                help: $help,
                labels: <labels::$labels<'static> as Labels>::NAMES,
            } ),*],
        } ),*];
    };
}

series! {
    "Consumer groups" {
        GROUP_LAG_RECORDS: Gauge<GroupPartition> "tapline_group_lag_records"
            "Records between the committed offset (or the log start, if that is later) and the high watermark; absent while unknown. Of a share group the records from its start offset on that are not done with: the broker's own count (Kafka 4.2, KIP-1226), from older brokers the distance to the end, an upper bound";
        GROUP_STABLE_LAG_RECORDS: Gauge<GroupPartition> "tapline_group_stable_lag_records"
            "The same up to the last stable offset: what a read_committed reader can see";
        GROUP_LOST_RECORDS: Gauge<GroupPartition> "tapline_group_lost_records"
            "Records between the committed offset and the log start: removed by retention before the group read them";
        GROUP_COMMITTED_OFFSET: Gauge<GroupPartition> "tapline_group_committed_offset"
            "The committed offset: the next one to read; of a share group its start offset: every record before it is done with";
        GROUP_TOPIC_LAG_RECORDS: Gauge<GroupTopic> "tapline_group_topic_lag_records"
            "Sum of the known lags of the topic's partitions";
        GROUP_TOPIC_LAG_SECONDS: Gauge<GroupTopic> "tapline_group_topic_lag_seconds"
            "Age of the oldest record that the group has not read, the maximum over the topic's partitions";
        GROUP_TOPIC_LAG_ERROR_SECONDS: Gauge<GroupTopic> "tapline_group_topic_lag_error_seconds"
            "How wrong the lag in seconds may be, either way";
        GROUP_UNKNOWN_PARTITIONS: Gauge<GroupTopicReason> "tapline_group_unknown_partitions"
            "Partitions whose lag is not known, by reason (uncommitted, uninitialized, ahead_of_end, recreated, unreadable, topic_gone); absent where there is none";
        GROUP_TOPIC_CONSUMED: Counter<GroupTopic> "tapline_group_topic_consumed_records_total"
            "Offsets that the group's commits moved forward by since the watcher first saw it there; a reset forward counts, and what is read again counts again";
        GROUP_TOPIC_REWINDS: Counter<GroupTopic> "tapline_group_topic_rewinds_total"
            "How often the commit of a partition went back: offsets reset, records replayed";
        GROUP_TOPIC_CATCH_UP: Gauge<GroupTopic> "tapline_group_topic_catch_up_seconds"
            "Seconds until the group has caught up if it and the producers go on as in the last minutes: lag by (consumed - appended); 0 when caught up, absent when it does not gain";
        GROUP_TOPIC_ACTIVITY: Gauge<GroupTopicActivity> "tapline_group_topic_activity"
            "1 for what the group is doing (caught_up, reading, slow, stuck, rebalancing, stopped, unknown); the others have no series. stuck: members are there, and in some partition where records wait the commit stands still for longer than five minutes and three of the group's longest pauses of late; slow: it takes in at least a tenth less than is appended; stopped: records wait and no member is there";
        GROUP_MEMBERS: Gauge<Group> "tapline_group_members"
            "Members of the group; absent while it can't be described";
        GROUP_STALE_SECONDS: Gauge<Group> "tapline_group_stale_seconds"
            "Seconds since the group's commits were last read";
        GROUP_INFO: Info<GroupInfo> "tapline_group_info"
            "Type, state and protocol of the group, as the broker names them";
    }
    "Topics and partitions, as the broker counts them" {
        PARTITION_START_OFFSET: Gauge<TopicPartition> "tapline_partition_start_offset" "Log start offset";
        PARTITION_END_OFFSET: Gauge<TopicPartition> "tapline_partition_end_offset" "High watermark";
        PARTITION_STABLE_OFFSET: Gauge<TopicPartition> "tapline_partition_stable_offset" "Last stable offset";
        TOPIC_RECORDS: Counter<Topic> "tapline_topic_records_total"
            "Offsets appended since the watcher first saw the topic (control markers count, as they take offsets)";
        TOPIC_PARTITIONS: Gauge<Topic> "tapline_topic_partitions" "Partitions of the topic";
        TOPIC_LEADERLESS: Gauge<Topic> "tapline_topic_leaderless_partitions" "Partitions without a leader";
        TOPIC_UNDER_REPLICATED: Gauge<Topic> "tapline_topic_under_replicated_partitions"
            "Partitions with fewer replicas in sync than assigned";
        TOPIC_UNDER_MIN_ISR: Gauge<Topic> "tapline_topic_under_min_isr_partitions"
            "Partitions with fewer replicas in sync than acks=all needs (min.insync.replicas); absent without DESCRIBE_CONFIGS on the topic";
        TOPIC_INFO: Info<TopicInfo> "tapline_topic_info"
            "What becomes of old records (delete, compact, both, none): where they are compacted, lag counts offsets that hold no record any more; absent without DESCRIBE_CONFIGS on the topic";
        TOPIC_STALE_SECONDS: Gauge<Topic> "tapline_topic_stale_seconds"
            "Seconds since the ends of the topic's partitions were read, of the partition read longest ago";
        TOPIC_UNREAD_PARTITIONS: Gauge<TopicReason> "tapline_topic_unread_partitions"
            "Partitions whose ends the last refresh could not read, by reason (no_leader, broker_away, leader_moving, not_allowed, refused): they keep their last figures; absent where there is none";
        TOPIC_RECORDS_RATE: Gauge<Topic> "tapline_topic_records_per_second"
            "Offsets appended a second between the last two readings; absent while a partition is not read";
        TOPIC_HOTTEST_SHARE: Gauge<Topic> "tapline_topic_hottest_partition_share"
            "Part of what was appended over about the last minute that went to the partition with most; absent when nothing was, or the topic has one partition";
        TOPIC_SIZE_BYTES: Gauge<Topic> "tapline_topic_size_bytes"
            "Bytes of the leaders' logs on their brokers, without replicas and what is tiered away, about once a minute; absent without DESCRIBE on the cluster";
        TOPIC_BYTES_RATE: Gauge<Topic> "tapline_topic_bytes_per_second"
            "Bytes by which the leaders' logs grew a second, over about a minute; absent where something was removed meanwhile or may have been (log start moved, compaction, tiering, unknown policy)";
        TOPIC_TAIL_UNKNOWN: Gauge<Topic> "tapline_topic_tail_unknown"
            "1 where records may not be read (no READ): a lag of a few may then be transaction markers alone; absent otherwise";
        PARTITION_OPEN_TRANSACTION: Gauge<TopicPartition> "tapline_partition_open_transaction_seconds"
            "For how long, at least, the transaction has been open that holds the last stable offset back; only while it does so for long (1 minute)";
        BROKERS: Gauge<Cluster> "tapline_brokers" "Brokers in the last metadata";
    }
    "Records read and examined" {
        RECORDS_READ: Counter<Topic> "tapline_records_read_total" "Records read by the agents";
        RECORDS_READ_BYTES: Counter<Topic> "tapline_records_read_bytes_total" "Bytes of their keys and values";
        RECORDS_EXAMINED: Counter<Topic> "tapline_records_examined_total" "Records decoded (or tried) and checked";
        RECORDS_UNEXAMINED: Counter<TopicReason> "tapline_records_unexamined_total"
            "Records read but not examined, by reason (sample, rate, late, memory)";
        RECORDS_SKIPPED: Counter<TopicReason> "tapline_records_skipped_total"
            "Offsets passed over without being read, by reason (catch_up, gap, lost, overlap, spool)";
        RECORDS_NOT_DECODED: Counter<TopicFormat> "tapline_records_not_decoded_total"
            "Records in a format that is recognised but not decoded yet; no failures";
        RECORDS_TOMBSTONES: Counter<Topic> "tapline_records_tombstones_total" "Records examined that have no value";
        RECORDS_BAD_TIMESTAMP: Counter<Topic> "tapline_records_bad_timestamp_total"
            "Records whose time was missing, negative or far in the future: they went by arrival time";
        RECORDS_CATCHING_UP: Counter<Topic> "tapline_records_catching_up_total"
            "Records read while catching up: their delay is not an observed one";
        RECORDS_SKEWED: Counter<Topic> "tapline_records_skewed_total" "Records whose time lies after their arrival: clock skew";
        DOCUMENTS_DUPLICATE_KEYS: Counter<Topic> "tapline_documents_duplicate_keys_total"
            "Documents with a key that stands twice in one object";
        HEADER_NOTES: Counter<TopicReason> "tapline_header_notes_total"
            "Trace headers that are missing, malformed or doubled, by reason";
        TIME_FALLBACKS: Counter<TopicReason> "tapline_event_time_fallbacks_total"
            "Records without a usable event time, by reason: where windows go by event time, they go by their own";
        DECODE_FAILURES: Counter<TopicReason> "tapline_decode_failures_total" "Values that could not be decoded, by reason";
        SCHEMA_CHECKED: Counter<Topic> "tapline_schema_checked_total" "Documents held against a schema";
        SCHEMA_VIOLATIONS: Counter<Topic> "tapline_schema_violations_total" "Documents that do not fit their schema";
        TOPIC_LAST_RECORD: Gauge<Topic> "tapline_topic_last_record_timestamp_seconds"
            "Time of the latest record, in seconds since the epoch";
        TOPIC_WATERMARK: Gauge<Topic> "tapline_topic_watermark_timestamp_seconds"
            "Watermark, in seconds since the epoch: no earlier record is expected any more";
        TOPIC_RULES_DIFFER: Gauge<Topic> "tapline_topic_rules_differ"
            "1 while an agent judges the topic by other rules than the collector has";
        OBSERVED_DELAY: Histogram<Topic> "tapline_observed_delay_seconds"
            "Arrival at the agent minus record time, of records read while caught up";
    }
    "Checks, service levels and findings" {
        CHECK_STATUS: Gauge<CheckStatus> "tapline_check_status"
            "State set: 1 for the status that the check has (pass, fail, unknown, error), 0 for the others";
        CHECK_VALUE: Gauge<Check> "tapline_check_value"
            "Value of the check over its last window, in the check's unit; absent while unknown";
        CHECK_CHECKED: Counter<Check> "tapline_check_checked_records_total" "Records (elements, for paths with []) checked";
        CHECK_FAILED: Counter<Check> "tapline_check_failed_records_total" "Of these, those that failed";
        SLO_EVENTS: Counter<SloResult> "tapline_slo_events_total" "Events of a service level, good and bad";
        SLO_OBJECTIVE: Gauge<Slo> "tapline_slo_objective" "Share of good events promised, 0 to 1";
        SLO_WINDOW_SECONDS: Gauge<Slo> "tapline_slo_window_seconds" "Over which period it is promised";
        DETECTOR_STATUS: Gauge<TopicStatus> "tapline_detector_status"
            "State set of the detectors that need no check file: 1 for what they do on the topic (learning, watching), 0 for the other; absent where they are off";
        FINDINGS_OPEN: Gauge<Severity> "tapline_findings_open" "Findings that are not resolved, by severity (info, warning, error)";
    }
    "Pipelines" {
        HOP_LATENCY: Histogram<Hop> "tapline_hop_latency_seconds"
            "Record time at one stage minus record time at the stage before, by trace";
        HOP_SKEWED: Counter<Hop> "tapline_hop_skewed_total" "Traces whose difference was negative: counted, never averaged in";
        PIPELINE_LATENCY: Histogram<Pipeline> "tapline_pipeline_latency_seconds" "From the first stage to the last, by trace";
        PIPELINE_EVENTS: Counter<PipelineResult> "tapline_pipeline_events_total"
            "Traces that came out, good and bad by the latency objective";
        PIPELINE_OBJECTIVE: Gauge<Pipeline> "tapline_pipeline_objective" "Share of good events promised (0.99 for p99)";
        PIPELINE_OBJECTIVE_SECONDS: Gauge<Pipeline> "tapline_pipeline_objective_seconds" "Latency above which an event is bad";
        TRACE_INCOMPLETE: Counter<PipelineStage> "tapline_trace_incomplete_total"
            "Traces that entered and did not come out within the deadline, by the stage where they were last seen";
        PIPELINE_OPEN_TRACES: Gauge<Pipeline> "tapline_pipeline_open_traces" "Traces in flight";
        PIPELINE_DROPPED_TRACES: Counter<Pipeline> "tapline_pipeline_dropped_traces_total"
            "Traces given up because too many were in flight";
        PIPELINE_UNJUDGED_TRACES: Counter<Pipeline> "tapline_pipeline_unjudged_traces_total"
            "Traces that ended without a verdict on loss: they entered before we began, or a stage was not read meanwhile";
    }
    "Fields: the profile of the last window, under the budget" {
        FIELD_RECORDS: Gauge<Field> "tapline_field_parents" "Parents seen in the last window: the denominator of the ratios";
        FIELD_MISSING_RATIO: Gauge<Field> "tapline_field_missing_ratio" "Share of the parents without the field";
        FIELD_NULL_RATIO: Gauge<Field> "tapline_field_null_ratio" "Share of the parents where it is null";
        FIELD_EMPTY_RATIO: Gauge<Field> "tapline_field_empty_ratio" "Share of the parents where it is an empty string, array or object";
        FIELD_DISTINCT: Gauge<Field> "tapline_field_distinct" "Estimated number of distinct scalar values";
        FIELD_MIN: Gauge<Field> "tapline_field_min" "Smallest number";
        FIELD_MAX: Gauge<Field> "tapline_field_max" "Largest number";
        FIELD_MEAN: Gauge<Field> "tapline_field_mean" "Mean of the numbers";
        FIELD_STDDEV: Gauge<Field> "tapline_field_stddev" "Standard deviation of the numbers";
        FIELD_QUANTILE: Gauge<FieldQuantile> "tapline_field_quantile"
            "Quantiles of the numbers (0.05, 0.5, 0.95), within the sketch's relative error of 1%";
    }
    "The agents, as they report of themselves" {
        AGENT_UP: Gauge<Agent> "tapline_agent_up" "1 while the agent has been heard from lately";
        AGENT_INFO: Info<AgentInfo> "tapline_agent_info" "The agent's version";
        AGENT_LAST_REPORT: Gauge<Agent> "tapline_agent_last_report_timestamp_seconds"
            "When its last report was applied, in seconds since the epoch";
        AGENT_CATCHING_UP: Gauge<Agent> "tapline_agent_catching_up" "1 while it reads behind the end somewhere";
        AGENT_MEMORY: Gauge<Agent> "tapline_agent_memory_bytes" "Resident memory; absent while not known";
        AGENT_CPU: Counter<Agent> "tapline_agent_cpu_seconds_total" "CPU time used since its start";
        AGENT_REPORTS_DROPPED: Counter<Agent> "tapline_agent_reports_dropped_total" "Reports dropped from a full spool";
        AGENT_SIGHTINGS_DROPPED: Counter<Agent> "tapline_agent_sightings_dropped_total"
            "Sightings of traces dropped over the limit a second";
        AGENT_ERRORS: Counter<AgentReason> "tapline_agent_errors_total" "Errors by what they came from (kafka, authentication, certificates, topic_not_allowed, group_not_allowed, registry, send, …)";
        AGENT_RULES_STALE: Gauge<Agent> "tapline_agent_rules_stale" "1 while changed check files could not be loaded and the old ones are in force";
    }
    "The collector about itself" {
        BUILD_INFO: Info<Build> "tapline_build_info" "Version and commit";
        INGEST_REPORTS: Counter<Result> "tapline_ingest_reports_total" "Reports taken, applied or duplicate";
        INGEST_REFUSED: Counter<Reason> "tapline_ingest_refused_total" "Reports refused, by reason";
        INGEST_OVERLAPPING: Counter<Cluster> "tapline_ingest_overlapping_panes_total"
            "Panes not counted because another report covers the same offsets";
        INGEST_HISTORY_BROKEN: Gauge<Cluster> "tapline_ingest_history_broken" "1 while the history can't be written";
        CONFIG_RELOAD_BROKEN: Gauge<Cluster> "tapline_config_reload_broken"
            "1 while a changed check file or configuration could not be loaded and the old one is in force";
        WATCH_UP: Gauge<Cluster> "tapline_watch_up" "1 when the last refresh of groups and offsets did not fail wholly";
        WATCH_AGE: Gauge<Cluster> "tapline_watch_age_seconds" "Seconds since the last refresh ended; absent before the first";
        WATCH_REFRESHES: Counter<Cluster> "tapline_watch_refreshes_total" "Refreshes begun";
        WATCH_ERRORS: Counter<Reason> "tapline_watch_errors_total" "Refreshes in which some part could not be read, by reason";
        WATCH_DURATION: Gauge<Cluster> "tapline_watch_refresh_seconds" "Wall time of the last refresh";
        WATCH_REQUESTS: Gauge<Cluster> "tapline_watch_requests" "Requests of the last refresh";
        WATCH_RECEIVED: Gauge<Cluster> "tapline_watch_received_bytes" "Bytes received in the last refresh";
        WATCH_THROTTLED: Counter<Cluster> "tapline_watch_throttled_seconds_total"
            "Seconds for which brokers have held the watcher back by their quotas (KIP-219)";
        WATCH_GROUPS_UNREADABLE: Gauge<Cluster> "tapline_watch_unreadable_groups" "Groups that may not be read for lack of rights";
        WATCH_TOPICS_UNREADABLE: Gauge<Cluster> "tapline_watch_unreadable_topics"
            "Topics that groups read and that may not be described for lack of rights";
        OTLP_TRACES_DROPPED: Counter<Cluster> "tapline_otlp_traces_dropped_total"
            "Traces that found no place in the queue of the OTLP exporter";
        OTLP_SPANS: Counter<Result> "tapline_otlp_spans_total"
            "Spans handed to the exporter, by result (sent, failed); absent without a backend";
        SERIES_FOLDED: Gauge<Kind> "tapline_series_folded"
            "Series left out to keep within the budget, by kind (group_partitions, topic_partitions, groups, fields; topics: all of a topic under the names of --compat)";
    }
}

/// The row of a name as it stands in a query: histograms also by the names of their parts.
pub fn find(name: &str) -> Option<Row> {
    let rows = || SECTIONS.iter().flat_map(|section| section.rows);
    let exact = rows().find(|row| row.name == name);
    exact.copied().or_else(|| {
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part))?;
        rows().find(|row| row.kind == Kind::Histogram && row.name == base).copied()
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_say_their_kind() {
        let mut seen = BTreeSet::new();
        for row in SECTIONS.iter().flat_map(|section| section.rows) {
            assert!(seen.insert(row.name), "{} stands twice", row.name);
            assert!(row.name.starts_with("tapline_"), "{}", row.name);
            assert_eq!(row.name.ends_with("_total"), row.kind == Kind::Counter, "{}", row.name);
            assert_eq!(row.name.ends_with("_info"), row.kind == Kind::Info, "{}", row.name);
            assert!(!row.help.ends_with('.') && !row.help.contains('\n'), "{}", row.name);
        }
    }

    #[test]
    fn the_parts_of_a_histogram_are_found() {
        assert_eq!(find("tapline_hop_latency_seconds_bucket").map(|r| r.labels), Some(HOP_LABELS));
        assert!(find("tapline_group_lag_records_sum").is_none());
        assert!(find("tapline_nonsense").is_none());
    }

    const HOP_LABELS: &[&str] = &["pipeline", "from", "to"];
}
