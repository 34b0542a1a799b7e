//! What all routes of charts share: whose chart, may he, which entry, what is done to it. Has no routes of its own.

use axum::Json;
use axum::response::Response;
use hub_core::Tx;
use schemas::chart::{ChangeEntry, Content, EntryAction};
use serde::Deserialize;
use uuid::Uuid;
use worker_clinical::queries::{self, ChartFilter, ChartRow};

use super::asking::Desk;
use super::patients::no_patient;
use crate::auth::chart;
use crate::auth::permission::Permission;
use crate::command::Placed;
use crate::if_match::tagged;
use crate::page::{Cursor, Limit, Moment, Page};
use crate::problem::Problem;
use crate::reads::chart::{self as reads, Subject};
use crate::views::chart::Charted;
use crate::views::integration::Applied;

/// Which entries of a chart.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Search {
    /// The code: of the substance, of ICD-10; kind of note or document.
    pub(super) code: Option<String>,
    pub(super) state: Option<String>,
    /// Recorded at or after this time.
    #[param(value_type = Option<String>, format = DateTime)]
    pub(super) from: Option<Moment>,
    /// Recorded before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    pub(super) to: Option<Moment>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    pub(super) cursor: Option<Cursor>,
    /// 1 to 500.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500, default = 50)]
    pub(super) limit: Limit,
}

impl Search {
    pub(super) fn filter(&self) -> ChartFilter {
        ChartFilter {
            code: self.code.clone(),
            state: self.state.clone(),
            from: self.from.map(|moment| moment.0),
            to: self.to.map(|moment| moment.0),
            ..ChartFilter::default()
        }
    }
}

impl<P: Permission> Desk<P> {
    /// The patient, once it is clear that the caller may open the chart.
    pub(super) async fn subject(&self, tx: &mut Tx<'_>, id: Uuid) -> Result<Subject, Problem> {
        let subject = reads::subject(tx, id).await?.ok_or_else(no_patient)?;
        chart::open(
            &self.state,
            &self.trace,
            self.who(),
            P::NAME,
            tx,
            subject.patient,
            &subject.keys,
        )
        .await?;
        Ok(subject)
    }

    /// The patient alone, for a write that says what is new.
    pub(super) async fn patient(&self, id: Uuid) -> Result<Subject, Problem> {
        let mut tx = self.tx().await?;
        self.subject(&mut tx, id).await
    }

    /// Opens the chart that a row is in; the patient, and all keys.
    pub(super) async fn opened(
        &self,
        tx: &mut Tx<'_>,
        subject_key: Uuid,
    ) -> Result<(Option<Uuid>, Vec<Uuid>), Problem> {
        let (patient, keys) = reads::whose(tx, subject_key).await?;
        chart::open(
            &self.state,
            &self.trace,
            self.who(),
            P::NAME,
            tx,
            patient.unwrap_or_default(),
            &keys,
        )
        .await?;
        Ok((patient, keys.into_keys().collect()))
    }

    /// An entry of one kind, its chart opened; the person's keys.
    pub(super) async fn entry(
        &self,
        tx: &mut Tx<'_>,
        kind: Option<&str>,
        id: Uuid,
    ) -> Result<(ChartRow, Option<Uuid>, Vec<Uuid>), Problem> {
        let row = queries::chart_entry(tx, id)
            .await?
            .filter(|row| kind.is_none_or(|kind| row.kind == kind))
            .ok_or_else(no_entry)?;
        let (patient, keys) = self.opened(tx, row.subject_key).await?;
        Ok((row, patient, keys))
    }
}

pub(super) fn no_entry() -> Problem {
    Problem::unknown("clinical.entry_unknown", "no entry has this id")
}

/// A page of one kind.
pub(super) async fn list<T: Charted, P: Permission>(
    desk: &Desk<P>,
    patient: Uuid,
    search: &Search,
) -> Result<Json<Page<T>>, Problem> {
    let mut tx = desk.tx().await?;
    let subject = desk.subject(&mut tx, patient).await?;
    reads::entries(
        &mut tx,
        &subject.keys,
        search.filter(),
        search.cursor.as_ref(),
        search.limit,
    )
    .await
    .map(Json)
}

/// One entry with its ETag.
pub(super) async fn read<T: Charted, P: Permission>(
    desk: &Desk<P>,
    id: Uuid,
) -> Result<Response, Problem> {
    let mut tx = desk.tx().await?;
    let (row, patient, _) = desk.entry(&mut tx, Some(T::KIND), id).await?;
    let view: T = reads::view(row, patient)?;
    Ok(tagged(&view, view.version()))
}

/// Sends what makes an entry; 201 with its place.
pub(super) async fn make<P: Permission, B: schemas::Body>(
    desk: &Desk<P>,
    subject: &Subject,
    id: Uuid,
    folder: &str,
    command: &B,
) -> Result<Response, Problem> {
    let written = desk.sender().send(subject.aggregate(), command).await?;
    Ok(written.respond_placed(|answer| Placed {
        location: format!("/api/v1/{folder}/{id}"),
        created: true,
        view: Applied::with(answer),
    }))
}

/// What is done to an entry that stands.
pub(super) struct Doing {
    pub(super) kind: &'static str,
    pub(super) seen: Option<i32>,
    pub(super) action: EntryAction,
    pub(super) content: Option<Content>,
    pub(super) reason: Option<String>,
}

/// Edits an entry or brings it into another state.
pub(super) async fn change<P: Permission>(
    desk: &Desk<P>,
    id: Uuid,
    doing: Doing,
) -> Result<Response, Problem> {
    let row = {
        let mut tx = desk.tx().await?;
        desk.entry(&mut tx, Some(doing.kind), id).await?.0
    };
    let command = ChangeEntry {
        entry_id: id,
        seen: doing.seen,
        action: doing.action,
        content: doing.content,
        reason: doing
            .reason
            .map(|words| super::text("reason", words))
            .transpose()?,
        actor: desk.actor(),
    };
    let written = desk
        .sender()
        .send(row.subject_key.to_string(), &command)
        .await?;
    Ok(written.respond(Applied::with))
}
