//! All that one tenant has, as files: each table as NDJSON, the messages it received and the attachments of its reports, and a
//! manifest that says what is there, with digests, and what is not. Columns that are sealed in the database are open here: who takes
//! his data with him has no master key.
//!
//! Rows are of one moment: one read-only transaction sees them all, as the tenant, so that row-level security lets no other's row
//! in. Messages are those that RAW holds when the rows were seen: none that a row speaks of is missing, unless it has aged out.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures::TryStreamExt as _;
use hub_core::backbone::reader::Reader;
use hub_core::claim;
use hub_core::db::lost_key;
use hub_core::subject::StreamName;
use hub_core::translator::stored::read_raw;
use hub_core::vault::{Columns, Opener};
use schemas::{ChannelId, TenantId};
use serde::Serialize;
use sqlx::{PgConnection, Row as _};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::super::operator::Operator;

const SCHEMAS: [&str; 9] = [
    "users",
    "patients",
    "clinical",
    "billing",
    "accounting",
    "inventory",
    "notifications",
    "audit",
    "integration",
];

/// What a sealed column begins with, as it stands in a row.
const SEALED: &str = "\"sealed:v1:";

/// How long one record may take to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Tables that stay here, and why.
const LEFT_OUT: [(&str, &str); 9] = [
    (
        "users.refresh_tokens",
        "digests of tokens: worth nothing elsewhere",
    ),
    ("users.recovery_codes", "digests of second factors"),
    ("users.client_secrets", "digests of secrets"),
    ("users.invitations", "digests of invitations"),
    (
        "users.used_challenges",
        "marks of some minutes: worth nothing elsewhere",
    ),
    ("integration.inbox", "which messages had their effect here"),
    (
        "integration.outbox",
        "messages on their way inside this hub",
    ),
    ("integration.lanes", "positions of this hub's processes"),
    (
        "integration.data_keys",
        "wrapped keys: what they seal here is open in the export",
    ),
];

/// Columns that stay here.
const SECRETS: [(&str, &str); 2] = [
    ("users.users", "password_hash"),
    ("users.factors", "sealed"),
];

/// What an export is made of.
#[derive(Debug, Serialize)]
pub(super) struct Manifest {
    format: &'static str,
    pub(super) tenant: String,
    made_at: String,
    hub: &'static str,
    /// What the transaction saw (Postgres: `pg_current_snapshot`).
    snapshot: String,
    pub(super) tables: Vec<Table>,
    pub(super) messages: Bodies,
    pub(super) attachments: Bodies,
    pub(super) left_out: Vec<Left>,
    pub(super) unreadable: Unreadable,
}

/// Rows with sealed values that can't be opened: damaged, moved, or their key is lost. They are exported as they are stored.
#[derive(Debug, Default, Serialize)]
pub(super) struct Unreadable {
    pub(super) count: u64,
    rows: Vec<UnreadableRow>,
}

#[derive(Debug, Serialize)]
struct UnreadableRow {
    tenant: String,
    table: String,
    /// Its primary key.
    id: serde_json::Value,
    why: &'static str,
}

