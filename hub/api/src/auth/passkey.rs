//! Passkeys: what WebAuthn (Level 3) wants asked and checked, done by `webauthn_rp`. Credentials are client-side discoverable and
//! their user is verified (PIN, finger, face), so one alone is two factors. Nothing is stored or decided here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hub_core::config::PasskeySettings;
use serde_json::Value;
use uuid::Uuid;
use webauthn_rp::bin::{Decode, Encode};
use webauthn_rp::request::auth::{AuthenticationVerificationOptions, SignatureCounterEnforcement};
use webauthn_rp::request::register::{
    Nickname, PublicKeyCredentialUserEntity, RegistrationVerificationOptions, UserHandle, Username,
};
use webauthn_rp::request::{AsciiDomain, PublicKeyCredentialDescriptor, RpId};
use webauthn_rp::response::register::{CompressedPubKey, DynamicState, StaticState};
use webauthn_rp::response::{AuthTransports, Backup, CredentialId};
use webauthn_rp::{
    AuthenticatedCredential, DiscoverableAuthentication, DiscoverableAuthenticationServerState,
    DiscoverableCredentialRequestOptions, PublicKeyCredentialCreationOptions, Registration,
    RegistrationServerState,
};
use worker_identity::queries::PasskeyRow;

use crate::problem::Problem;

/// A user's handle is his id: 16 bytes that tell nothing of him (WebAuthn §14.6.1).
const HANDLE: usize = 16;
type Handle = UserHandle<HANDLE>;
type Key = StaticState<CompressedPubKey<[u8; 32], [u8; 32], [u8; 48], Vec<u8>>>;

/// What the page hands to the browser, and what is remembered until its answer.
pub(crate) struct Begun {
    pub(crate) options: Value,
    pub(crate) state: Vec<u8>,
}

/// A credential whose registration holds; members in base64 as commands carry them.
pub(crate) struct Registered {
    pub(crate) credential_id: String,
    pub(crate) public_key: String,
    pub(crate) state: String,
    pub(crate) sign_count: u32,
    pub(crate) transports: u8,
    pub(crate) synced: bool,
}

/// What an authenticator showed.
pub(crate) struct Shown {
    assertion: DiscoverableAuthentication<HANDLE>,
}

/// An assertion that holds.
pub(crate) struct Asserted {
    pub(crate) sign_count: u32,
    pub(crate) state: String,
    pub(crate) synced: bool,
}

/// It does not hold. The reason is for the log of an operator, not for who tries.
#[derive(Debug)]
pub(crate) struct DoesNotHold(pub(crate) String);

fn relying_party(settings: &PasskeySettings) -> Result<RpId, Problem> {
    AsciiDomain::try_from(settings.rp_id.clone())
        .map(RpId::Domain)
        .map_err(|_| {
            tracing::error!("[api.passkeys] rp_id is no domain; `hub check` says so");
            Problem::internal()
        })
}

fn handle_of(user: Uuid) -> Handle {
    let Ok(handle) = Handle::decode(*user.as_bytes());
    handle
}

fn json_of(credential: &Value) -> Vec<u8> {
    serde_json::to_vec(credential).unwrap_or_default()
}

/// Begins to register a passkey beside those that the user has.
pub(crate) fn begin_to_add(
    settings: &PasskeySettings,
    user: Uuid,
    username: &str,
    display_name: &str,
    held: &[PasskeyRow],
) -> Result<Begun, Problem> {
    let rp = relying_party(settings)?;
    let handle = handle_of(user);
    let entity = PublicKeyCredentialUserEntity {
        name: Username::try_from(username).map_err(|_| Problem::internal())?,
        id: &handle,
        // a name that the profile of RFC 8266 does not take is left out: it is only shown
        display_name: Nickname::try_from(display_name).ok(),
    };
    let exclude = held
        .iter()
        .filter_map(|row| {
            let id = CredentialId::<Vec<u8>>::decode(row.credential_id.clone()).ok()?;
            let transports = u8::try_from(row.transports)
                .ok()
                .and_then(|set| AuthTransports::decode(set).ok())?;
            Some(PublicKeyCredentialDescriptor { id, transports })
        })
        .collect();
    let (server, client) = PublicKeyCredentialCreationOptions::passkey(&rp, entity, exclude)
        .start_ceremony()
        .map_err(|_| Problem::internal())?;
    Ok(Begun {
        options: serde_json::to_value(&client).map_err(|_| Problem::internal())?,
        state: server.encode().map_err(|_| Problem::internal())?,
    })
}

