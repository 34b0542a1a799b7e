//! placeholder
pub async fn run(_s: Option<&str>, _json: bool) -> anyhow::Result<std::process::ExitCode> { anyhow::bail!("x") }
