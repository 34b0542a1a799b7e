//! `hub dead`: dead letters from the command line.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use hub_core::governor::Governor;
use hub_core::ingest::{Ingest, IngestOptions};
use hub_core::publish;
use hub_core::subject::StreamName;
use hub_core::{Position, Received};
use schemas::commands::ResolveDead;
use schemas::{ChannelId, RawId};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;
use worker_integration::queries::{DeadLetter, DeadSearch, dead_letter, dead_letters};

use super::operator::{Operator, OperatorArguments};

/// Arguments of `hub dead`.
#[derive(clap::Args)]
pub(super) struct Dead {
    #[command(flatten)]
    operator: OperatorArguments,
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// List dead letters, newest first.
    List {
        /// open, replayed, resent, discarded, or all.
        #[arg(long, default_value = "open")]
        state: String,
        #[arg(long)]
        channel: Option<String>,
        #[arg(long, default_value_t = 50)]
        limit: i64,
    },
    /// Show one, without its body (bodies are read over REST, which leaves an audit row).
    Show { id: i64 },
    /// Process the original once more, as it is.
    Replay { id: i64 },
    /// Send an edited message as a linked child of the original.
    Resend {
        id: i64,
        /// File with the edited message.
        file: PathBuf,
        #[arg(long)]
        reason: String,
    },
    /// Close it without processing.
    Discard {
        id: i64,
        #[arg(long)]
        reason: String,
    },
}

impl Dead {
    /// Does it.
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let operator = Operator::connect(&self.operator).await?;
        match self.action {
            Action::List {
                state,
                channel,
                limit,
            } => {
                let search = DeadSearch {
                    state: (state != "all").then_some(state),
                    channel,
                    limit,
                    ..DeadSearch::default()
                };
                let letters = dead_letters(operator.read().await?.conn(), &search).await?;
                if self.json {
                    println!("{}", serde_json::to_string_pretty(&letters)?);
                } else {
                    println!("{} dead letters", letters.len());
                    for letter in &letters {
                        println!(
                            "{:>8}  {:<9} {:<10} {:<24} {}",
                            letter.id,
                            letter.state,
                            letter.channel.as_deref().unwrap_or("-"),
                            letter.reason,
                            letter.detail
                        );
                    }
                }
            }
            Action::Show { id } => println!(
                "{}",
                serde_json::to_string_pretty(&find(&operator, id).await?)?
            ),
            Action::Replay { id } => replay(&operator, id).await?,
            Action::Resend { id, file, reason } => resend(&operator, id, &file, reason).await?,
            Action::Discard { id, reason } => {
                resolve(&operator, id, "discarded", None, reason).await?;
                println!("dead letter {id} discarded");
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn find(operator: &Operator, id: i64) -> anyhow::Result<DeadLetter> {
    dead_letter(operator.read().await?.conn(), id)
        .await?
        .with_context(|| format!("there is no dead letter {id}"))
}

async fn resolve(
    operator: &Operator,
    id: i64,
    resolution: &str,
    child: Option<Uuid>,
    reason: String,
) -> anyhow::Result<()> {
    let body = ResolveDead {
        dead_id: id,
        resolution: resolution.into(),
        child,
        reason,
        actor: operator.actor.clone(),
    };
    operator
        .command(&format!("dead-{id}"), &body)
        .await
        .map(|_| ())
}

fn ingest(operator: &Operator, letter: &DeadLetter) -> anyhow::Result<Ingest> {
    let channel = letter
        .channel
        .as_deref()
        .context("the dead letter names no channel")?;
    let channel = ChannelId::new(channel)?;
    operator.channel(&channel)?;
    let tasks = TaskTracker::new();
    Ok(Ingest::start(
        operator.backbone.clone(),
        operator.tenant.clone(),
        channel,
        IngestOptions::default(),
        Governor::default(),
        CancellationToken::new(),
        &tasks,
    ))
}

async fn replay(operator: &Operator, id: i64) -> anyhow::Result<()> {
    let letter = find(operator, id).await?;
    let stream =
        StreamName::parse(&letter.stream).context("the dead letter names no stream of ours")?;
    let position = Position {
        seq: u64::try_from(letter.stream_seq)?,
        index: u16::try_from(letter.record_index)?,
    };
    let Some(kept) = publish::kept(&operator.backbone, stream, position).await? else {
        bail!("the original is no longer kept")
    };
    if stream == StreamName::Raw {
        let received = Received {
            id: letter.raw_id.map(RawId),
            bytes: kept.body,
            peer: None,
            received_at: OffsetDateTime::now_utc(),
            notes: vec!["processed once more at a person's request".into()],
            quarantine: None,
            child_of: None,
        };
        ingest(operator, &letter)?.store(received).await?;
    } else {
        publish::again(&operator.backbone, &kept).await?;
    }
    resolve(
        operator,
        id,
        "replayed",
        None,
        "replayed from the command line".into(),
    )
    .await?;
    println!(
        "dead letter {id} is processed once more; if it is refused again, it comes back as open"
    );
    Ok(())
}

async fn resend(
    operator: &Operator,
    id: i64,
    file: &std::path::Path,
    reason: String,
) -> anyhow::Result<()> {
    let letter = find(operator, id).await?;
    let parent = RawId(
        letter
            .raw_id
            .context("the dead letter names no raw message")?,
    );
    let bytes = std::fs::read(file).with_context(|| file.display().to_string())?;
    let received = Received {
        bytes: bytes.into(),
        peer: None,
        received_at: OffsetDateTime::now_utc(),
        notes: vec!["edited and sent again by a person".into()],
        quarantine: None,
        child_of: Some((parent, Uuid::now_v7())),
        id: None,
    };
    let stored = ingest(operator, &letter)?.store(received).await?;
    resolve(operator, id, "resent", Some(stored.id.0), reason).await?;
    println!(
        "dead letter {id} resent as message {}.{} ({})",
        stored.position.seq, stored.position.index, stored.id
    );
    Ok(())
}
