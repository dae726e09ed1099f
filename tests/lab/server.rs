//! What the HTTP servers of the lab have in common: a folder, a process, a port, and being ready.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};

use crate::place::Folder;
use crate::process::{Process, Signal};
use crate::{http, ports, wait};

const READY: Duration = Duration::from_secs(120);

/// A server that answers.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) folder: Arc<Folder>,
    pub(crate) ports: Vec<u16>,
    name: &'static str,
    ready: &'static str,
    command: Command,
    process: Mutex<Option<Process>>,
}

impl Server {
    /// Starts what `command` makes of a folder and free ports, and waits until the first of them answers a GET of
    /// `ready`; with other ports when one was lost to somebody else. An empty `ready` means that any answer will do.
    pub(crate) async fn start<const PORTS: usize>(
        name: &'static str,
        ready: &'static str,
        command: impl Fn(&Path, [u16; PORTS]) -> Result<Command>,
    ) -> Result<Self> {
        let mut tries = 0;
        loop {
            tries += 1;
            let mut ports = [0; PORTS];
            for port in &mut ports {
                *port = ports::free()?;
            }
            let folder = Arc::new(Folder::new()?);
            let server = Self {
                command: command(folder.path(), ports)?,
                folder,
                ports: ports.to_vec(),
                name,
                ready,
                process: Mutex::new(None),
            };
            match server.launch().await {
                Ok(()) => return Ok(server),
                Err(error) if tries == 3 || !ports::lost(&format!("{error:#}")) => return Err(error),
                Err(_) => {}
            }
        }
    }

    /// The address of one of its ports, without a slash at the end.
    pub(crate) fn url(&self, port: usize) -> String {
        format!("http://127.0.0.1:{}", self.ports[port])
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.slot().as_ref().map(Process::pid)
    }

    /// Ends it at once; [`Server::launch`] brings it back on the same ports.
    pub(crate) async fn kill(&self) -> Result<()> {
        let process = self.slot().take();
        if let Some(mut process) = process {
            process.signal(Signal::Kill)?;
            process.wait(Duration::from_secs(20)).await?;
        }
        Ok(())
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        match self.slot().as_ref() {
            Some(process) => process.signal(signal),
            None => bail!("{} does not run", self.name),
        }
    }

    pub(crate) async fn launch(&self) -> Result<()> {
        *self.slot() = Some(Process::start(&self.folder, self.name, &self.command)?);
        let url = format!("{}{}", self.url(0), self.ready);
        let answered = wait::eventually(&format!("{} answers", self.name), READY, async || {
            if let Some(Err(ended)) = self.slot().as_mut().map(Process::must_run) {
                return Ok(Err(ended));
            }
            if self.ready.is_empty() {
                http::http().get(&url).send().await?;
            } else {
                http::get_text(&url).await?;
            }
            Ok(Ok(()))
        })
        .await;
        match answered {
            Ok(result) => result,
            Err(error) => {
                let tail = self.slot().as_ref().map(Process::log_tail).unwrap_or_default();
                bail!("{error:#}; {tail}")
            }
        }
    }

    fn slot(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
