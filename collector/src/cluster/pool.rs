//! The open connections of one cluster, a broker each, and running requests over them.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::ClusterError;
use super::config::{Address, Config};
use super::wire::{self, Connection, Settings, TlsContext, Traffic, WireError};

/// Connections by address; brokers by id, as the last metadata named them.
pub(crate) struct Pool {
    settings: Option<Arc<Settings>>,
    brokers: BTreeMap<i32, Address>,
    open: BTreeMap<Address, Arc<Connection>>,
    traffic: Arc<Traffic>,
}

impl Pool {
    pub(crate) fn new() -> Self {
        Self { settings: None, brokers: BTreeMap::new(), open: BTreeMap::new(), traffic: Arc::default() }
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
                    self.note(&error);
                    if matches!(error, WireError::Authentication { .. }) {
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
                Err(error) => self.note(error),
            }
            ready.insert(id, result);
        }
        Ok(ready)
    }

    /// Certificates may have been renewed when TLS fails: they are read again for the next try.
    fn note(&mut self, error: &WireError) {
        if matches!(error, WireError::Tls { .. }) {
            self.settings = None;
        }
    }

    fn settings(&mut self, config: &Config) -> Result<Arc<Settings>, ClusterError> {
        if let Some(settings) = &self.settings {
            return Ok(Arc::clone(settings));
        }
        let tls = match &config.tls {
            None => None,
            Some(tls) => Some(TlsContext::new(tls).map_err(ClusterError::Configuration)?),
        };
        let settings = Arc::new(Settings {
            client_id: config.client_id.clone(),
            connect_timeout: config.connect_timeout,
            request_timeout: config.request_timeout,
            frame_bytes_max: config.limits.frame_bytes,
            elements_max: config.limits.elements,
            tls,
            sasl: config.sasl.clone(),
            traffic: Arc::clone(&self.traffic),
        });
        self.settings = Some(Arc::clone(&settings));
        Ok(settings)
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
