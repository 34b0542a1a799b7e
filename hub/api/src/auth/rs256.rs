//! RSASSA-PKCS1-v1_5 with SHA-256 of `ring` for `jsonwebtoken`, so that no second family of cryptography signs anything (and
//! none of its open advisories: the crate's own choice brings `rsa`, RUSTSEC-2023-0071, for signing too). Nothing but RS256
//! is signed. Nothing but RS256 and ES256 (which identity providers may use; our own tokens may not, see `tokens`) is
//! verified, whatever a token's header says: there is no HMAC here at all, so no public key can be taken for a secret.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair,
    RsaPublicKeyComponents, UnparsedPublicKey,
};

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    key_utils: KeyUtils::new_unimplemented(),
};

/// Makes it the process's provider; a second call changes nothing.
pub(super) fn install() {
    let _ = PROVIDER.install_default();
}

struct Private(RsaKeyPair);

struct Public {
    n: Vec<u8>,
    e: Vec<u8>,
}

fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    if *algorithm != Algorithm::RS256 || key.family() != AlgorithmFamily::Rsa {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    RsaKeyPair::from_pkcs8(key.as_bytes())
        .map(|pair| Box::new(Private(pair)) as Box<dyn JwtSigner>)
        .map_err(|error| ErrorKind::InvalidRsaKey(error.to_string()).into())
}

/// An uncompressed point.
struct Point(Vec<u8>);

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    if *algorithm == Algorithm::ES256 && key.family() == AlgorithmFamily::Ec {
        return Ok(Box::new(Point(key.try_get_as_bytes()?.to_vec())));
    }
    if *algorithm != Algorithm::RS256 || key.family() != AlgorithmFamily::Rsa {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    match key.kind() {
        DecodingKeyKind::RsaModulusExponent { n, e } => Ok(Box::new(Public {
            n: n.clone(),
            e: e.clone(),
        })),
        DecodingKeyKind::SecretOrDer(_) => Err(ErrorKind::InvalidKeyFormat.into()),
    }
}

impl signature::Signer<Vec<u8>> for Private {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, signature::Error> {
        let mut made = vec![0; self.0.public().modulus_len()];
        self.0
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut made)
            .map_err(|_| signature::Error::new())?;
        Ok(made)
    }
}

impl JwtSigner for Private {
    fn algorithm(&self) -> Algorithm {
        Algorithm::RS256
    }
}

impl signature::Verifier<Vec<u8>> for Public {
    fn verify(&self, message: &[u8], made: &Vec<u8>) -> std::result::Result<(), signature::Error> {
        RsaPublicKeyComponents {
            n: &self.n,
            e: &self.e,
        }
        .verify(&RSA_PKCS1_2048_8192_SHA256, message, made)
        .map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for Public {
    fn algorithm(&self) -> Algorithm {
        Algorithm::RS256
    }
}

impl signature::Verifier<Vec<u8>> for Point {
    fn verify(&self, message: &[u8], made: &Vec<u8>) -> std::result::Result<(), signature::Error> {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.0)
            .verify(message, made)
            .map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for Point {
    fn algorithm(&self) -> Algorithm {
        Algorithm::ES256
    }
}