/// Checks what the authenticator answered (WebAuthn §7.1).
///
/// # Errors
/// What is sent can't be read: a problem. It can, and does not hold: [`DoesNotHold`].
pub(crate) fn add(
    settings: &PasskeySettings,
    state: &[u8],
    credential: &Value,
) -> Result<Result<Registered, DoesNotHold>, Problem> {
    let rp = relying_party(settings)?;
    let Ok(server) = RegistrationServerState::<HANDLE>::decode(state) else {
        return Err(Problem::internal());
    };
    let json = json_of(credential);
    let response = Registration::from_json_relaxed(&json)
        .map_err(|error| Problem::invalid("credential", error.to_string()))?;
    let options = RegistrationVerificationOptions::<'_, '_, String, String> {
        allowed_origins: &settings.origins,
        // WebAuthn §7.1, step 19: what was not asked for may be passed over
        error_on_unsolicited_extensions: false,
        ..RegistrationVerificationOptions::default()
    };
    let registered = match server.verify(&rp, &response, &options) {
        Ok(registered) => registered,
        Err(error) => return Ok(Err(DoesNotHold(error.to_string()))),
    };
    let dynamic = registered.dynamic_state();
    let Ok(key) = registered.static_state().encode();
    let Ok(bytes) = dynamic.encode();
    let Ok(transports) = registered.transports().encode();
    Ok(Ok(Registered {
        credential_id: STANDARD.encode(registered.id().into_inner()),
        public_key: STANDARD.encode(key),
        state: STANDARD.encode(bytes),
        sign_count: dynamic.sign_count,
        transports,
        synced: dynamic.backup == Backup::Exists,
    }))
}

/// Begins a sign-in: whoever has a passkey of this domain may answer.
pub(crate) fn begin_to_use(settings: &PasskeySettings) -> Result<Begun, Problem> {
    let rp = relying_party(settings)?;
    let (server, client) = DiscoverableCredentialRequestOptions::passkey(&rp)
        .start_ceremony()
        .map_err(|_| Problem::internal())?;
    Ok(Begun {
        options: serde_json::to_value(&client).map_err(|_| Problem::internal())?,
        state: server.encode().map_err(|_| Problem::internal())?,
    })
}

impl Shown {
    /// Reads what the browser gave.
    pub(crate) fn read(credential: &Value) -> Result<Self, Problem> {
        let json = json_of(credential);
        DiscoverableAuthentication::<HANDLE>::from_json_relaxed(&json)
            .map(|assertion| Self { assertion })
            .map_err(|error| Problem::invalid("credential", error.to_string()))
    }

    /// Which passkey it says it is.
    pub(crate) fn credential_id(&self) -> Vec<u8> {
        self.assertion.raw_id().into_inner().to_vec()
    }

    /// Checks it against the passkey that is on file (WebAuthn §7.2): user, challenge, origin, domain, presence and verification
    /// of the user, signature. Whether the counter went on is left to the worker, where two at once are one after the other.
    ///
    /// # Errors
    /// As [`add`].
    pub(crate) fn check(
        &self,
        settings: &PasskeySettings,
        state: &[u8],
        on_file: &PasskeyRow,
    ) -> Result<Result<Asserted, DoesNotHold>, Problem> {
        let rp = relying_party(settings)?;
        let Ok(server) = DiscoverableAuthenticationServerState::decode(state) else {
            return Err(Problem::internal());
        };
        let unreadable = || {
            tracing::error!(passkey = %on_file.id, "a passkey on file can't be read");
            Problem::internal()
        };
        let key = Key::decode(on_file.public_key.as_slice()).map_err(|_| unreadable())?;
        let bytes = <[u8; 7]>::try_from(on_file.state.as_slice()).map_err(|_| unreadable())?;
        let dynamic = DynamicState::decode(bytes).map_err(|_| unreadable())?;
        let handle = handle_of(on_file.user_id);
        let mut credential =
            AuthenticatedCredential::new(self.assertion.raw_id(), &handle, key, dynamic)
                .map_err(|_| unreadable())?;
        let options = AuthenticationVerificationOptions::<'_, '_, String, String> {
            allowed_origins: &settings.origins,
            error_on_unsolicited_extensions: false,
            sig_counter_enforcement: SignatureCounterEnforcement::Update,
            ..AuthenticationVerificationOptions::default()
        };
        if let Err(error) = server.verify(&rp, &self.assertion, &mut credential, &options) {
            return Ok(Err(DoesNotHold(error.to_string())));
        }
        let dynamic = credential.dynamic_state();
        let Ok(bytes) = dynamic.encode();
        Ok(Ok(Asserted {
            sign_count: dynamic.sign_count,
            state: STANDARD.encode(bytes),
            synced: dynamic.backup == Backup::Exists,
        }))
    }
}
