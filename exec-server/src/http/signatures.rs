//! Checks signatures of tokens: lets the library that reads tokens use the cryptography of the one that speaks TLS.

use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::signature::{Error, Verifier};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind};
use ring::signature::{
    self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};

/// This server signs nothing.
static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::InvalidAlgorithm.into()),
    verifier_factory: |algorithm, key| Ok(Box::new(Check::new(*algorithm, key)?)),
    key_utils: KeyUtils::new_unimplemented(),
};

/// Lets tokens be checked from now on.
pub(super) fn install() {
    // It is there already when this has been called before.
    let _ = PROVIDER.install_default();
}

/// How a signature is checked.
enum Way {
    Rsa(&'static RsaParameters),
    Other(&'static dyn VerificationAlgorithm),
}

/// A key, and how it is used.
struct Check {
    algorithm: Algorithm,
    way: Way,
    key: DecodingKey,
}

impl Check {
    fn new(algorithm: Algorithm, key: &DecodingKey) -> Result<Check> {
        let (way, family) = match algorithm {
            Algorithm::RS256 => (Way::Rsa(&signature::RSA_PKCS1_2048_8192_SHA256), AlgorithmFamily::Rsa),
            Algorithm::RS384 => (Way::Rsa(&signature::RSA_PKCS1_2048_8192_SHA384), AlgorithmFamily::Rsa),
            Algorithm::RS512 => (Way::Rsa(&signature::RSA_PKCS1_2048_8192_SHA512), AlgorithmFamily::Rsa),
            Algorithm::PS256 => (Way::Rsa(&signature::RSA_PSS_2048_8192_SHA256), AlgorithmFamily::Rsa),
            Algorithm::PS384 => (Way::Rsa(&signature::RSA_PSS_2048_8192_SHA384), AlgorithmFamily::Rsa),
            Algorithm::PS512 => (Way::Rsa(&signature::RSA_PSS_2048_8192_SHA512), AlgorithmFamily::Rsa),
            Algorithm::ES256 => (Way::Other(&signature::ECDSA_P256_SHA256_FIXED), AlgorithmFamily::Ec),
            Algorithm::ES384 => (Way::Other(&signature::ECDSA_P384_SHA384_FIXED), AlgorithmFamily::Ec),
            Algorithm::EdDSA => (Way::Other(&signature::ED25519), AlgorithmFamily::Ed),
            // With a shared secret, whoever can check tokens can make them.
            Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 | _ => {
                return Err(ErrorKind::InvalidAlgorithm.into());
            }
        };
        if key.family() != family {
            return Err(ErrorKind::InvalidKeyFormat.into());
        }
        Ok(Check { algorithm, way, key: key.clone() })
    }
}

impl Verifier<Vec<u8>> for Check {
    fn verify(&self, message: &[u8], signed: &Vec<u8>) -> std::result::Result<(), Error> {
        let holds = match (&self.way, self.key.kind()) {
            (Way::Rsa(parameters), DecodingKeyKind::RsaModulusExponent { n, e }) => {
                RsaPublicKeyComponents { n, e }.verify(parameters, message, signed)
            }
            (Way::Other(algorithm), DecodingKeyKind::SecretOrDer(bytes)) => {
                UnparsedPublicKey::new(*algorithm, bytes).verify(message, signed)
            }
            (Way::Rsa(_), DecodingKeyKind::SecretOrDer(_))
            | (Way::Other(_), DecodingKeyKind::RsaModulusExponent { .. }) => return Err(Error::new()),
        };
        holds.map_err(|_| Error::new())
    }
}

impl JwtVerifier for Check {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
