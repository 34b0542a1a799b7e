//! placeholder
pub async fn run(_c: &super::ConfigArgument, _json: bool) -> anyhow::Result<std::process::ExitCode> { anyhow::bail!("x") }
