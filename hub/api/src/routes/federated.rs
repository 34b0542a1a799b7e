//! Sign-in by an identity provider (OpenID Connect): which there are, where somebody is sent, and who he is when he is back. Nobody
//! comes in whom nobody here has linked, invited, or whose claim the configuration does not trust.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use schemas::TenantId;
use schemas::sign_in::{Challenge, LinkSubject, Linked, UseSubject};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_identity::queries::{self, Account};

use super::auth::{SignIn, ticket};
use crate::auth::ceremony::{self, LIFETIME, Opened, Step};
use crate::auth::oidc::{self, Flow, Person, Provider, Returned};
use crate::auth::secrets;
use crate::auth::sign_in::{self, FEDERATED, Origin, Proved, may_come_in_by};
use crate::backbone::CommandOutcome;
use crate::command::{Asking, refused};
use crate::extract::{Body, Params};
use crate::page::Page;
use crate::problem::Problem;
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::sign_in::{IdentityProvider, ProviderFlow};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(providers))
        .routes(routes!(start))
        .routes(routes!(finish))
}

/// The hospital that is asked about.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct OfTenant {
    /// The hospital; the installation's own when absent.
    tenant: Option<String>,
}

/// List identity providers
///
/// Ways in beside the password and the passkey, for the buttons of a sign-in page. A hospital that has none, or that there is not,
/// has an empty list.
#[utoipa::path(get, path = "/auth/oidc/providers", tag = "sign-in", params(OfTenant), security(()),
    responses((status = 200, description = "the list is whole", body = Page<IdentityProvider>)))]
async fn providers(
    State(state): State<ApiState>,
    Params(asked): Params<OfTenant>,
) -> Json<Page<IdentityProvider>> {
    let tenant = match &asked.tenant {
        None => Some(state.default_tenant.clone()),
        Some(text) => TenantId::new(text.as_str()).ok(),
    };
    let found = tenant.and_then(|tenant| state.providers.get(&tenant));
    Json(Page::whole(
        found
            .into_iter()
            .flatten()
            .map(|provider| IdentityProvider {
                id: provider.id().to_owned(),
                name: provider.name().to_owned(),
                issuer: provider.issuer().to_owned(),
            })
            .collect(),
    ))
}

/// With which provider, and back to which page.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "provider": "staff", "redirect_uri": "https://app.hospital.example/back" }))]
struct ProviderStart {
    #[schema(max_length = 32)]
    provider: String,
    /// The hospital; the installation's own when absent.
    #[serde(default)]
    tenant: Option<String>,
    /// One of the pages that the configuration names; the first when absent.
    #[serde(default)]
    #[schema(max_length = 2048)]
    redirect_uri: Option<String>,
    /// What an administrator gave: whoever comes back is linked to the user it is for.
    #[serde(default)]
    #[schema(max_length = 128)]
    invitation: Option<String>,
}

/// Sign in by an identity provider: begin
///
/// Where the page sends him, and what it keeps until he is back (good once, for five minutes). The answer comes to the page as
/// `code` and `state`.
#[utoipa::path(post, path = "/auth/oidc/start", tag = "sign-in", request_body = ProviderStart, security(()),
    responses(
        (status = 200, description = "where to go", body = ProviderFlow),
        (status = 401, description = "no hospital has this name (`auth.login`)"),
        (status = 404, description = "no provider has this name here (`oidc.unknown_provider`)"),
        (status = 503, description = "the provider does not answer (`oidc.unavailable`)"),
    ))]
async fn start(
    State(state): State<ApiState>,
    Body(given): Body<ProviderStart>,
) -> Result<Json<ProviderFlow>, Problem> {
    let tenant = match &given.tenant {
        None => state.default_tenant.clone(),
        Some(text) => TenantId::new(text.as_str()).map_err(|_| sign_in::not_admitted())?,
    };
    let provider = oidc::find(&state.providers, &tenant, &given.provider)?;
    begin(
        &state,
        &provider,
        &tenant,
        given.redirect_uri.as_deref(),
        None,
        given.invitation.as_deref(),
    )
    .await
    .map(Json)
}

pub(super) async fn begin(
    state: &ApiState,
    provider: &Provider,
    tenant: &TenantId,
    redirect_uri: Option<&str>,
    user: Option<Uuid>,
    invitation: Option<&str>,
) -> Result<ProviderFlow, Problem> {
    let (authorization_url, flow) = provider
        .begin(tenant, redirect_uri, user, invitation)
        .await?;
    Ok(ProviderFlow {
        authorization_url,
        flow: ceremony::seal(state, Step::Provider, flow)?,
        expires_in: LIFETIME.whole_seconds(),
    })
}

