//! placeholder
pub async fn run(_once: bool) -> anyhow::Result<std::process::ExitCode> { anyhow::bail!("x") }
