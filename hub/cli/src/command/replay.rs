//! `hub replay`: processes received messages once more, from RAW. A message that had its effect has none a
//! second time; what is missing is made. The effects are shown first.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use hub_core::backbone::reader::Reader;
use hub_core::governor::Governor;
use hub_core::ingest::{Ingest, IngestOptions};
use hub_core::subject::{self, StreamName};
use hub_core::translator::stored::read_raw;
use hub_core::{RawMessage, Received, Translator as _};
use schemas::ChannelId;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;
use worker_integration::queries::applied;

use super::operator::{Operator, OperatorArguments};
use crate::kinds::Kind;

/// Arguments of `hub replay`.
#[derive(clap::Args)]
pub(super) struct Replay {
    #[command(flatten)]
    operator: OperatorArguments,
    /// Channel whose messages are meant.
    #[arg(long)]
    channel: ChannelId,
    /// First sequence in RAW.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Last sequence in RAW. Default: the newest.
    #[arg(long)]
    to: Option<u64>,
    /// Only messages received at or after this time (RFC 3339).
    #[arg(long)]
    since: Option<String>,
    /// Most messages.
    #[arg(long, default_value_t = 10_000)]
    limit: usize,
    /// Messages a second, at most.
    #[arg(long, default_value_t = 100)]
    rate: u32,
    /// Only show the effects.
    #[arg(long)]
    dry_run: bool,
    /// Do it without asking (needed when this is no terminal).
    #[arg(long)]
    yes: bool,
    #[arg(long)]
    json: bool,
}

/// What processing them once more would do.
#[derive(Default, serde::Serialize)]
struct Preview {
    messages: usize,
    /// Events that no worker has applied yet, by type.
    missing: BTreeMap<String, usize>,
    /// Events that had their effect and will have none again.
    applied: usize,
    refused: usize,
    not_translated: usize,
}

impl Replay {
    /// Shows, asks, does.
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let operator = Operator::connect(&self.operator).await?;
        let settings = operator.channel(&self.channel)?;
        let packs = crate::compose::packs(&operator.loaded).map_err(crate::compose::problems)?;
        let kind =
            Kind::read(&operator.loaded, &packs, settings).map_err(crate::compose::problems)?;
        let messages = self.collect(&operator).await?;
        let preview = preview(&operator, &kind, &messages).await?;
        self.show(&preview)?;
        if self.dry_run || messages.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        if !self.yes && !asked()? {
            println!("nothing was done");
            return Ok(ExitCode::SUCCESS);
        }
        let tasks = TaskTracker::new();
        let stop = CancellationToken::new();
        let ingest = Ingest::start(
            operator.backbone.clone(),
            operator.tenant.clone(),
            self.channel.clone(),
            IngestOptions::default(),
            Governor::default(),
            stop.clone(),
            &tasks,
        );
        let mut pace =
            tokio::time::interval(Duration::from_secs_f64(1.0 / f64::from(self.rate.max(1))));
        let total = messages.len();
        for (index, message) in messages.into_iter().enumerate() {
            pace.tick().await;
            // what the edge knew belongs to the message: translators read it
            let mut notes = message.notes;
            notes.push(format!("replayed by {}", operator.actor));
            ingest
                .store(Received {
                    id: Some(message.id),
                    bytes: message.bytes,
                    peer: message.peer,
                    received_at: OffsetDateTime::now_utc(),
                    notes,
                    quarantine: message.quarantine,
                    child_of: None,
                })
                .await?;
            if !self.json && (index + 1) % 1000 == 0 {
                println!("{} of {total}", index + 1);
            }
        }
        stop.cancel();
        println!("{total} messages are processed once more");
        Ok(ExitCode::SUCCESS)
    }

    async fn collect(&self, operator: &Operator) -> anyhow::Result<Vec<RawMessage>> {
        let since = self
            .since
            .as_deref()
            .map(|since| OffsetDateTime::parse(since, &Rfc3339))
            .transpose()?;
        let bounds = operator.backbone.bounds(StreamName::Raw).await?;
        let last = self
            .to
            .unwrap_or(bounds.last_sequence)
            .min(bounds.last_sequence);
        let subject = subject::raw(&operator.tenant, &self.channel);
        // a channel's newest record tells where to end
        let newest = operator
            .backbone
            .last_of_subject(StreamName::Raw, &subject)
            .await?
            .map_or(0, |message| message.sequence);
        let last = last.min(newest);
        let mut messages = Vec::new();
        let mut reader = Reader::new(
            operator.backbone.clone(),
            StreamName::Raw,
            vec![subject],
            self.from.saturating_sub(1),
        );
        while messages.len() < self.limit && self.from <= last {
            let stored = reader.next().await;
            let seq = stored.seq;
            if seq > last {
                break;
            }
            let read =
                read_raw(&operator.backbone, stored, &operator.tenant, &self.channel).await?;
            messages.extend(
                read.into_iter()
                    .filter(|message| since.is_none_or(|since| message.received_at >= since)),
            );
            if seq == last {
                break;
            }
        }
        messages.truncate(self.limit);
        Ok(messages)
    }

    fn show(&self, preview: &Preview) -> anyhow::Result<()> {
        if self.json {
            println!("{}", serde_json::to_string_pretty(preview)?);
            return Ok(());
        }
        println!("{} messages of channel {}:", preview.messages, self.channel);
        println!(
            "  {:>8} events had their effect and will have none again",
            preview.applied
        );
        for (name, count) in &preview.missing {
            println!("  {count:>8} {name} will be applied");
        }
        println!(
            "  {:>8} messages are of a type that is not translated, {} are refused",
            preview.not_translated, preview.refused
        );
        Ok(())
    }
}

async fn preview(
    operator: &Operator,
    kind: &Kind,
    messages: &[RawMessage],
) -> anyhow::Result<Preview> {
    let maps = crate::compose::mapping_store(&operator.loaded)
        .map_err(|error| anyhow::anyhow!("{error}"))?
        .current();
    let translator = kind.translator();
    let mut preview = Preview {
        messages: messages.len(),
        ..Preview::default()
    };
    let mut events: Vec<(Uuid, &'static str)> = Vec::new();
    for message in messages {
        match translator.translate(message, &maps) {
            Err(_) => preview.refused += 1,
            Ok(translation) if translation.events.is_empty() => preview.not_translated += 1,
            Ok(translation) => events.extend(
                (0..)
                    .zip(&translation.events)
                    .map(|(index, event)| (schemas::event_id(message.id.0, index), event.name)),
            ),
        }
    }
    for chunk in events.chunks(5000) {
        let ids: Vec<Uuid> = chunk.iter().map(|(id, _)| *id).collect();
        let done: std::collections::BTreeSet<Uuid> = applied(operator.read().await?.conn(), &ids)
            .await?
            .into_iter()
            .map(|row| row.event_id)
            .collect();
        for (id, name) in chunk {
            if done.contains(id) {
                preview.applied += 1;
            } else {
                *preview.missing.entry((*name).to_owned()).or_default() += 1;
            }
        }
    }
    Ok(preview)
}

fn asked() -> anyhow::Result<bool> {
    use std::io::{IsTerminal as _, Write as _};
    if !std::io::stdin().is_terminal() {
        bail!("this is no terminal: give --yes to do it, or --dry-run to only look");
    }
    print!("process them once more? [y/N] ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(answer.trim().eq_ignore_ascii_case("y"))
}