impl Manifest {
    pub(super) fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows).sum()
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Table {
    table: String,
    file: String,
    pub(super) rows: u64,
    /// Of the file.
    sha256: String,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Bodies {
    /// One line a body: where it came from, its digest, its file.
    list: String,
    sha256: String,
    pub(super) count: u64,
    bytes: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Left {
    pub(super) what: String,
    pub(super) why: String,
}

fn left(what: impl Into<String>, why: impl Into<String>) -> Left {
    Left {
        what: what.into(),
        why: why.into(),
    }
}

/// A file of lines whose digest is made while it is written.
struct Lines {
    file: BufWriter<File>,
    digest: sha2::Sha256,
    count: u64,
}

impl Lines {
    fn create(path: &Path) -> anyhow::Result<Self> {
        let file = File::create_new(path).with_context(|| path.display().to_string())?;
        Ok(Self {
            file: BufWriter::new(file),
            digest: sha2::Digest::new(),
            count: 0,
        })
    }

    fn line(&mut self, text: &str) -> anyhow::Result<()> {
        for part in [text.as_bytes(), b"\n"] {
            self.file.write_all(part)?;
            sha2::Digest::update(&mut self.digest, part);
        }
        self.count += 1;
        Ok(())
    }

    /// On disk; lines and digest.
    fn finish(self) -> anyhow::Result<(u64, String)> {
        let file = self
            .file
            .into_inner()
            .map_err(|error| anyhow::anyhow!("{error}"))?;
        file.sync_all()?;
        let digest = sha2::Digest::finalize(self.digest);
        let hex = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok((self.count, hex))
    }
}

/// Digest of the manifest as it was written.
pub(super) fn digest_of_manifest(folder: &Path) -> anyhow::Result<String> {
    Ok(claim::digest(&std::fs::read(folder.join("manifest.json"))?))
}

/// Writes it all.
///
/// # Errors
/// The folder is not empty, or something is out of reach; what was written by then has no manifest.
pub(super) async fn export(
    operator: &Operator,
    tenant: &TenantId,
    folder: &Path,
    with_bodies: bool,
) -> anyhow::Result<Manifest> {
    std::fs::create_dir_all(folder.join("tables")).with_context(|| folder.display().to_string())?;
    let others = std::fs::read_dir(folder)?
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name() != "tables")
        .count();
    if others > 0 || std::fs::read_dir(folder.join("tables"))?.next().is_some() {
        bail!("{} is not empty", folder.display());
    }
    let mut tx = operator
        .pool
        .begin()
        .await
        .context("can't read the database")?;
    sqlx::query("set transaction isolation level repeatable read, read only")
        .execute(&mut *tx)
        .await?;
    sqlx::query(
        "select set_config('hub.tenant', $1, true), set_config('statement_timeout', '0', true)",
    )
    .bind(tenant.as_str())
    .execute(&mut *tx)
    .await?;
    let known: bool =
        sqlx::query_scalar("select exists (select from users.tenants where tenant_id = $1)")
            .bind(tenant.as_str())
            .fetch_one(&mut *tx)
            .await?;
    if !known {
        bail!("there is no tenant {tenant}");
    }
    let mut manifest = Manifest {
        format: "sangam tenant export v1",
        tenant: tenant.to_string(),
        made_at: OffsetDateTime::now_utc().format(&Rfc3339)?,
        hub: env!("CARGO_PKG_VERSION"),
        snapshot: sqlx::query_scalar("select pg_current_snapshot()::text")
            .fetch_one(&mut *tx)
            .await?,
        tables: Vec::new(),
        messages: Bodies::default(),
        attachments: Bodies::default(),
        left_out: Vec::new(),
        unreadable: Unreadable::default(),
    };
    let opener = Columns::new(operator.backbone.vault().clone(), false)
        .opener(tenant, &mut tx, None)
        .await
        .context("what is sealed in the database can't be opened")?;
    // a key that may come is waited for; one that is lost closes only what is its own
    opener
        .waits()
        .context("what is sealed in the database can't be opened now")?;
    let mut attachments = BTreeSet::new();
    for (table, readable) in tables(&mut tx).await? {
        if let Some((_, why)) = LEFT_OUT.iter().find(|(name, _)| *name == table) {
            manifest.left_out.push(left(table, *why));
        } else if readable {
            let unreadable = &mut manifest.unreadable;
            let written = rows(
                &mut tx,
                tenant,
                &table,
                folder,
                &opener,
                &mut attachments,
                unreadable,
            )
            .await?;
            manifest.tables.push(written);
        } else {
            manifest
                .left_out
                .push(left(table, "the program may not read it"));
        }
    }
    for (table, column) in SECRETS {
        manifest
            .left_out
            .push(left(format!("{table}.{column}"), "a secret"));
    }
    tx.rollback().await?;
    if with_bodies {
        messages(operator, tenant, folder, &mut manifest).await?;
        attached(operator, tenant, folder, &attachments, &mut manifest).await?;
    } else {
        manifest.left_out.push(left(
            "bodies of messages and attachments",
            "--without-bodies",
        ));
    }
    manifest.left_out.push(left(
        "events, commands and dead letters in NATS",
        "what they did is in the tables, and what they were made of in the messages",
    ));
    let text = serde_json::to_vec_pretty(&manifest)?;
    let mut file = File::create_new(folder.join("manifest.json"))?;
    file.write_all(&text)?;
    file.sync_all()?;
    Ok(manifest)
}

/// Every table that holds tenants' rows, and whether it may be read. A partition is reached through its table.
async fn tables(conn: &mut PgConnection) -> Result<Vec<(String, bool)>, sqlx::Error> {
    sqlx::query_as(
        "select n.nspname || '.' || c.relname, has_table_privilege(c.oid, 'select')
         from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where c.relkind in ('r', 'p') and not c.relispartition and n.nspname = any($1)
           and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped)
         order by 1",
    )
    .bind(&SCHEMAS[..])
    .fetch_all(conn)
    .await
}

