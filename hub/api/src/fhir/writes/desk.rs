//! What writes share: whose chart, which visit, the command on its way. Makes no resource and knows no type's elements.

use std::fmt::Display;

use axum::http::StatusCode;
use hub_core::Tx;
use hub_fhir::{Kind, Subject};
use schemas::patients::Identifier;
use uuid::Uuid;
use worker_clinical::queries as clinical;

use super::{Desk, Made, refused};
use crate::command::{Sender, Written};
use crate::fhir::doors::Doors;
use crate::fhir::source::Found;
use crate::problem::{FieldProblem, Problem};
use crate::reads::{care, chart, patients as people};

impl Desk<'_> {
    pub(super) fn actor(&self) -> String {
        self.who.username.clone()
    }

    pub(super) async fn tx(&self) -> Result<Tx<'static>, Problem> {
        self.state.read(&self.who.tenant).await
    }

    /// Sends the command. That the version is not the one that the caller saw is 412, also when it is the worker that sees it.
    pub(super) async fn send<B: schemas::Body>(
        &self,
        aggregate: impl Into<String>,
        command: &B,
    ) -> Result<Written, Problem> {
        let sent = Sender::new(self.state, self.who, &self.call.trace)
            .send(aggregate, command)
            .await;
        sent.map_err(|problem| {
            let stale = problem.code.ends_with("stale");
            if stale {
                return Problem {
                    status: StatusCode::PRECONDITION_FAILED,
                    ..problem
                };
            }
            problem
        })
    }

    /// The same of what makes a thing: its id is the worker's word, or the one that was sent.
    pub(super) async fn make<B: schemas::Body>(
        &self,
        aggregate: impl Into<String>,
        command: &B,
        (member, id): (&str, Uuid),
    ) -> Result<Made, Problem> {
        Ok(match self.send(aggregate, command).await? {
            Written::Pending(command) => Made::Pending(command),
            Written::Applied(answer) => Made::New(
                answer
                    .as_ref()
                    .and_then(|answer| Some(answer.get(member)?.as_str()?.to_owned()))
                    .unwrap_or_else(|| id.to_string()),
            ),
        })
    }

    /// A member of the resource, as it is named in a refusal.
    pub(super) fn place(&self, member: &str) -> String {
        format!("{}.{member}", self.wired.kind)
    }

    /// Into whose chart it goes, opened under the permission to write there, and the number of the visit that it belongs to.
    pub(super) async fn chart(
        &self,
        asked: &Subject,
        encounter: Option<Uuid>,
        permission: &'static str,
    ) -> Result<(chart::Subject, Option<String>), Problem> {
        let mut tx = self.tx().await?;
        let nobody = || {
            Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "fhir.no_patient",
                "nobody is meant by the reference to the patient",
            )
        };
        let id = match asked {
            Subject::Patient(id) => *id,
            Subject::Identifier(text) => {
                let found = named(&mut tx, text, "fhir.ambiguous_patient").await?;
                found.ok_or_else(nobody)?.1
            }
        };
        let subject = chart::subject(&mut tx, id).await?.ok_or_else(nobody)?;
        self.opened(&mut tx, permission, Some(subject.patient))
            .await?;
        let visit = self.visit(&mut tx, encounter, subject.patient).await?;
        Ok((subject, visit))
    }

    /// Opens the chart under a permission.
    pub(super) async fn opened(
        &self,
        tx: &mut Tx<'_>,
        permission: &'static str,
        patient: Option<Uuid>,
    ) -> Result<(), Problem> {
        Doors::default()
            .open(self.state, self.call, self.who, tx, permission, patient)
            .await
    }

    /// The number of the visit that it belongs to.
    pub(super) async fn visit(
        &self,
        tx: &mut Tx<'_>,
        encounter: Option<Uuid>,
        patient: Uuid,
    ) -> Result<Option<String>, Problem> {
        let Some(id) = encounter else {
            return Ok(None);
        };
        let unknown = || {
            let member = match self.wired.kind {
                Kind::DocumentReference => "context.encounter",
                _ => "encounter",
            };
            Problem {
                code: "fhir.no_encounter".into(),
                ..self.wrong(
                    member,
                    "the patient has no such encounter, or it has no visit number",
                )
            }
        };
        let (row, _) = clinical::encounter(tx.conn(), id)
            .await?
            .ok_or_else(unknown)?;
        let keys = care::patients_of(tx, [Some(row.subject_key)]).await?;
        if keys.values().flatten().all(|one| *one != patient) {
            return Err(unknown());
        }
        row.visit_number.map(Some).ok_or_else(unknown)
    }

    /// One member can't be taken as it is.
    pub(super) fn wrong(&self, member: &str, words: impl Into<String>) -> Problem {
        let mut problem = refused(Vec::new());
        problem.fields.push(FieldProblem {
            field: self.place(member),
            detail: words.into(),
        });
        problem
    }
}

/// The one identifier that is meant by `system|value`, or a value, and whose it is; `several` is the code of the refusal where
/// it is that of several people.
pub(super) async fn named(
    tx: &mut Tx<'_>,
    text: &str,
    several: &'static str,
) -> Result<Option<(Identifier, Uuid)>, Problem> {
    match people::named(tx, text).await? {
        people::Named::One(identifier) => {
            let person = people::person_of(tx, identifier.key).await?;
            Ok(person.map(|person| (identifier, person.patient_id)))
        }
        people::Named::Several => Err(Problem::new(
            StatusCode::CONFLICT,
            several,
            "several people have this identifier; name its system",
        )),
        people::Named::Nobody => Ok(None),
    }
}

/// The version that was compared is the one that stands.
pub(super) fn compared(found: &Found, version: impl Display) -> Result<(), Problem> {
    if found
        .resource
        .meta
        .version
        .starts_with(&format!("{version}-"))
    {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::CONFLICT,
        "fhir.stale",
        "somebody changed it at this moment: read it again",
    ))
}
