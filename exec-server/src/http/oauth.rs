//! Tokens that an authorization server has signed (OAuth 2.1; JWTs as RFC 9068 has them), and what a client is told
//! that has none (RFC 9728).

use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::keys::Keys;
use super::principal::{Identity, Principal, Scope, Scopes, Way};

/// The longest token that is looked at, in bytes.
const MAX_TOKEN: usize = 8 << 10;

/// By how many seconds the other one's clock may be ahead. An expired token is expired: nothing is added there.
const AHEAD: u64 = 30;

/// Who signs tokens, and for whom.
pub(super) struct OAuth {
    issuer: Option<String>,
    /// What this server is called where tokens are made.
    audience: String,
    keys: Keys,
}

/// Why a token is none. The client is told no more than that.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadToken {
    #[error("it is longer than {MAX_TOKEN} bytes")]
    TooLong,
    #[error("its head is not understood: {0}")]
    Head(jsonwebtoken::errors::Error),
    #[error("it is not signed by a key pair's algorithm")]
    Algorithm,
    #[error("no key that is known has signed it")]
    Key,
    #[error("{0}")]
    Claims(#[from] jsonwebtoken::errors::Error),
    #[error("it is not valid yet")]
    Early,
    #[error("it names nobody")]
    Nobody,
}

#[derive(Deserialize)]
struct Claims {
    sub: Option<String>,
    client_id: Option<String>,
    azp: Option<String>,
    nbf: Option<u64>,
    scope: Option<String>,
    scp: Option<OneOrMore>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OAuth {
    /// Tokens for `audience`, by `issuer` if that is said, signed with one of these keys.
    pub(super) fn new(issuer: Option<String>, audience: String, keys: Keys) -> OAuth {
        super::signatures::install();
        OAuth { issuer, audience, keys }
    }

    /// Whom a token stands for.
    pub(super) async fn principal(&self, token: &str) -> Result<Principal, BadToken> {
        if token.len() > MAX_TOKEN {
            return Err(BadToken::TooLong);
        }
        let head = decode_header(token).map_err(BadToken::Head)?;
        if !is_of_key_pairs(head.alg) {
            return Err(BadToken::Algorithm);
        }
        let known = self.keys.current();
        let key = match find(&known, head.kid.as_deref(), head.alg) {
            Some(key) => key.clone(),
            // The authorization server may have a new one.
            None => {
                let known = self.keys.refreshed().await;
                find(&known, head.kid.as_deref(), head.alg).ok_or(BadToken::Key)?.clone()
            }
        };
        let mut validation = Validation::new(head.alg);
        validation.leeway = 0;
        validation.set_audience(&[&self.audience]);
        let mut needed = vec!["exp", "aud"];
        if let Some(issuer) = &self.issuer {
            validation.set_issuer(&[issuer]);
            needed.push("iss");
        }
        validation.set_required_spec_claims(&needed);
        let claims = decode::<Claims>(token, &DecodingKey::from_jwk(&key)?, &validation)?.claims;
        if claims.nbf.is_some_and(|begin| begin > jsonwebtoken::get_current_timestamp() + AHEAD) {
            return Err(BadToken::Early);
        }
        let name = claims.sub.as_deref().or(claims.client_id.as_deref()).or(claims.azp.as_deref());
        let identity = name.and_then(|name| Identity::new(Way::OAuth, name)).ok_or(BadToken::Nobody)?;
        let listed: Vec<&str> = match &claims.scp {
            Some(OneOrMore::One(text)) => text.split(' ').collect(),
            Some(OneOrMore::More(words)) => words.iter().map(String::as_str).collect(),
            None => Vec::new(),
        };
        let words = claims.scope.as_deref().unwrap_or_default().split(' ').chain(listed);
        Ok(Principal { identity, scopes: Scopes::of_words(words) })
    }

    /// What is told to a client that asks who makes tokens for the endpoint at this address.
    pub(super) fn metadata(&self, resource: &str) -> Value {
        let mut metadata = json!({
            "resource": resource,
            "scopes_supported": Scope::ALL.map(Scope::name),
            "bearer_methods_supported": ["header"],
            "resource_name": "shell-tool-mcp",
        });
        if let Some(issuer) = &self.issuer {
            metadata["authorization_servers"] = json!([issuer]);
        }
        metadata
    }
}

/// With a shared secret, whoever can check tokens can make them.
fn is_of_key_pairs(algorithm: Algorithm) -> bool {
    match algorithm {
        Algorithm::RS256
        | Algorithm::RS384
        | Algorithm::RS512
        | Algorithm::PS256
        | Algorithm::PS384
        | Algorithm::PS512
        | Algorithm::ES256
        | Algorithm::ES384
        | Algorithm::EdDSA => true,
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 | _ => false,
    }
}

/// The key by its name; the only one that can be meant where the token names none.
fn find<'k>(keys: &'k JwkSet, name: Option<&str>, algorithm: Algorithm) -> Option<&'k Jwk> {
    let signs = |key: &&Jwk| {
        let for_signing = !matches!(key.common.public_key_use, Some(PublicKeyUse::Encryption));
        let is_named = key
            .common
            .key_algorithm
            .as_ref()
            .is_none_or(|named| named.to_string() == format!("{algorithm:?}"));
        for_signing && is_named && !matches!(key.algorithm, AlgorithmParameters::OctetKey(_))
    };
    let mut fitting = keys.keys.iter().filter(signs);
    match name {
        Some(name) => fitting.find(|key| key.common.key_id.as_deref() == Some(name)),
        None => fitting.next().filter(|_| fitting.next().is_none()),
    }
}