async fn rows(
    conn: &mut PgConnection,
    tenant: &TenantId,
    table: &str,
    folder: &Path,
    opener: &Opener,
    attachments: &mut BTreeSet<String>,
    unreadable: &mut Unreadable,
) -> anyhow::Result<Table> {
    let secrets: Vec<&str> = SECRETS
        .iter()
        .filter(|(of, _)| *of == table)
        .map(|(_, column)| *column)
        .collect();
    let key: Vec<String> = sqlx::query_scalar(
        "select quote_ident(a.attname) from pg_index i
         join lateral unnest(i.indkey::smallint[]) with ordinality as k(attnum, n) on true
         join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
         where i.indisprimary and i.indrelid = $1::regclass order by k.n",
    )
    .bind(table)
    .fetch_all(&mut *conn)
    .await?;
    let order = if key.is_empty() {
        String::new()
    } else {
        format!(" order by {}", key.join(", "))
    };
    // the name comes from the catalogue of our own schemas
    let statement = format!("select (to_jsonb(t) - $1::text[])::text from {table} t{order}");
    let file = format!("tables/{table}.ndjson");
    let mut lines = Lines::create(&folder.join(&file))?;
    let mut found = sqlx::query(sqlx::AssertSqlSafe(statement))
        .bind(secrets)
        .fetch(conn);
    while let Some(row) = found.try_next().await? {
        let stored: &str = row.try_get(0)?;
        let text = match opened(opener, table, stored)? {
            Ok(text) => text,
            Err(why) => {
                unreadable.count += 1;
                unreadable.rows.push(UnreadableRow {
                    tenant: tenant.to_string(),
                    table: table.to_owned(),
                    id: named(stored, &key)?,
                    why,
                });
                Cow::Borrowed(stored)
            }
        };
        digests_in(&text, attachments);
        lines.line(&text)?;
    }
    let (rows, sha256) = lines.finish()?;
    Ok(Table {
        table: table.to_owned(),
        file,
        rows,
        sha256,
    })
}

/// A row with what is sealed in it open, or why it does not open.
fn opened<'r>(
    opener: &Opener,
    table: &str,
    row: &'r str,
) -> anyhow::Result<Result<Cow<'r, str>, &'static str>> {
    // most tables have none, and most rows are as they are
    if !row.contains(SEALED) {
        return Ok(Ok(Cow::Borrowed(row)));
    }
    let mut value: serde_json::Value = serde_json::from_str(row)?;
    Ok(
        match worker_clinical::queries::open_exported(opener, table, &mut value) {
            Ok(true) => Ok(Cow::Owned(value.to_string())),
            Ok(false) => Ok(Cow::Borrowed(row)),
            Err(error) => {
                Err(lost_key(&error).unwrap_or("it is damaged, or was moved from another row"))
            }
        },
    )
}

