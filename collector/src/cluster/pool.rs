//! The open connections of one cluster, a broker each, and running requests over them.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::ClusterError;
use super::config::{Address, Config, SaslMechanism, TokenSource};
use super::wire::{self, Connection, Settings, TlsContext, Tokens, Traffic, WireError};

/// Connections by address; brokers by id, as the last metadata named them.
pub(crate) struct Pool {
    settings: Option<Arc<Settings>>,
    certificates: Certificates,
    tokens: Option<Arc<Tokens>>,
    brokers: BTreeMap<i32, Address>,
    open: BTreeMap<Address, Arc<Connection>>,
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

impl Pool {
    pub(crate) fn new() -> Self {
        Self {
            settings: None,
            certificates: Certificates::default(),
            tokens: None,
            brokers: BTreeMap::new(),
            open: BTreeMap::new(),
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
            match wire::open(&address, &settings).await {
                Ok(connection) => {
                    self.open = BTreeMap::from([(address, connection)]);
                    self.settings = Some(settings);
                    return Ok(());
                }
                Err(error) => reason = error.to_string(),
            }
        }
        Err(reason)
    }

    /// Requests sent and bytes received since the last call.
    pub(crate) fn take_traffic(&self) -> (u64, u64) {
        self.traffic.take()
    }

    /// Brokers of the last metadata.
    pub(crate) fn brokers(&self) -> impl ExactSizeIterator<Item = i32> + '_ {
        self.brokers.keys().copied()
    }

    /// Takes over the brokers that metadata names; connections to others are closed, save those
    /// by the names in the configuration.
    pub(crate) fn set_brokers(&mut self, brokers: BTreeMap<i32, Address>, config: &Config) {
        self.open.retain(|address, connection| {
            connection.is_usable()
                && (config.bootstrap.contains(address) || brokers.values().any(|b| b == address))
        });
        self.brokers = brokers;
    }

    /// A connection to any broker: one that is open, else the configured ones in their order,
    /// else the ones that metadata named before.
    ///
    /// # Errors
    /// What went wrong with each; wrong credentials at once, as trying on could lock an account.
    pub(crate) async fn any(&mut self, config: &Config) -> Result<Arc<Connection>, ClusterError> {
        if let Some(connection) = self.open.values().find(|c| c.is_usable()) {
            return Ok(Arc::clone(connection));
        }
        let settings = self.settings(config)?;
        let mut candidates = config.bootstrap.clone();
        candidates.extend(self.brokers.values().filter(|b| !config.bootstrap.contains(b)).cloned());
        let mut tried = Vec::new();
        for address in candidates {
            match wire::open(&address, &settings).await {
                Ok(connection) => {
                    self.open.insert(address, Arc::clone(&connection));
                    return Ok(connection);
                }
                Err(error) => {
                    self.note(&error).await;
                    if matches!(error, WireError::Authentication { .. } | WireError::Token { .. }) {
                        return Err(ClusterError::Authentication(error));
                    }
                    tried.push(error);
                }
            }
        }
        Err(ClusterError::Unreachable { tried })
    }

    /// Connections to all brokers of the last metadata, opened side by side.
    pub(crate) async fn all(
        &mut self,
        config: &Config,
    ) -> Result<BTreeMap<i32, Result<Arc<Connection>, WireError>>, ClusterError> {
        let settings = self.settings(config)?;
        let mut ready = BTreeMap::new();
        let mut opening = Vec::new();
        for (&id, address) in &self.brokers {
            match self.open.get(address).filter(|c| c.is_usable()) {
                Some(connection) => {
                    ready.insert(id, Ok(Arc::clone(connection)));
                }
                None => {
                    let (address, settings) = (address.clone(), Arc::clone(&settings));
                    opening.push(async move {
                        let result = wire::open(&address, &settings).await;
                        (id, address, result)
                    });
                }
            }
        }
        for (id, address, result) in in_flight(16, opening).await {
            match &result {
                Ok(connection) => {
                    self.open.insert(address, Arc::clone(connection));
                }
                Err(error) => self.note(error).await,
            }
            ready.insert(id, result);
        }
        Ok(ready)
    }

    /// What an error says about what we come with.
    async fn note(&mut self, error: &WireError) {
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

    fn settings(&mut self, config: &Config) -> Result<Arc<Settings>, ClusterError> {
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

/// Runs futures side by side, at most `limit` at once; gives what they gave, in no order.
pub(crate) async fn in_flight<F>(limit: usize, futures: Vec<F>) -> Vec<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let mut results = Vec::with_capacity(futures.len());
    let mut running = JoinSet::new();
    for future in futures {
        if running.len() >= limit
            && let Some(Ok(result)) = running.join_next().await
        {
            results.push(result);
        }
        running.spawn(future);
    }
    while let Some(joined) = running.join_next().await {
        // One that panicked has no result; what it was to read stays as it was, with its age.
        results.extend(joined.ok());
    }
    results
}
