//! People whom an identity provider vouches for: invited, linked to one user each, signed in, unlinked. A person is issuer and
//! subject, never an address of mail.

use hub_core::{Outgoing, Refusal, Tx, Verdict};
use schemas::identity::GrantChanged;
use schemas::sign_in::{
    InviteSubject, LinkSubject, Linked, MappedRole, UnlinkSubjects, UseSubject,
};
use serde_json::json;
use uuid::Uuid;

use crate::patient_logins::{self, Belongs};
use crate::trail::{self, Entry};
use crate::worker::{Asked, Done, Stop, digest, moment};
use crate::{challenge, queries, roles, sessions, users};

fn unknown() -> Stop {
    Refusal::new("subjects.unknown", "there is no such link").into()
}

pub(crate) async fn invite(tx: &mut Tx<'_>, asked: Asked<'_, InviteSubject>) -> Done {
    let command = &asked.body;
    let secret = digest("digest", &command.digest)?;
    let expires = moment("expires_at", &command.expires_at)?;
    let tenant = tx.tenant().clone();
    // one invitation at a time for one provider: who is sent a new one has lost the old one
    sqlx::query(
        "update users.invitations set expires_at = now()
         where user_id = $1 and provider = $2 and used_at is null and expires_at > now()",
    )
    .bind(command.user_id)
    .bind(&command.provider)
    .execute(tx.conn())
    .await?;
    let made = sqlx::query(
        "insert into users.invitations (tenant_id, digest, user_id, provider, invited_by, expires_at)
         select $1, $2, u.id, $4, $5, $6 from users.users u where u.id = $3 and u.state = 'active'",
    )
    .bind(tenant.as_str())
    .bind(secret)
    .bind(command.user_id)
    .bind(&command.provider)
    .bind(&command.actor)
    .bind(expires)
    .execute(tx.conn())
    .await?;
    if made.rows_affected() == 0 {
        return Err(users::unknown());
    }
    trail::note(
        tx,
        asked.envelope,
        Entry {
            actor: &command.actor,
            action: "auth.subject.invite",
            object: format!("user {}", command.user_id),
            objects: vec![command.user_id],
            reason: None,
            detail: json!({ "provider": command.provider, "expires_at": command.expires_at }),
        },
    )
    .await?;
    Ok(Verdict::applied())
}

pub(crate) async fn link(tx: &mut Tx<'_>, asked: Asked<'_, LinkSubject>) -> Done {
    let command = &asked.body;
    challenge::use_up(tx, &command.challenge).await?;
    if (command.linked == Linked::Invitation) != command.invitation.is_some() {
        return Err(Refusal::new(
            "subjects.form",
            "an invitation is named where one was shown, and nowhere else",
        )
        .into());
    }
    let invitation = match &command.invitation {
        Some(invitation) => Some(shown(tx, command, invitation).await?),
        None => None,
    };
    if command.linked == Linked::Claim && !may_link_by_claim(tx, command).await? {
        return Err(Refusal::new(
            "subjects.claim_not_allowed",
            "a claim links nobody whose link was ended, nor who may do everything: he is invited, or links himself",
        )
        .into());
    }
    let tenant = tx.tenant().clone();
    let made = sqlx::query(
        "insert into users.subjects (tenant_id, id, user_id, provider, issuer, subject, linked, linked_by)
         select $1, $2, u.id, $4, $5, $6, $7, $8 from users.users u where u.id = $3 and u.state = 'active'
         on conflict do nothing",
    )
    .bind(tenant.as_str())
    .bind(command.link_id)
    .bind(command.user_id)
    .bind(&command.provider)
    .bind(&command.issuer)
    .bind(&command.subject)
    .bind(command.linked.as_str())
    .bind(&command.actor)
    .execute(tx.conn())
    .await?;
    if made.rows_affected() == 0 {
        return Err(Refusal::new(
            "subjects.exists",
            "the person is linked to a user, or the user to a person of this provider: unlink first",
        )
        .into());
    }
    // only by a link that is made: a refusal leaves what was written before it
    if let Some(invitation) = invitation {
        sqlx::query("update users.invitations set used_at = now() where digest = $1")
            .bind(invitation)
            .execute(tx.conn())
            .await?;
    }
    trail::note(
        tx,
        asked.envelope,
        Entry {
            actor: &command.actor,
            action: "auth.subject.link",
            object: format!("user {}", command.user_id),
            objects: vec![command.user_id, command.link_id],
            reason: None,
            detail: json!({
                "provider": command.provider, "issuer": command.issuer, "subject": command.subject, "linked": command.linked,
            }),
        },
    )
    .await?;
    Ok(Verdict::Applied {
        outgoing: Vec::new(),
        answer: Some(json!({ "link_id": command.link_id, "user_id": command.user_id })),
    })
}