/// The members of a row that its primary key is made of, `tenant_id` aside.
fn named(row: &str, key: &[String]) -> anyhow::Result<serde_json::Value> {
    let row: serde_json::Value = serde_json::from_str(row)?;
    let members = key
        .iter()
        .filter(|column| *column != "tenant_id")
        .map(|column| (column.clone(), row[column.as_str()].clone()))
        .collect::<serde_json::Map<_, _>>();
    Ok(members.into())
}

/// Digests of attachments that a row speaks of, in whatever table: they stand in a member `sha256`.
fn digests_in(row: &str, into: &mut BTreeSet<String>) {
    for part in row.split("\"sha256\":").skip(1) {
        // as Postgres writes it, and as it is written of what was sealed
        let part = part.trim_start().strip_prefix('"').unwrap_or_default();
        if let Some(digest) = part.get(..64).filter(|text| {
            text.bytes()
                .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        }) {
            into.insert(digest.to_owned());
        }
    }
}

async fn messages(
    operator: &Operator,
    tenant: &TenantId,
    folder: &Path,
    manifest: &mut Manifest,
) -> anyhow::Result<()> {
    let all = format!("raw.{tenant}.>");
    let newest = operator
        .backbone
        .last_of_subject(StreamName::Raw, &all)
        .await?
        .map_or(0, |message| message.sequence);
    let mut list = Lines::create(&folder.join("messages.ndjson"))?;
    let mut bytes = 0;
    let mut reader = Reader::new(operator.backbone.clone(), StreamName::Raw, vec![all], 0);
    let mut at = 0;
    while at < newest {
        let stored = tokio::time::timeout(PATIENCE, reader.next())
            .await
            .context("RAW does not give its records")?;
        at = stored.seq;
        if at > newest {
            break;
        }
        let Some(channel) = stored
            .subject
            .split('.')
            .nth(2)
            .and_then(|name| ChannelId::new(name).ok())
        else {
            continue;
        };
        let read = match read_raw(&operator.backbone, stored, tenant, &channel).await {
            Ok(read) => read,
            Err(error) => {
                manifest
                    .left_out
                    .push(left(format!("record {at} of RAW"), error.to_string()));
                continue;
            }
        };
        for message in read {
            let sha256 = claim::digest(&message.bytes);
            let file = store(folder, &sha256, &message.bytes)?;
            bytes += message.bytes.len() as u64;
            list.line(
                &serde_json::json!({
                    "id": message.id, "channel": channel, "sequence": at,
                    "received_at": message.received_at.format(&Rfc3339)?, "notes": message.notes,
                    "size": message.bytes.len(), "sha256": sha256, "file": file,
                })
                .to_string(),
            )?;
        }
    }
    let (count, sha256) = list.finish()?;
    manifest.messages = Bodies {
        list: "messages.ndjson".to_owned(),
        sha256,
        count,
        bytes,
    };
    Ok(())
}

async fn attached(
    operator: &Operator,
    tenant: &TenantId,
    folder: &Path,
    digests: &BTreeSet<String>,
    manifest: &mut Manifest,
) -> anyhow::Result<()> {
    let mut list = Lines::create(&folder.join("attachments.ndjson"))?;
    let mut bytes = 0;
    for sha256 in digests {
        let Some(body) = claim::get(&operator.backbone, tenant, sha256).await? else {
            manifest
                .left_out
                .push(left(format!("attachment {sha256}"), "it is no longer kept"));
            continue;
        };
        let file = store(folder, sha256, &body)?;
        bytes += body.len() as u64;
        list.line(
            &serde_json::json!({ "sha256": sha256, "size": body.len(), "file": file }).to_string(),
        )?;
    }
    let (count, sha256) = list.finish()?;
    manifest.attachments = Bodies {
        list: "attachments.ndjson".to_owned(),
        sha256,
        count,
        bytes,
    };
    Ok(())
}

/// Bytes under their digest; the same bytes once.
fn store(folder: &Path, sha256: &str, bytes: &[u8]) -> anyhow::Result<String> {
    let name = format!("bodies/{}/{sha256}", sha256.get(..2).unwrap_or("--"));
    let path = folder.join(&name);
    if !path.exists() {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(&path, bytes)?;
    }
    Ok(name)
}
