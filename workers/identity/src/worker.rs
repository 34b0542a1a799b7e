//! The worker: commands of people, and merges of patients who may have log-ins, one after the other. There are few of them, so
//! nothing is gathered.

use hub_core::{Envelope, Refusal, Tx, Verdict, Worker, WorkerError};
use schemas::Body;
use schemas::identity::{
    BreakGlass, ChangeClient, ChangeUser, ConfirmFactor, CreateClient, CreateUser, DefineRole,
    EndGrant, EndSessions, EnrolFactor, GiveGrant, OpenSession, ProveFactor, RemoveFactor,
    ReviewGlass, RotateClientSecret, RotateSession, SetPassword, SetUserState,
};
use schemas::patients::{PatientMerged, PatientUnmerged};
use schemas::platform::{
    ChangeTenant, CreateTenant, DefinePlan, RecordTenantExport, SetTenantState,
};
use schemas::portal::{EndPatientLogin, OpenPatientLogin};
use schemas::sign_in::{
    AddPasskey, InviteSubject, LinkSubject, RemovePasskeys, RenamePasskey, UnlinkSubjects,
    UsePasskey, UseSubject,
};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use crate::{
    clients, factors, glass, grants, passkeys, patient_logins, roles, sessions, subjects, tenants,
    users,
};

/// Owns the schema `users`.
#[derive(Debug, Default, Clone, Copy)]
pub struct IdentityWorker;

/// A command and the message it came in.
pub(crate) struct Asked<'a, T> {
    pub(crate) envelope: &'a Envelope,
    pub(crate) body: T,
}

/// A verdict, or the refusal that takes its place.
pub(crate) enum Stop {
    Refused(Refusal),
    Failed(WorkerError),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<sqlx::Error> for Stop {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(WorkerError(error))
    }
}

pub(crate) type Done = Result<Verdict, Stop>;

impl Worker for IdentityWorker {
    const NAME: &'static str = "identity";
    const CONSUMES: &'static [&'static str] = &[
        CreateUser::NAME,
        ChangeUser::NAME,
        SetUserState::NAME,
        SetPassword::NAME,
        DefineRole::NAME,
        GiveGrant::NAME,
        EndGrant::NAME,
        OpenSession::NAME,
        RotateSession::NAME,
        EndSessions::NAME,
        EnrolFactor::NAME,
        ConfirmFactor::NAME,
        ProveFactor::NAME,
        RemoveFactor::NAME,
        CreateClient::NAME,
        ChangeClient::NAME,
        RotateClientSecret::NAME,
        BreakGlass::NAME,
        ReviewGlass::NAME,
        CreateTenant::NAME,
        ChangeTenant::NAME,
        SetTenantState::NAME,
        RecordTenantExport::NAME,
        DefinePlan::NAME,
        AddPasskey::NAME,
        RenamePasskey::NAME,
        RemovePasskeys::NAME,
        UsePasskey::NAME,
        InviteSubject::NAME,
        LinkSubject::NAME,
        UseSubject::NAME,
        UnlinkSubjects::NAME,
        OpenPatientLogin::NAME,
        EndPatientLogin::NAME,
        PatientMerged::NAME,
        PatientUnmerged::NAME,
    ];

    async fn apply(
        &self,
        tx: &mut Tx<'_>,
        batch: &[Envelope],
    ) -> Result<Vec<Verdict>, WorkerError> {
        let mut verdicts = Vec::with_capacity(batch.len());
        for envelope in batch {
            verdicts.push(match decide(tx, envelope).await {
                Ok(verdict) => verdict,
                Err(Stop::Refused(refusal)) => Verdict::Refused(refusal),
                Err(Stop::Failed(error)) => return Err(error),
            });
        }
        Ok(verdicts)
    }
}

