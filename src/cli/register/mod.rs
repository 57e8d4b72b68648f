//! `ingate register VENDOR`: has a vendor that takes registrations by its API send its events to a source.
//!
//! Promise: the secret and the vendor's token are never on a command line, in what is printed or in an error, also where
//! the vendor repeats them. A vendor is a file beside this one and a variant below. Not here: vendors whose
//! dashboards do it.

mod vendor;
mod wingspan;

use clap::{Args, Subcommand};

use super::Outcome;

#[derive(Debug, Args)]
pub(super) struct RegisterArgs {
    #[command(subcommand)]
    vendor: Vendor,
}

#[derive(Debug, Subcommand)]
enum Vendor {
    /// Have Wingspan send events: url, secret and events go to the preference call of its API
    Wingspan(wingspan::WingspanArgs),
}

pub(super) fn run(args: &RegisterArgs) -> Outcome {
    match &args.vendor {
        Vendor::Wingspan(args) => wingspan::run(args),
    }
}
