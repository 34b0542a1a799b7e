//! An authenticator and the browser before it, written from WebAuthn Level 3 and RFC 8949, and not from our code: a key in memory,
//! attestation `none`, ES256. It can lie.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

use super::house::{ORIGIN, RP_ID};

const PRESENT: u8 = 0x01;
const VERIFIED: u8 = 0x04;
const ATTESTED: u8 = 0x40;

/// What is wrong with the next answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lie {
    Nothing,
    /// The page stands elsewhere.
    Origin,
    /// Made for another domain.
    Domain,
    /// Nobody was asked for PIN or finger.
    NotVerified,
    /// Another challenge than the one that was asked.
    Challenge,
    /// One bit of the signature.
    Signature,
    /// Another user's handle.
    Handle,
}

pub(crate) struct Authenticator {
    key: EcdsaKeyPair,
    pub(crate) id: Vec<u8>,
    handle: Vec<u8>,
    /// What it counts; 0: it does not.
    pub(crate) count: u32,
    pub(crate) lie: Lie,
}

impl Authenticator {
    pub(crate) fn new() -> Self {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pair.as_ref(), &random)
            .unwrap();
        let id = digest(&SHA256, key.public_key().as_ref()).as_ref().to_vec();
        Self {
            key,
            id,
            handle: Vec::new(),
            count: 0,
            lie: Lie::Nothing,
        }
    }

    fn client_data(&self, kind: &str, options: &Value) -> Vec<u8> {
        let challenge = match self.lie {
            Lie::Challenge => URL_SAFE_NO_PAD.encode([9; 16]),
            _ => options["challenge"].as_str().unwrap().to_owned(),
        };
        let origin = match self.lie {
            Lie::Origin => "https://app.hospital.example.evil.example",
            _ => ORIGIN,
        };
        format!(
            r#"{{"type":"{kind}","challenge":"{challenge}","origin":"{origin}","crossOrigin":false}}"#
        )
        .into_bytes()
    }

    /// §6.1
    fn data(&self, flags: u8) -> Vec<u8> {
        let domain = match self.lie {
            Lie::Domain => "evil.example",
            _ => RP_ID,
        };
        let verified = match self.lie {
            Lie::NotVerified => 0,
            _ => VERIFIED,
        };
        let mut data = digest(&SHA256, domain.as_bytes()).as_ref().to_vec();
        data.push(PRESENT | verified | flags);
        data.extend(self.count.to_be_bytes());
        data
    }

    /// `navigator.credentials.create()`
    pub(crate) fn create(&mut self, options: &Value) -> Value {
        assert_eq!(options["rp"]["id"], RP_ID);
        assert_eq!(
            options["authenticatorSelection"]["userVerification"],
            "required"
        );
        assert_eq!(options["authenticatorSelection"]["residentKey"], "required");
        self.handle = URL_SAFE_NO_PAD
            .decode(options["user"]["id"].as_str().unwrap())
            .unwrap();
        let client_data = self.client_data("webauthn.create", options);
        let mut data = self.data(ATTESTED);
        // §6.5.1: AAGUID, length of the id, id, COSE key (RFC 9052 §7, RFC 9053 §7.1.1)
        data.extend([0; 16]);
        data.extend(u16::try_from(self.id.len()).unwrap().to_be_bytes());
        data.extend(&self.id);
        let point: &[u8] = self.key.public_key().as_ref();
        data.extend([0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20]);
        data.extend(&point[1..33]);
        data.extend([0x22, 0x58, 0x20]);
        data.extend(&point[33..65]);
        // §6.5.4: {"fmt": "none", "attStmt": {}, "authData": bytes}
        let mut object = vec![0xa3, 0x63];
        object.extend(b"fmt");
        object.push(0x64);
        object.extend(b"none");
        object.push(0x67);
        object.extend(b"attStmt");
        object.extend([0xa0, 0x68]);
        object.extend(b"authData");
        object.extend([0x58, u8::try_from(data.len()).unwrap()]);
        object.extend(&data);
        let id = URL_SAFE_NO_PAD.encode(&self.id);
        json!({
            "id": id, "rawId": id, "type": "public-key", "authenticatorAttachment": "platform", "clientExtensionResults": {},
            "response": {
                "clientDataJSON": URL_SAFE_NO_PAD.encode(client_data), "attestationObject": URL_SAFE_NO_PAD.encode(object),
                "transports": ["internal"],
            },
        })
    }

    /// `navigator.credentials.get()`
    pub(crate) fn get(&self, options: &Value) -> Value {
        assert_eq!(options["rpId"], RP_ID);
        assert_eq!(options["userVerification"], "required");
        let client_data = self.client_data("webauthn.get", options);
        let data = self.data(0);
        let mut signed = data.clone();
        signed.extend_from_slice(digest(&SHA256, &client_data).as_ref());
        if self.lie == Lie::Signature {
            signed.push(0);
        }
        let signature = self.key.sign(&SystemRandom::new(), &signed).unwrap();
        let handle = match self.lie {
            Lie::Handle => vec![7; 16],
            _ => self.handle.clone(),
        };
        let id = URL_SAFE_NO_PAD.encode(&self.id);
        json!({
            "id": id, "rawId": id, "type": "public-key", "authenticatorAttachment": "platform", "clientExtensionResults": {},
            "response": {
                "clientDataJSON": URL_SAFE_NO_PAD.encode(client_data), "authenticatorData": URL_SAFE_NO_PAD.encode(data),
                "signature": URL_SAFE_NO_PAD.encode(signature.as_ref()), "userHandle": URL_SAFE_NO_PAD.encode(handle),
            },
        })
    }
}