/// What came back to the page.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "flow": "AWx0c2…", "code": "SplxlOBeZQQYbYS6WxSbIA", "state": "af0ifjsldkj" }))]
pub(super) struct ProviderReturn {
    /// What the page kept.
    #[schema(max_length = 8192)]
    pub(super) flow: String,
    #[schema(max_length = 4096)]
    pub(super) code: String,
    #[schema(max_length = 512)]
    pub(super) state: String,
    /// Where the provider sends it (RFC 9207).
    #[serde(default)]
    #[schema(max_length = 2048)]
    pub(super) iss: Option<String>,
}

/// Somebody for whom a provider vouched.
pub(super) struct Vouched {
    pub(super) provider: std::sync::Arc<Provider>,
    pub(super) flow: Flow,
    pub(super) challenge: Challenge,
    pub(super) person: Person,
}

/// Opens the flow and asks the provider.
pub(super) async fn vouched(state: &ApiState, given: &ProviderReturn) -> Result<Vouched, Problem> {
    let opened: Opened<Flow> =
        ceremony::open(state, Step::Provider, &given.flow).ok_or_else(no_flow)?;
    let provider = oidc::find(&state.providers, &opened.what.tenant, &opened.what.provider)?;
    let returned = Returned {
        code: &given.code,
        state: &given.state,
        issuer: given.iss.as_deref(),
    };
    let person = provider.finish(&opened.what, &returned).await?;
    Ok(Vouched {
        provider,
        person,
        flow: opened.what,
        challenge: opened.challenge,
    })
}

pub(super) fn no_flow() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "auth.ceremony",
        "the flow is not valid or has expired; begin again",
    )
}

/// Sign in by an identity provider
///
/// The code is exchanged, the identity token checked (signature, issuer, audience, nonce, times). Who is not linked to a user comes
/// in with an invitation only, or where the configuration trusts a claim of the provider; a claim links nobody whose link was ended,
/// and nobody who may do everything. Who has a second factor here is asked for it, unless the configuration says that the provider
/// asks.
#[utoipa::path(post, path = "/auth/oidc/finish", tag = "sign-in", request_body = ProviderReturn, security(()),
    responses(
        (status = 200, description = "signed in, or the second factor is to come", body = SignIn),
        (status = 401, description = "the flow is none any more (`auth.ceremony`), or what came back does not hold (`oidc.refused`)"),
        (status = 403, description = "nobody here is linked to this person (`oidc.not_linked`)"),
        (status = 404, description = "no provider has this name here (`oidc.unknown_provider`), or the invitation was used meanwhile (`invitations.unknown`)"),
        (status = 409, description = "the flow was used (`challenges.already_used`), or the user is linked to another person (`subjects.exists`)"),
        (status = 503, description = "the provider does not answer (`oidc.unavailable`)"),
    ))]
