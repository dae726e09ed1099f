//! Reports as bytes: protobuf under zstd, and back with every bound checked.

use std::io::Read as _;

use prost::Message as _;

use super::validate::{Invalid, report as validate};
use super::weigh::weigh;
use super::{HASH_VERSION, REPORT_VERSION, Report};
use crate::limits::Limits;

/// zstd's default: about 3 times smaller at 300 MB/s.
const LEVEL: i32 = 3;

/// A decoded report may take this many times `http_body_bytes` in memory: honest ones, mostly bins
/// and short lists, take 3 to 6 times their encoded size.
const MEMORY_FACTOR: usize = 16;

/// Why a report was refused. The agent's side of the wire is named by the caller (address).
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ReportError {
    /// Compressed or decompressed size.
    #[error(
        "the report is larger than {limit} bytes {stage}: raise limits.http_body_bytes or lower the agent's limits.report_bytes"
    )]
    TooLarge {
        /// `compressed` or `decompressed`.
        stage: &'static str,
        /// The limit in force, bytes.
        limit: usize,
    },
    /// It would need far more memory than its bytes: no agent sends that.
    #[error("the report would take more than {limit} bytes of memory: refused as hostile")]
    TooHeavy {
        /// The limit in force, bytes.
        limit: usize,
    },
    /// Not zstd.
    #[error("the report is not zstd: {0}")]
    Compression(String),
    /// Not the protobuf envelope.
    #[error("the report is not a protobuf report: {0}")]
    Protobuf(String),
    /// Another version of the envelope.
    #[error(
        "the report has version {got}, this collector reads version {REPORT_VERSION}: run the same release of agent and collector"
    )]
    Version {
        /// What it says.
        got: u32,
    },
    /// Another shared hash: its distinct counts and duplicates don't merge with ours.
    #[error(
        "the report's hash has version {got}, this collector's {HASH_VERSION}: run the same release of agent and collector"
    )]
    HashVersion {
        /// What it says.
        got: u32,
    },
    /// A field breaks its contract.
    #[error("the report of agent {agent:?} is malformed: {invalid}")]
    Invalid {
        /// Who sent it, as it says.
        agent: String,
        /// Which field, and why.
        invalid: Invalid,
    },
}

impl Report {
    /// Protobuf, compressed by zstd.
    ///
    /// # Errors
    /// [`ReportError::Compression`] when zstd cannot allocate; never for what the report holds.
    pub fn encode_zstd(&self) -> Result<Vec<u8>, ReportError> {
        zstd::bulk::compress(&self.encode_to_vec(), LEVEL)
            .map_err(|e| ReportError::Compression(e.to_string()))
    }

    /// Decodes what a peer sent: bounded in bytes and memory before anything is built, then checked
    /// field by field, so that everything downstream can rely on the contracts of [`super`].
    ///
    /// # Errors
    /// [`ReportError`] says what is wrong and what to do.
    pub fn decode_bounded(bytes: &[u8], limits: &Limits) -> Result<Self, ReportError> {
        let limit = limits.http_body_bytes;
        if bytes.len() > limit {
            return Err(ReportError::TooLarge { stage: "compressed", limit });
        }
        let plain = decompress(bytes, limit)?;
        let memory = limit.saturating_mul(MEMORY_FACTOR);
        match weigh(&plain) {
            Err(message) => return Err(ReportError::Protobuf(message.to_owned())),
            Ok(weight) if weight > memory => return Err(ReportError::TooHeavy { limit: memory }),
            Ok(_) => {}
        }
        let report = Self::decode(plain.as_slice()).map_err(|e| ReportError::Protobuf(e.to_string()))?;
        if report.version != REPORT_VERSION {
            return Err(ReportError::Version { got: report.version });
        }
        if report.hash_version != HASH_VERSION {
            return Err(ReportError::HashVersion { got: report.hash_version });
        }
        validate(&report).map_err(|invalid| ReportError::Invalid {
            agent: report.agent.chars().take(64).collect(),
            invalid,
        })?;
        Ok(report)
    }
}

fn decompress(bytes: &[u8], limit: usize) -> Result<Vec<u8>, ReportError> {
    let broken = |e: std::io::Error| ReportError::Compression(e.to_string());
    let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes).map_err(broken)?;
    // The window is what the decoder itself allocates: no more than the report may be long.
    decoder.window_log_max(limit.next_power_of_two().ilog2().clamp(10, 27)).map_err(broken)?;
    let mut plain = Vec::new();
    decoder.take(limit as u64 + 1).read_to_end(&mut plain).map_err(broken)?;
    if plain.len() > limit {
        return Err(ReportError::TooLarge { stage: "decompressed", limit });
    }
    Ok(plain)
}
