//! Channels: what their links report, and what an operator wants of them.

use std::collections::BTreeMap;

use hub_core::{Envelope, Outgoing, Refusal, Tx, Verdict, WorkerError};
use schemas::commands::SetChannelState;
use schemas::integration::ChannelStateChanged;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::audit::{Entry, Trail};

/// The newest report of each channel.
#[derive(Debug, Default)]
pub(crate) struct Links(BTreeMap<String, (OffsetDateTime, ChannelStateChanged)>);

impl Links {
    pub(crate) fn note(&mut self, envelope: &Envelope) -> Result<(), Refusal> {
        let report: ChannelStateChanged = envelope.decode()?;
        let at = OffsetDateTime::parse(&report.at, &Rfc3339)
            .map_err(|_| Refusal::new("integration.time", "`at` is not RFC 3339"))?;
        let is_newest = self
            .0
            .get(report.channel.as_str())
            .is_none_or(|(newest, _)| at >= *newest);
        if is_newest {
            self.0
                .insert(report.channel.as_str().to_owned(), (at, report));
        }
        Ok(())
    }

    pub(crate) async fn save(&mut self, tx: &mut Tx<'_>) -> Result<(), WorkerError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let (mut channels, mut kinds, mut links, mut connections) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut addresses, mut errors, mut times) = (Vec::new(), Vec::new(), Vec::new());
        for (channel, (at, report)) in std::mem::take(&mut self.0) {
            channels.push(channel);
            kinds.push(report.kind);
            links.push(report.state.as_str());
            connections.push(i32::try_from(report.connections).unwrap_or(i32::MAX));
            addresses.push(report.address);
            errors.push(report.error);
            times.push(at);
        }
        let tenant = tx.tenant().clone();
        sqlx::query(
            "insert into integration.channels as c (tenant_id, channel, kind, link, connections, address, error, link_at)
             select $1, r.* from unnest($2::text[], $3::text[], $4::text[], $5::integer[], $6::text[], $7::text[],
                                        $8::timestamptz[]) as r
             on conflict (tenant_id, channel) do update
                 set kind = excluded.kind, link = excluded.link, connections = excluded.connections,
                     address = excluded.address, error = excluded.error, link_at = excluded.link_at
                 where c.link_at is null or c.link_at <= excluded.link_at",
        )
        .bind(tenant.as_str())
        .bind(channels)
        .bind(kinds)
        .bind(links)
        .bind(connections)
        .bind(addresses)
        .bind(errors)
        .bind(times)
        .execute(tx.conn())
        .await?;
        Ok(())
    }
}

/// An operator starts, pauses or stops a channel; the processes that run it learn it from the settings bucket.
pub(crate) async fn set(
    tx: &mut Tx<'_>,
    envelope: &Envelope,
    trail: &mut Trail,
) -> Result<Verdict, WorkerError> {
    let command: SetChannelState = match envelope.decode() {
        Ok(command) => command,
        Err(refusal) => return Ok(Verdict::Refused(refusal)),
    };
    let (channel, desired) = (command.channel.as_str(), command.state.as_str());
    let tenant = tx.tenant().clone();
    sqlx::query(
        "insert into integration.channels (tenant_id, channel, desired, changed_by) values ($1, $2, $3, $4)
         on conflict (tenant_id, channel) do update set desired = excluded.desired, changed_by = excluded.changed_by",
    )
    .bind(tenant.as_str())
    .bind(channel)
    .bind(desired)
    .bind(&command.actor)
    .execute(tx.conn())
    .await?;
    trail.add(Entry {
        actor: command.actor,
        action: "integration.channel.set".to_owned(),
        object: format!("channel {channel}"),
        reason: None,
        cause: envelope.id,
        detail: json!({"desired": desired}),
    });
    Ok(Verdict::Applied {
        outgoing: vec![Outgoing::setting(
            envelope,
            0,
            format!("channel.{tenant}.{channel}"),
            json!({"desired": desired}).to_string().into_bytes(),
        )],
        answer: Some(json!({"channel": channel, "desired": desired})),
    })
}