async fn finish(
    State(state): State<ApiState>,
    origin: Origin,
    trace: Trace,
    Body(given): Body<ProviderReturn>,
) -> Result<Json<SignIn>, Problem> {
    let vouched = vouched(&state, &given).await?;
    // somebody who was signed in began it, to link himself: that ends at /me/identities
    if vouched.flow.user.is_some() {
        return Err(no_flow());
    }
    let amr = vec![FEDERATED.to_owned()];
    let Some((account, link)) = find_user(&state, &vouched).await? else {
        return Err(not_linked(&state, &trace, &vouched.flow.tenant).await);
    };
    let asking = Asking {
        state: &state,
        trace: &trace,
        tenant: &vouched.flow.tenant,
        actor: &account.username,
    };
    if !may_come_in_by(&account, &amr) {
        sign_in::record_failure(&asking, Some(account.id), "auth.oidc_failed").await;
        return Err(unknown_person());
    }
    let roles = vouched.provider.roles_of(&vouched.person);
    let (link_id, challenge) = match link {
        Link::Stands(id) => (id, Some(vouched.challenge.clone())),
        Link::New { linked, invitation } => {
            let command = LinkSubject {
                link_id: Uuid::now_v7(),
                user_id: account.id,
                provider: vouched.provider.id().to_owned(),
                issuer: vouched.provider.issuer().to_owned(),
                subject: vouched.person.subject.clone(),
                challenge: vouched.challenge.clone(),
                linked,
                invitation,
                actor: account.username.clone(),
            };
            let id = command.link_id;
            match settle(ask(&state, &asking, account.id, &command).await?) {
                // a person here ended the link, or the user may do everything: a claim is not enough, and nobody is told which
                Err(problem) if problem.code == "subjects.claim_not_allowed" => {
                    sign_in::record_failure(&asking, Some(account.id), "auth.oidc_failed").await;
                    return Err(unknown_person());
                }
                settled => settled?,
            }
            (id, None)
        }
    };
    let command = UseSubject {
        link_id,
        user_id: account.id,
        challenge,
        roles,
        actor: account.username.clone(),
    };
    settle(ask(&state, &asking, account.id, &command).await?)?;
    state.access.forget();
    metrics::counter!("hub_api_oidc_total", "outcome" => "accepted").increment(1);
    let tenant = vouched.flow.tenant.clone();
    if account.needs_second_factor() && !vouched.provider.second_factor_there() {
        return ticket(&state, tenant, &account, amr).await.map(Json);
    }
    let proved = Proved {
        tenant,
        user: account.id,
        username: account.username.clone(),
        amr,
        must_change: false,
    };
    sign_in::admit(&state, &trace, &origin, proved)
        .await
        .map(|tokens| Json(SignIn::Done(tokens)))
}

/// How a person is known here.
enum Link {
    Stands(Uuid),
    New {
        linked: Linked,
        invitation: Option<String>,
    },
}

/// By issuer and subject; else by the invitation; else by a claim, where the configuration trusts one.
async fn find_user(
    state: &ApiState,
    vouched: &Vouched,
) -> Result<Option<(Account, Link)>, Problem> {
    let provider = &vouched.provider;
    let mut tx = state.read(&vouched.flow.tenant).await?;
    let standing = queries::subject(tx.conn(), provider.issuer(), &vouched.person.subject).await?;
    if let Some(row) = standing {
        let account = queries::account_of(tx.conn(), row.user_id).await?;
        return Ok(account.map(|account| (account, Link::Stands(row.id))));
    }
    if let Some(invitation) = &vouched.flow.invitation {
        let digest = secrets::bytes_of_hex(invitation);
        let Some(user) = queries::invited(tx.conn(), &digest, provider.id()).await? else {
            return Ok(None);
        };
        let account = queries::account_of(tx.conn(), user).await?;
        let link = Link::New {
            linked: Linked::Invitation,
            invitation: Some(invitation.clone()),
        };
        return Ok(account.map(|account| (account, link)));
    }
    let name = provider
        .link_by()
        .and_then(|claim| vouched.person.name_by(claim));
    let Some(name) = name else {
        return Ok(None);
    };
    let account = queries::account(tx.conn(), &name).await?;
    let link = Link::New {
        linked: Linked::Claim,
        invitation: None,
    };
    Ok(account.map(|account| (account, link)))
}

async fn ask<B: schemas::Body>(
    state: &ApiState,
    asking: &Asking<'_>,
    user: Uuid,
    command: &B,
) -> Result<CommandOutcome, Problem> {
    let (_, outcome) = asking
        .ask(sign_in::aggregate(user), command, state.limits.command_wait)
        .await?;
    Ok(outcome)
}

/// Nobody comes in before the worker has looked: a flow that is shown twice, a link that ended.
fn settle(outcome: CommandOutcome) -> Result<(), Problem> {
    match outcome {
        CommandOutcome::Applied { .. } => Ok(()),
        CommandOutcome::Refused { code, detail } => Err(refused(code, detail)),
        CommandOutcome::Pending => Err(Problem::unavailable(
            "oidc.pending",
            "the sign-in could not be put on file in time; begin again",
        )),
    }
}

/// Somebody whom the provider knows and nobody here does: on record, without his name.
async fn not_linked(state: &ApiState, trace: &Trace, tenant: &TenantId) -> Problem {
    let asking = Asking {
        state,
        trace,
        tenant,
        actor: "unknown",
    };
    sign_in::record_failure(&asking, None, "auth.oidc_failed").await;
    unknown_person()
}

fn unknown_person() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "oidc.not_linked",
        "the provider knows you, and no user here is linked to you; ask an administrator for an invitation",
    )
}
