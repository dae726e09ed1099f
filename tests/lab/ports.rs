//! Free ports of the loopback interface.

use std::net::TcpListener;

use anyhow::{Context, Result};

/// A port that was free a moment ago.
///
/// Another process may take it before it is used: whoever starts a server on it tries again with another.
pub fn free() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("find a free port")?;
    Ok(listener.local_addr()?.port())
}

/// Whether a log tells that the port was lost to somebody else.
pub(crate) fn lost(log: &str) -> bool {
    let log = log.to_lowercase();
    log.contains("address already in use") || log.contains("addrinuse")
}
