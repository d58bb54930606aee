//! What runs in a measured process. It prints one JSON line of what it did.

use clap::ValueEnum;
use serde::Deserialize;

use crate::{error::BenchError, floor, measure::Done, reader, stage::Places};

/// One measured process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Which {
    /// The people of an app, through our client.
    OktaRead,
    /// The same pages, by a bare loop.
    OktaFloor,
    /// All users, listed through our client and digested as a pass does.
    TeleportList,
    /// The same list, by a bare loop.
    TeleportFloor,
    /// Both bare loops.
    PassFloor,
    /// Everybody read and made, one call at a time.
    ImportFloor1,
    /// The same, eight calls at a time.
    ImportFloor8,
    /// The same, thirty-two calls at a time.
    ImportFloor32,
}

impl Which {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::OktaRead => "okta-read",
            Self::OktaFloor => "okta-floor",
            Self::TeleportList => "teleport-list",
            Self::TeleportFloor => "teleport-floor",
            Self::PassFloor => "pass-floor",
            Self::ImportFloor1 => "import-floor1",
            Self::ImportFloor8 => "import-floor8",
            Self::ImportFloor32 => "import-floor32",
        }
    }
}

/// Runs it against the simulator that `place` tells of.
pub fn run(which: Which, place: &str) -> Result<(), BenchError> {
    // A client of one kind may have installed it already; which one did makes no difference.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(BenchError::system("starting the runtime"))?;
    let done = match which {
        Which::OktaRead => runtime.block_on(reader::people(&read::<Places>(place)?.okta)),
        Which::OktaFloor => runtime.block_on(floor::people(&read::<Places>(place)?.okta)),
        Which::TeleportList => runtime.block_on(reader::users(&read::<Places>(place)?)),
        Which::TeleportFloor => runtime.block_on(floor::users(&read::<Places>(place)?.teleport)),
        Which::PassFloor => runtime.block_on(floor::both(&read::<Places>(place)?)),
        Which::ImportFloor1 => runtime.block_on(floor::import(&read::<Places>(place)?, 1)),
        Which::ImportFloor8 => runtime.block_on(floor::import(&read::<Places>(place)?, 8)),
        Which::ImportFloor32 => runtime.block_on(floor::import(&read::<Places>(place)?, 32)),
    }?;
    let line = serde_json::to_string::<Done>(&done).map_err(|error| BenchError::unreadable("the outcome", &error))?;
    println!("{line}");
    Ok(())
}

fn read<P: for<'de> Deserialize<'de>>(place: &str) -> Result<P, BenchError> {
    serde_json::from_str(place).map_err(|error| BenchError::unreadable("the place", &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_found_by_the_name_that_it_is_started_under() {
        for which in Which::value_variants() {
            assert_eq!(Which::from_str(which.name(), false), Ok(*which));
        }
    }
}