async fn decide(tx: &mut Tx<'_>, envelope: &Envelope) -> Done {
    match envelope.name.as_str() {
        CreateUser::NAME => users::create(tx, asked(envelope)?).await,
        ChangeUser::NAME => users::change(tx, asked(envelope)?).await,
        SetUserState::NAME => users::set_state(tx, asked(envelope)?).await,
        SetPassword::NAME => users::set_password(tx, asked(envelope)?).await,
        DefineRole::NAME => roles::define(tx, asked(envelope)?).await,
        GiveGrant::NAME => grants::give(tx, asked(envelope)?).await,
        EndGrant::NAME => grants::end(tx, asked(envelope)?).await,
        OpenSession::NAME => sessions::open(tx, asked(envelope)?).await,
        RotateSession::NAME => sessions::rotate(tx, asked(envelope)?).await,
        EndSessions::NAME => sessions::end(tx, asked(envelope)?).await,
        EnrolFactor::NAME => factors::enrol(tx, asked(envelope)?).await,
        ConfirmFactor::NAME => factors::confirm(tx, asked(envelope)?).await,
        ProveFactor::NAME => factors::prove(tx, asked(envelope)?).await,
        RemoveFactor::NAME => factors::remove(tx, asked(envelope)?).await,
        CreateClient::NAME => clients::create(tx, asked(envelope)?).await,
        ChangeClient::NAME => clients::change(tx, asked(envelope)?).await,
        RotateClientSecret::NAME => clients::rotate_secret(tx, asked(envelope)?).await,
        BreakGlass::NAME => glass::broken(tx, asked(envelope)?).await,
        ReviewGlass::NAME => glass::review(tx, asked(envelope)?).await,
        CreateTenant::NAME => tenants::create(tx, asked(envelope)?).await,
        ChangeTenant::NAME => tenants::change(tx, asked(envelope)?).await,
        SetTenantState::NAME => tenants::set_state(tx, asked(envelope)?).await,
        RecordTenantExport::NAME => tenants::exported(tx, asked(envelope)?).await,
        DefinePlan::NAME => tenants::define_plan(tx, asked(envelope)?).await,
        AddPasskey::NAME => passkeys::add(tx, asked(envelope)?).await,
        RenamePasskey::NAME => passkeys::rename(tx, asked(envelope)?).await,
        RemovePasskeys::NAME => passkeys::remove(tx, asked(envelope)?).await,
        UsePasskey::NAME => passkeys::use_it(tx, asked(envelope)?).await,
        InviteSubject::NAME => subjects::invite(tx, asked(envelope)?).await,
        LinkSubject::NAME => subjects::link(tx, asked(envelope)?).await,
        UseSubject::NAME => subjects::use_it(tx, asked(envelope)?).await,
        UnlinkSubjects::NAME => subjects::unlink(tx, asked(envelope)?).await,
        OpenPatientLogin::NAME => patient_logins::open(tx, asked(envelope)?).await,
        EndPatientLogin::NAME => patient_logins::end(tx, asked(envelope)?).await,
        PatientMerged::NAME => patient_logins::merged(tx, asked(envelope)?).await,
        PatientUnmerged::NAME => patient_logins::unmerged(tx, asked(envelope)?).await,
        other => Err(Refusal::new(
            "envelope.type",
            format!("{other} is none of the identity worker's messages"),
        )
        .into()),
    }
}

fn asked<T: Body>(envelope: &Envelope) -> Result<Asked<'_, T>, Stop> {
    Ok(Asked {
        envelope,
        body: envelope.decode()?,
    })
}

/// A time of a command.
pub(crate) fn moment(field: &'static str, text: &str) -> Result<OffsetDateTime, Stop> {
    schemas::moment::read(text)
        .ok_or_else(|| Refusal::new("identity.time", format!("`{field}` is not RFC 3339")).into())
}

/// A SHA-256 digest of a command.
pub(crate) fn digest(field: &'static str, text: &str) -> Result<Vec<u8>, Stop> {
    let bytes = text.as_bytes();
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    let decoded: Option<Vec<u8>> = bytes
        .chunks_exact(2)
        .map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?))
        .collect();
    decoded
        .filter(|decoded| decoded.len() == 32 && bytes.len() == 64)
        .ok_or_else(|| {
            Refusal::new("identity.digest", format!("`{field}` is no SHA-256 in hex")).into()
        })
}

/// SHA-256 in hex, as commands carry it.
#[must_use]
pub fn hex_digest(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(bytes)
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
