//! The open connections of one cluster, a broker each, and running requests over them.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use super::ClusterError;
use super::config::{Address, Config, SaslMechanism, TokenSource};
use super::wire::{self, Connection, Settings, TlsContext, Tokens, Traffic, WireError};

/// After a broker has let a connection time out, this long nobody tries again; it doubles each
/// time, up to the second.
const REST: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// One bootstrap address is given this start over the next.
const HEAD_START: Duration = Duration::from_secs(1);

/// Connections by address; brokers by id, as the last metadata named them.
///
/// A broker that hangs is waited for once, for the patience that the configuration names; from
/// then on it is connected to in the background, and counts as away until it answers.
pub(crate) struct Pool {
    settings: Option<Arc<Settings>>,
    certificates: Certificates,
    tokens: Option<Arc<Tokens>>,
    brokers: BTreeMap<i32, Address>,
    open: BTreeMap<Address, Arc<Connection>>,
    opening: BTreeMap<Address, JoinHandle<Opened>>,
    hanging: BTreeMap<Address, Hanging>,
    traffic: Arc<Traffic>,
}

/// Which certificates are in use.
#[derive(Default)]
struct Certificates {
    /// Of the files that the settings were made from.
    fingerprint: u64,
    /// Of files that could not be used; each is told of once.
    refused: Option<u64>,
    /// TLS has failed since: the system's authorities, which have no fingerprint, may be renewed.
    doubtful: bool,
}

/// Brokers tried with renewed certificates before they are found wanting.
const TRIED_WITH_RENEWED: usize = 3;

type Opened = Result<Arc<Connection>, WireError>;

/// An address that let a connection time out.
struct Hanging {
    rest: Duration,
    until: Instant,
    error: WireError,
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.opening.values().for_each(JoinHandle::abort);
    }
}

impl Pool {
    pub(crate) fn new() -> Self {
        Self {
            settings: None,
            certificates: Certificates::default(),
            tokens: None,
            brokers: BTreeMap::new(),
            open: BTreeMap::new(),
            opening: BTreeMap::new(),
            hanging: BTreeMap::new(),
            traffic: Arc::default(),
        }
    }

    /// Takes over certificates and keys that have changed in their files, once a broker has
    /// accepted them; from then on every connection is one with them. Until then the old ones
    /// are used on.
    ///
    /// # Errors
    /// Why what stands in the files now is not used.
    pub(crate) async fn renew(&mut self, config: &Config) -> Result<(), String> {
        let (Some(tls), true) = (&config.tls, self.settings.is_some()) else { return Ok(()) };
        let fingerprint = TlsContext::fingerprint(tls);
        let doubtful = std::mem::take(&mut self.certificates.doubtful);
        if fingerprint == self.certificates.fingerprint {
            self.certificates.refused = None;
            if doubtful && let Ok(settings) = self.make(config) {
                self.settings = Some(Arc::new(settings));
            }
            return Ok(());
        }
        let taken = match self.make(config) {
            Ok(settings) => self.try_renewed(Arc::new(settings), config).await,
            Err(reason) => Err(reason),
        };
        match taken {
            Ok(()) => {
                tracing::info!("renewed certificates are in use");
                self.certificates = Certificates { fingerprint, ..Certificates::default() };
                Ok(())
            }
            Err(reason) => {
                if self.certificates.refused.replace(fingerprint) != Some(fingerprint) {
                    tracing::warn!("changed certificates are not used, the old ones are on: {reason}");
                }
                Err(reason)
            }
        }
    }

    async fn try_renewed(&mut self, settings: Arc<Settings>, config: &Config) -> Result<(), String> {
        let known: Vec<&Address> = self.open.keys().chain(self.brokers.values()).collect();
        let candidates = known.into_iter().chain(&config.bootstrap).take(TRIED_WITH_RENEWED);
        let mut reason = "there is no broker to try them with".to_owned();
        for address in candidates.cloned().collect::<Vec<_>>() {
            match wire::open(&address, &settings, config.patience).await {
                Ok(connection) => {
                    self.open = BTreeMap::from([(address, connection)]);
                    self.settings = Some(settings);
                    // What is being opened comes with the old ones.
                    std::mem::take(&mut self.opening).values().for_each(JoinHandle::abort);
                    return Ok(());
                }
                Err(error) => reason = error.to_string(),
            }
        }
        Err(reason)
    }

