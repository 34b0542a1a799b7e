//! Secrets that the hub makes: refresh tokens, client secrets, one-time passwords, recovery codes. They are shown once and
//! kept as digests. They are random and long, so a plain SHA-256 is enough (NIST SP 800-63B-4 §3.1.2.2).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::Rng as _;
use ring::digest;
use schemas::TenantId;
use uuid::Uuid;

/// Letters and digits that can't be taken for one another.
const SIGNS: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// Recovery codes of a second factor.
const RECOVERY_CODES: usize = 10;

/// 256 random bits as text.
pub(crate) fn random_text() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

/// SHA-256.
pub(crate) fn digest_of(text: &str) -> Vec<u8> {
    digest::digest(&digest::SHA256, text.as_bytes())
        .as_ref()
        .to_vec()
}

/// In hex, as commands carry it.
pub(crate) fn hex_digest_of(text: &str) -> String {
    worker_identity::hex_digest(text.as_bytes())
}

/// The bytes of such a digest; nothing of what is none.
pub(crate) fn bytes_of_hex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    text.as_bytes()
        .chunks_exact(2)
        .map_while(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?))
        .collect()
}

/// A refresh token; it names its tenant, because rows are found inside a tenant only.
pub(crate) fn refresh_token(tenant: &TenantId) -> String {
    format!("hr.{tenant}.{}", random_text())
}

/// The tenant of a refresh token.
pub(crate) fn tenant_of_refresh(token: &str) -> Option<TenantId> {
    let (tenant, random) = token.strip_prefix("hr.")?.split_once('.')?;
    (random.len() == 43)
        .then(|| TenantId::new(tenant).ok())
        .flatten()
}

/// A client's secret.
pub(crate) fn client_secret() -> String {
    format!("hs.{}", random_text())
}

/// How a program names itself: tenant and id.
pub(crate) fn client_name(tenant: &TenantId, id: Uuid) -> String {
    format!("{tenant}.{}", id.simple())
}

/// Tenant and id of a program's name.
pub(crate) fn client_of_name(name: &str) -> Option<(TenantId, Uuid)> {
    let (tenant, id) = name.split_once('.')?;
    Some((TenantId::new(tenant).ok()?, Uuid::try_parse(id).ok()?))
}

/// What somebody shows once to be known at an identity provider as a user of this hub.
pub(crate) fn invitation() -> String {
    format!("hi.{}", random_text())
}

/// 20 letters and digits: 116 bits.
pub(crate) fn one_time_password() -> String {
    pick(20)
}

fn pick(count: usize) -> String {
    let mut random = rand::rng();
    (0..count)
        .map(|_| char::from(SIGNS[random.random_range(0..SIGNS.len())]))
        .collect()
}

/// Codes for the day the telephone is lost, 69 bits each.
pub(crate) fn recovery_codes() -> Vec<String> {
    (0..RECOVERY_CODES)
        .map(|_| {
            let code = pick(12);
            format!("{}-{}-{}", &code[..4], &code[4..8], &code[8..])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_names_tell_their_tenant_and_nothing_else_is_one() {
        let tenant = TenantId::new("st-marys").unwrap();
        let token = refresh_token(&tenant);
        assert_eq!(tenant_of_refresh(&token), Some(tenant.clone()));
        assert_ne!(refresh_token(&tenant), token);
        for bad in ["", "hr.", "hr.demo", "hr.demo.short", "hr.A.x", &token[3..]] {
            assert_eq!(tenant_of_refresh(bad), None, "{bad}");
        }
        let id = Uuid::from_u128(7);
        let name = client_name(&tenant, id);
        assert_eq!(client_of_name(&name), Some((tenant, id)));
        for bad in ["", "demo", "demo.x", ".7"] {
            assert_eq!(client_of_name(bad), None, "{bad}");
        }
        assert_eq!(one_time_password().len(), 20);
        let codes = recovery_codes();
        assert_eq!(codes.len(), 10);
        assert!(codes.iter().all(|code| code.len() == 14));
    }
}
