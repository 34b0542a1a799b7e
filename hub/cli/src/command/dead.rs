//! placeholder
#[derive(clap::Args)]
pub struct Dead {}
impl Dead { pub async fn run(self) -> anyhow::Result<std::process::ExitCode> { anyhow::bail!("x") } }
