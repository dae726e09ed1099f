//! Certificates and keys that are renewed in their files while the agent runs.
//!
//! librdkafka reads them when a client is made, and never again: so a new client is made once
//! what the files hold has changed, and takes the place of the old when brokers accept it.

use std::collections::BTreeMap;
use std::hash::{Hash as _, Hasher as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;

use super::consumer::Consumer;
use crate::status::Shared;

/// How long brokers may take to accept the new ones.
const TRIAL: Duration = Duration::from_secs(10);
/// How long one question of a trial may take: between them the client is polled, for its tokens.
const TRIAL_STEP: Duration = Duration::from_secs(2);
/// A file larger than this is no certificate bundle; it is told apart by its beginning.
const FILE_BYTES_MAX: u64 = 16 << 20;

const FILES: [&str; 4] =
    ["ssl.ca.location", "ssl.certificate.location", "ssl.key.location", "ssl.keystore.location"];

/// The files of one client.
pub(crate) struct Certificates {
    properties: BTreeMap<String, String>,
    shared: Arc<Shared>,
    files: Vec<PathBuf>,
    in_use: u64,
}

impl Certificates {
    /// Of the client that is made from these properties right after.
    pub(crate) fn of(properties: &BTreeMap<String, String>, shared: Arc<Shared>) -> Self {
        let files: Vec<PathBuf> =
            FILES.iter().filter_map(|name| properties.get(*name)).map(PathBuf::from).collect();
        Self { properties: properties.clone(), in_use: fingerprint(&files), shared, files }
    }

    /// A client with what the files hold by now, if that has changed and brokers accept it.
    pub(crate) fn renewed(&mut self) -> Option<Consumer> {
        if self.files.is_empty() {
            return None;
        }
        let now = fingerprint(&self.files);
        if now == self.in_use {
            self.shared.works("certificates");
            return None;
        }
        match self.trial() {
            Ok(consumer) => {
                self.in_use = now;
                self.shared.works("certificates");
                Some(consumer)
            }
            Err(why) => {
                let why = format!("changed certificates are not used, the old ones are on: {why}");
                self.shared.error("certificates", why);
                None
            }
        }
    }

    fn trial(&self) -> Result<Consumer, String> {
        let consumer = Consumer::new(&self.properties, self.shared.clone())?;
        let context = consumer.client.context();
        context.on_trial();
        let deadline = Instant::now() + TRIAL;
        loop {
            let _ = consumer.client.poll(Duration::ZERO);
            let answered = consumer.client.fetch_metadata(None, TRIAL_STEP);
            match answered {
                Ok(_) => {
                    context.accepted();
                    return Ok(consumer);
                }
                Err(error) if Instant::now() >= deadline => {
                    return Err(context.accepted().unwrap_or_else(|| error.to_string()));
                }
                Err(_) => {}
            }
        }
    }
}

/// Another value says that one of the files has changed. One that cannot be read counts as empty.
fn fingerprint(files: &[PathBuf]) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    for file in files {
        let size = std::fs::metadata(file).map_or(0, |about| about.len());
        size.hash(&mut hasher);
        if size <= FILE_BYTES_MAX {
            std::fs::read(file).unwrap_or_default().hash(&mut hasher);
        }
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_any_file_is_seen_and_a_broken_one_leaves_the_old() {
        let folder = std::env::temp_dir().join(format!("tapline-certificates-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("ca.pem");
        std::fs::write(&path, "one").expect("written");
        let properties = BTreeMap::from([
            ("bootstrap.servers".to_owned(), "127.0.0.1:1".to_owned()),
            ("security.protocol".to_owned(), "SSL".to_owned()),
            ("ssl.ca.location".to_owned(), path.display().to_string()),
        ]);
        let shared = Arc::new(Shared::default());
        let mut certificates = Certificates::of(&properties, shared.clone());
        assert!(certificates.renewed().is_none());
        assert_eq!(shared.status(1).last_error, None, "nothing has changed");
        std::fs::write(&path, "two").expect("written");
        assert!(certificates.renewed().is_none(), "no certificate at all");
        let error = shared.status(1).last_error.expect("told");
        assert!(error.contains("certificates") && error.contains("old"), "{error}");
        std::fs::write(&path, "one").expect("written");
        assert!(certificates.renewed().is_none());
        assert_eq!(shared.status(1).last_error, None, "as it was");
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