/// The digest of an invitation that holds for who shows it. Nobody else uses it until this transaction ends.
async fn shown(tx: &mut Tx<'_>, command: &LinkSubject, invitation: &str) -> Result<Vec<u8>, Stop> {
    let found: Option<Vec<u8>> = sqlx::query_scalar(
        "select digest from users.invitations
         where digest = $1 and user_id = $2 and provider = $3 and used_at is null and expires_at > now() for update",
    )
    .bind(digest("invitation", invitation)?)
    .bind(command.user_id)
    .bind(&command.provider)
    .fetch_optional(tx.conn())
    .await?;
    found.ok_or_else(|| {
        Refusal::new(
            "invitations.unknown",
            "the invitation is none, was used, or is out of date",
        )
        .into()
    })
}

/// A claim is a word of the provider's. It does not undo what a person here did, and it is not enough for the keys of the house:
/// where somebody there may be called `admin`, he would be ours. Nor does it make anybody there one of our patients.
async fn may_link_by_claim(tx: &mut Tx<'_>, command: &LinkSubject) -> Result<bool, sqlx::Error> {
    let was_ended: bool = sqlx::query_scalar(
        "select exists (select from users.subjects where ended_at is not null
             and ((issuer = $1 and subject = $2) or (user_id = $3 and provider = $4)))",
    )
    .bind(&command.issuer)
    .bind(&command.subject)
    .bind(command.user_id)
    .bind(&command.provider)
    .fetch_one(tx.conn())
    .await?;
    if was_ended || patient_logins::belongs(tx, command.user_id).await? != Belongs::ToNobody {
        return Ok(false);
    }
    let standing = queries::standing(tx.conn(), command.user_id).await?;
    Ok(standing.is_none_or(|standing| {
        standing.direct.is_empty()
            && !standing
                .grants
                .iter()
                .flat_map(|grant| &grant.permissions)
                .any(|one| one == "*")
    }))
}

pub(crate) async fn use_it(tx: &mut Tx<'_>, asked: Asked<'_, UseSubject>) -> Done {
    let command = &asked.body;
    if let Some(challenge) = &command.challenge {
        challenge::use_up(tx, challenge).await?;
    }
    let provider: Option<String> = sqlx::query_scalar(
        "update users.subjects set last_used_at = now() where id = $1 and user_id = $2 and ended_at is null returning provider",
    )
    .bind(command.link_id)
    .bind(command.user_id)
    .fetch_optional(tx.conn())
    .await?;
    let provider = provider.ok_or_else(unknown)?;
    let Some(wanted) = &command.roles else {
        return Ok(Verdict::applied());
    };
    let changes = Changes {
        asked: &asked,
        by: format!("provider:{provider}"),
        outgoing: Vec::new(),
    };
    let outgoing = changes.bring_about(tx, wanted).await?;
    Ok(Verdict::Applied {
        answer: Some(json!({ "grants_changed": outgoing.len() })),
        outgoing,
    })
}

#[derive(sqlx::FromRow)]
struct Held {
    id: Uuid,
    role: String,
    facility: Option<String>,
    department: Option<String>,
}

impl Held {
    fn is(&self, wanted: &MappedRole) -> bool {
        self.role == wanted.role
            && self.facility == wanted.facility
            && self.department == wanted.department
    }
}

/// Grants that a provider gave, brought to what a person's groups stand for now. Grants that people gave are not touched.
struct Changes<'a> {
    asked: &'a Asked<'a, UseSubject>,
    /// No user's name holds a colon.
    by: String,
    outgoing: Vec<Outgoing>,
}

