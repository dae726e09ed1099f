//! `tapline collector`: the half that merges, watches, judges and exports.

use super::{Outcome, environment};
use crate::cli::RunArgs;
use crate::config;
use crate::service::{self, Service};

pub(crate) fn run(args: &RunArgs) -> anyhow::Result<Outcome> {
    let settings = config::load(&args.flags(), &environment())?;
    service::block_on(async move {
        let service = Service::start_collector(&settings).await?;
        service.until_stopped(&settings).await
    })
}
