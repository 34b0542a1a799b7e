//! `hub send`: files over MLLP.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use adapter_hl7v2::client::Sender;
use anyhow::Context as _;
use tokio::net::TcpStream;

/// Arguments of `hub send`.
#[derive(clap::Args)]
pub(super) struct Send {
    /// Files; each is sent as one message, exactly as it is.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Where to.
    #[arg(long, env = "HUB_MLLP_ADDR", default_value = "127.0.0.1:2575")]
    to: SocketAddr,
    /// Seconds to wait for each acknowledgement.
    #[arg(long, default_value_t = 10)]
    timeout: u64,
    #[arg(long)]
    json: bool,
}

impl Send {
    /// Sends; exit code 1 when any message was not accepted.
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let stream = TcpStream::connect(self.to)
            .await
            .with_context(|| format!("can't connect to {}", self.to))?;
        stream.set_nodelay(true)?;
        let mut sender = Sender::new(stream, Duration::from_secs(self.timeout));
        let mut all_accepted = true;
        for file in &self.files {
            let content = std::fs::read(file).with_context(|| file.display().to_string())?;
            let ack = sender
                .send(&content)
                .await
                .with_context(|| file.display().to_string())?;
            all_accepted &= ack.code.is_accept();
            if self.json {
                println!(
                    "{}",
                    serde_json::json!({"file": file, "ack": ack.code.as_str(), "control_id": String::from_utf8_lossy(&ack.control_id), "text": ack.text})
                );
            } else {
                println!(
                    "{}  {}  {}",
                    ack.code.as_str(),
                    file.display(),
                    ack.text.unwrap_or_default()
                );
            }
        }
        Ok(if all_accepted {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}