impl Changes<'_> {
    async fn bring_about(
        mut self,
        tx: &mut Tx<'_>,
        wanted: &[MappedRole],
    ) -> Result<Vec<Outgoing>, Stop> {
        let user = self.asked.body.user_id;
        let held: Vec<Held> = sqlx::query_as(
            "select id, role, facility, department from users.grants
             where user_id = $1 and granted_by = $2 and ended_at is null order by id for update",
        )
        .bind(user)
        .bind(&self.by)
        .fetch_all(tx.conn())
        .await?;
        for grant in &held {
            if !wanted.iter().any(|one| grant.is(one)) {
                sqlx::query(
                    "update users.grants set ended_at = now(), ended_by = $2, end_reason = 'not in the group any more' where id = $1",
                )
                .bind(grant.id)
                .bind(&self.by)
                .execute(tx.conn())
                .await?;
                self.tell(tx, grant.id, &grant.role, false).await?;
            }
        }
        for (place, one) in wanted.iter().enumerate() {
            let stands = held.iter().any(|grant| grant.is(one)) || wanted[..place].contains(one);
            if stands || !is_role(tx, &one.role).await? {
                continue;
            }
            let id = Uuid::now_v7();
            let tenant = tx.tenant().clone();
            sqlx::query(
                "insert into users.grants (tenant_id, id, user_id, role, facility, department, granted_by)
                 values ($1, $2, $3, $4, $5, $6, $7)",
            )
            .bind(tenant.as_str())
            .bind(id)
            .bind(user)
            .bind(&one.role)
            .bind(&one.facility)
            .bind(&one.department)
            .bind(&self.by)
            .execute(tx.conn())
            .await?;
            self.tell(tx, id, &one.role, true).await?;
        }
        Ok(self.outgoing)
    }

    async fn tell(
        &mut self,
        tx: &mut Tx<'_>,
        grant_id: Uuid,
        role: &str,
        given: bool,
    ) -> Result<(), Stop> {
        let user_id = self.asked.body.user_id;
        trail::note(
            tx,
            self.asked.envelope,
            Entry {
                actor: &self.by,
                action: if given {
                    "users.grant.give"
                } else {
                    "users.grant.end"
                },
                object: format!("user {user_id}"),
                objects: vec![user_id, grant_id],
                reason: Some("groups of the identity provider"),
                detail: json!({ "role": role }),
            },
        )
        .await?;
        let event = GrantChanged {
            user_id,
            grant_id,
            role: role.to_owned(),
            given,
            by: self.by.clone(),
        };
        let index = u32::try_from(self.outgoing.len()).unwrap_or(u32::MAX);
        self.outgoing.push(Outgoing::new(
            self.asked.envelope,
            index,
            format!("user/{user_id}"),
            &event,
        ));
        Ok(())
    }
}

/// A group can stand for a role that was retired since: it gives nothing then, and nobody is kept out for it.
async fn is_role(tx: &mut Tx<'_>, code: &str) -> Result<bool, sqlx::Error> {
    if roles::find(code).is_some() {
        return Ok(true);
    }
    let known: bool = sqlx::query_scalar(
        "select exists (select from users.roles where code = $1 and state = 'active')",
    )
    .bind(code)
    .fetch_one(tx.conn())
    .await?;
    if !known {
        tracing::warn!(
            role = code,
            "a group of an identity provider stands for a role that there is not"
        );
    }
    Ok(known)
}

pub(crate) async fn unlink(tx: &mut Tx<'_>, asked: Asked<'_, UnlinkSubjects>) -> Done {
    let command = &asked.body;
    let providers: Vec<String> = sqlx::query_scalar(
        "update users.subjects set ended_at = now(), ended_by = $3, end_reason = $4
         where user_id = $1 and ($2::uuid is null or id = $2) and ended_at is null returning provider",
    )
    .bind(command.user_id)
    .bind(command.link_id)
    .bind(&command.actor)
    .bind(&command.reason)
    .fetch_all(tx.conn())
    .await?;
    // an invitation that lies about would link him again
    let invitations = sqlx::query(
        "update users.invitations set expires_at = now()
         where user_id = $1 and ($2::uuid is null or provider = any ($3)) and used_at is null and expires_at > now()",
    )
    .bind(command.user_id)
    .bind(command.link_id)
    .bind(&providers)
    .execute(tx.conn())
    .await?
    .rows_affected();
    if providers.is_empty() && invitations == 0 {
        return Err(unknown());
    }
    let ended = sessions::end_opened_by(
        tx,
        command.user_id,
        "federated",
        None,
        &command.actor,
        "unlinked",
    )
    .await?;
    let mut objects = vec![command.user_id];
    objects.extend(command.link_id);
    trail::note(
        tx,
        asked.envelope,
        Entry {
            actor: &command.actor,
            action: "auth.subject.unlink",
            object: format!("user {}", command.user_id),
            objects,
            reason: Some(&command.reason),
            detail: json!({ "links": providers.len(), "invitations": invitations, "sessions_ended": ended }),
        },
    )
    .await?;
    Ok(Verdict::Applied {
        outgoing: Vec::new(),
        answer: Some(json!({
            "unlinked": providers.len(), "invitations_ended": invitations, "sessions_ended": ended,
        })),
    })
}
