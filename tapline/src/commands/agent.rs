//! `tapline agent`: the half that reads.

use super::{Outcome, environment};
use crate::cli::AgentArgs;
use crate::config::{self, Flags};
use crate::service::{self, Service};

pub(crate) fn run(args: &AgentArgs) -> anyhow::Result<Outcome> {
    // `--listen` of an agent is its own address, not the collector's.
    let flags = Flags { listen: None, ..args.run.flags() };
    anyhow::ensure!(
        flags.compat.is_empty(),
        "an agent serves no series of groups and offsets: give --compat to the collector"
    );
    let mut settings = config::load(&flags, &environment())?;
    if let Some(listen) = &args.run.listen {
        settings.set_agent_listen(listen)?;
    }
    if let Some(url) = &args.collector {
        settings.set_collector(url)?;
    }
    service::block_on(async move {
        let service = Service::start_agent(&settings).await?;
        service.until_stopped(&settings).await
    })
}
