//! The program `hub`: the one place that knows every room, and wires them.

mod code_files;
mod command;
mod compose;
mod home;
mod kinds;
mod rest;
mod simulate;

use std::process::ExitCode;

use clap::Parser as _;

/// Gives freed memory back while the program is idle (background threads), and is quick with many small blocks.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let line = command::Line::parse();
    hub_core::telemetry::start_logs(line.log_format());
    // two worker threads by default would do on small machines, the default (one a core) on larger ones
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("hub: can't start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(line.run());
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("hub: {error:#}");
            ExitCode::FAILURE
        }
    }
}
