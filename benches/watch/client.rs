//! The lab's connection, for threads that wait.

use anyhow::Result;
use kafka_protocol::protocol::Request;
use lab::Wire;
use tokio::runtime::Handle;

pub(crate) struct Client {
    wire: Wire,
    runtime: Handle,
}

impl Client {
    /// Connects to `host:port`; the runtime is the one that sees to the connection.
    pub(crate) fn connect(address: &str, runtime: &Handle) -> Result<Self> {
        Ok(Self { wire: runtime.block_on(Wire::connect(address))?, runtime: runtime.clone() })
    }

    /// Sends a request in a version and awaits its answer.
    pub(crate) fn call<R: Request>(&mut self, request: &R, version: i16) -> Result<R::Response> {
        self.runtime.block_on(self.wire.call(request, version))
    }
}