    /// What was sent and received, and for how long brokers held us back, since it was last taken.
    pub(crate) fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Brokers of the last metadata.
    pub(crate) fn brokers(&self) -> impl ExactSizeIterator<Item = i32> + '_ {
        self.brokers.keys().copied()
    }

    /// Where a broker of the last metadata is.
    pub(crate) fn address(&self, broker: i32) -> Option<&Address> {
        self.brokers.get(&broker)
    }

    /// Takes over the brokers that metadata names; connections to others are closed, save those
    /// by the names in the configuration.
    pub(crate) fn set_brokers(&mut self, brokers: BTreeMap<i32, Address>, config: &Config) {
        let named =
            |address: &Address| config.bootstrap.contains(address) || brokers.values().any(|b| b == address);
        self.open.retain(|address, connection| connection.is_usable() && named(address));
        self.hanging.retain(|address, _| named(address));
        self.opening.retain(|address, opening| {
            let wanted = named(address);
            if !wanted {
                opening.abort();
            }
            wanted
        });
        self.brokers = brokers;
    }

    /// A connection to any broker: one that is open, else the configured ones in their order,
    /// else the ones that metadata named before; those that hang come last.
    ///
    /// # Errors
    /// What went wrong with each; wrong credentials at once, as trying on could lock an account.
    pub(crate) async fn any(&mut self, config: &Config) -> Result<Arc<Connection>, ClusterError> {
        if let Some(connection) = self.open.values().find(|c| c.is_usable() && !c.is_stuck()) {
            return Ok(Arc::clone(connection));
        }
        let settings = self.settings(config)?;
        let mut candidates = config.bootstrap.clone();
        candidates.extend(self.brokers.values().filter(|b| !config.bootstrap.contains(b)).cloned());
        let hangs = |address: &Address| {
            self.hanging.contains_key(address) || self.open.get(address).is_some_and(|c| c.is_stuck())
        };
        candidates.sort_by_key(hangs);

        let mut tried = Vec::new();
        let mut running: JoinSet<(Address, Opened)> = JoinSet::new();
        let mut candidates = candidates.into_iter();
        let mut left = true;
        while left || !running.is_empty() {
            match candidates.next() {
                Some(address) => {
                    let (settings, patience) = (Arc::clone(&settings), config.patience);
                    running.spawn(async move {
                        let opened = wire::open(&address, &settings, patience).await;
                        (address, opened)
                    });
                }
                None => left = false,
            }
            let first = match left {
                true => tokio::time::timeout(HEAD_START, running.join_next()).await.ok().flatten(),
                false => running.join_next().await,
            };
            match first {
                Some(Ok((address, Ok(connection)))) => {
                    self.hanging.remove(&address);
                    self.open.insert(address, Arc::clone(&connection));
                    return Ok(connection);
                }
                Some(Ok((address, Err(error)))) => {
                    self.note(&address, &error).await;
                    if matches!(error, WireError::Authentication { .. } | WireError::Token { .. }) {
                        return Err(ClusterError::Authentication(error));
                    }
                    tried.push(error);
                }
                // None ready yet, or one that panicked: on with the others.
                Some(Err(_)) | None => {}
            }
        }
        Err(ClusterError::Unreachable { tried })
    }

    /// Connections to all brokers of the last metadata, opened side by side. Those that do not
    /// come within the patience are opened on in the background, for a later call.
    pub(crate) async fn all(&mut self, config: &Config) -> Result<BTreeMap<i32, Opened>, ClusterError> {
        let settings = self.settings(config)?;
        let mut ready = BTreeMap::new();
        let mut missing = Vec::new();
        for (&id, address) in &self.brokers {
            match self.open.get(address).filter(|c| c.is_usable()) {
                Some(connection) => {
                    ready.insert(id, Ok(Arc::clone(connection)));
                }
                None => missing.push((id, address.clone())),
            }
        }
        let now = Instant::now();
        for (_, address) in &missing {
            let rests = self.hanging.get(address).is_some_and(|h| h.until > now);
            if !rests && !self.opening.contains_key(address) {
                let (at, settings, patience) = (address.clone(), Arc::clone(&settings), config.patience);
                let opening = tokio::spawn(async move { wire::open(&at, &settings, patience).await });
                self.opening.insert(address.clone(), opening);
            }
        }
        let patient_until = now + config.patience;
        for (id, address) in missing {
            let opened = self.opened(&address, patient_until, config.patience).await;
            if let Ok(connection) = &opened {
                self.open.insert(address, Arc::clone(connection));
            }
            ready.insert(id, opened);
        }
        Ok(ready)
    }

    /// What has become of a connection that is being opened; waits for those alone that have not
    /// hung before.
    async fn opened(&mut self, address: &Address, patient_until: Instant, patience: Duration) -> Opened {
        let late = || WireError::Timeout {
            broker: address.to_string().into(),
            what: "the connection",
            after_ms: u64::try_from(patience.as_millis()).unwrap_or(u64::MAX),
        };
        let known = self.hanging.get(address).map(|h| h.error.clone());
        let Some(opening) = self.opening.get_mut(address) else { return Err(known.unwrap_or_else(late)) };
        let finished = match known {
            Some(error) if !opening.is_finished() => return Err(error),
            _ => tokio::time::timeout_at(patient_until, opening).await,
        };
        match finished {
            Ok(joined) => {
                self.opening.remove(address);
                let opened = joined.unwrap_or_else(|_| Err(late()));
                match &opened {
                    Ok(_) => drop(self.hanging.remove(address)),
                    Err(error) => self.note(address, error).await,
                }
                opened
            }
            Err(_) => {
                // It goes on in the background; nobody waits for it again until it has come.
                let error = late();
                let hanging = Hanging { rest: REST.0, until: patient_until, error: error.clone() };
                self.hanging.insert(address.clone(), hanging);
                Err(error)
            }
        }
    }

    /// Remembers what went wrong, for the next try.
    async fn note(&mut self, address: &Address, error: &WireError) {
        match error {
            WireError::Timeout { .. } => {
                let rest = self.hanging.get(address).map_or(REST.0, |h| (h.rest * 2).min(REST.1));
                let hanging = Hanging { rest, until: Instant::now() + rest, error: error.clone() };
                self.hanging.insert(address.clone(), hanging);
            }
            // It refuses rather than hangs: known at once, whenever it is tried.
            _ => drop(self.hanging.remove(address)),
        }
        self.note_credentials(error).await;
    }

    /// What an error says about what we come with.
    async fn note_credentials(&mut self, error: &WireError) {
        match error {
            WireError::Tls { .. } => self.certificates.doubtful = true,
            // A token may be revoked before it expires.
            WireError::Authentication { .. } => {
                if let Some(tokens) = &self.tokens {
                    tokens.forget().await;
                }
            }
            _ => {}
        }
    }

    pub(crate) fn settings(&mut self, config: &Config) -> Result<Arc<Settings>, ClusterError> {
        if let Some(settings) = &self.settings {
            return Ok(Arc::clone(settings));
        }
        // Before the files are read: should they change meanwhile, they are read again.
        let fingerprint = config.tls.as_ref().map_or(0, TlsContext::fingerprint);
        let settings = Arc::new(self.make(config).map_err(ClusterError::Configuration)?);
        self.certificates = Certificates { fingerprint, ..Certificates::default() };
        self.settings = Some(Arc::clone(&settings));
        Ok(settings)
    }

    /// Settings from what the files of certificates and keys hold now.
    fn make(&mut self, config: &Config) -> Result<Settings, String> {
        let tls = config.tls.as_ref().map(TlsContext::new).transpose()?;
        if self.tokens.is_none()
            && let Some(SaslMechanism::OAuthBearer { token: TokenSource::Endpoint(endpoint), .. }) =
                config.sasl.as_ref().map(|sasl| &sasl.mechanism)
        {
            self.tokens = Some(Arc::new(Tokens::new((**endpoint).clone())));
        }
        Ok(Settings {
            client_id: config.client_id.clone(),
            connect_timeout: config.connect_timeout,
            request_timeout: config.request_timeout,
            frame_bytes_max: config.limits.frame_bytes,
            elements_max: config.limits.elements,
            tls,
            sasl: config.sasl.clone(),
            tokens: self.tokens.clone(),
            traffic: Arc::clone(&self.traffic),
        })
    }
}

/// Runs futures side by side, at most `limit` at once; hands over what each gives as it comes, in no order.
pub(crate) async fn in_flight<F>(limit: usize, futures: Vec<F>, mut take: impl FnMut(F::Output))
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let mut futures = futures.into_iter();
    let mut running: JoinSet<F::Output> = futures.by_ref().take(limit).collect();
    while let Some(joined) = running.join_next().await {
        if let Some(next) = futures.next() {
            running.spawn(next);
        }
        // One that panicked gives nothing; what it was to read stays as it was, with its age.
        if let Ok(result) = joined {
            take(result);
        }
    }
}
