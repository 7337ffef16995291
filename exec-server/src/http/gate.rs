//! Whether somebody may come in, and as whom.

use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::crowd::Asking;
use super::listener::Peer;
use super::oauth::OAuth;
use super::principal::{Identity, Principal, Scope};
use super::proxies::Proxies;
use super::secret::Sealed;
use super::tokens::Tokens;
use super::watched_file::WatchedFile;

/// How it is known who asks.
pub(super) enum Gate {
    /// Whoever knows the path is the owner.
    Secret(Sealed),
    /// Processes of this user, and the administrator's, are the owner.
    User(u32),
    /// Whoever says who he is, and proves it.
    Known(Box<Known>),
    /// Another process of this server, which knows who asks: this one, and for all that it passes on, it has looked.
    Told(Identity),
}

/// The ways in which somebody can prove who he is.
#[derive(Default)]
pub(super) struct Known {
    pub(super) tokens: Option<WatchedFile<Tokens>>,
    pub(super) oauth: Option<OAuth>,
    pub(super) proxies: Option<Proxies>,
    /// Names of those who may answer questions, whatever their tokens say.
    pub(super) approvers: Vec<String>,
    /// Where clients learn who makes tokens.
    pub(super) metadata: Option<String>,
}

/// Why somebody may not come in.
#[derive(Debug)]
pub(super) enum Refusal {
    /// There is nothing here for him.
    NotFound,
    /// Another user of this machine.
    OtherUser,
    /// He does not say who he is, or what he says does not hold.
    Unknown { metadata: Option<String>, said_something: bool },
    /// He may come in, but not do this.
    Lacks { scope: Scope, metadata: Option<String> },
}

impl Gate {
    /// Who asks. `secret` is the rest of the path that he asks for.
    pub(super) async fn enter(
        &self,
        extensions: &Extensions,
        secret: Option<&str>,
        headers: &HeaderMap,
    ) -> Result<Principal, Refusal> {
        let entered = self.principal(extensions.get::<Peer>().copied(), secret, headers).await;
        if let (Ok(_), Some(asking)) = (&entered, extensions.get::<Asking>()) {
            asking.is_known();
        }
        entered
    }

    async fn principal(
        &self,
        peer: Option<Peer>,
        secret: Option<&str>,
        headers: &HeaderMap,
    ) -> Result<Principal, Refusal> {
        let owner = || Principal { identity: Identity::owner(), scopes: Scope::ALL.into_iter().collect() };
        match self {
            Gate::Secret(sealed) => {
                let knows = secret.is_some_and(|secret| Sealed::of(secret.as_bytes()) == *sealed);
                if knows { Ok(owner()) } else { Err(Refusal::NotFound) }
            }
            Gate::User(_) | Gate::Known(_) | Gate::Told(_) if secret.is_some() => Err(Refusal::NotFound),
            Gate::User(ours) => match peer {
                Some(Peer::User(user)) if user == *ours || user == 0 => Ok(owner()),
                Some(Peer::User(_) | Peer::Network(_)) | None => Err(Refusal::OtherUser),
            },
            Gate::Known(known) => known.enter(peer, headers).await,
            Gate::Told(identity) => Ok(Principal { identity: identity.clone(), ..owner() }),
        }
    }

    /// Whether clients say who they are.
    pub(super) fn knows_people(&self) -> bool {
        matches!(self, Gate::Known(_))
    }

    /// Whether another process of this server knows who asks.
    pub(super) fn is_told(&self) -> bool {
        matches!(self, Gate::Told(_))
    }

    /// Refuses whoever may not do this.
    pub(super) fn require(&self, principal: &Principal, scope: Scope) -> Result<(), Refusal> {
        let metadata = match self {
            Gate::Known(known) => known.metadata.clone(),
            Gate::Secret(_) | Gate::User(_) | Gate::Told(_) => None,
        };
        if principal.scopes.has(scope) { Ok(()) } else { Err(Refusal::Lacks { scope, metadata }) }
    }
}

impl Known {
    async fn enter(&self, peer: Option<Peer>, headers: &HeaderMap) -> Result<Principal, Refusal> {
        let by_proxy =
            self.proxies.as_ref().zip(peer).and_then(|(proxies, peer)| proxies.principal(peer, headers));
        let found = match by_proxy {
            Some(principal) => Some(principal),
            None => self.by_token(headers).await,
        };
        let Some(mut principal) = found else {
            let said_something = headers.contains_key(header::AUTHORIZATION);
            return Err(Refusal::Unknown { metadata: self.metadata.clone(), said_something });
        };
        if self.approvers.contains(&principal.identity.name) {
            principal.scopes = principal.scopes.with(Scope::Approve);
        }
        Ok(principal)
    }

    async fn by_token(&self, headers: &HeaderMap) -> Option<Principal> {
        let token = bearer(headers)?;
        if let Some(principal) = self.tokens.as_ref().and_then(|tokens| tokens.current().find(token)) {
            return Some(principal);
        }
        match self.oauth.as_ref()?.principal(token).await {
            Ok(principal) => Some(principal),
            Err(error) => {
                tracing::info!(%error, "a token was refused");
                None
            }
        }
    }
}

/// The token that a request brings (RFC 6750).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let text = given.next().filter(|_| given.next().is_none())?.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let challenge = |metadata: Option<String>, more: &str| {
            let metadata = metadata.map(|url| format!(", resource_metadata=\"{url}\"")).unwrap_or_default();
            HeaderValue::try_from(format!("Bearer realm=\"shell-tool-mcp\"{metadata}{more}")).ok()
        };
        let (status, text, challenge) = match self {
            Refusal::NotFound => (StatusCode::NOT_FOUND, "there is nothing here\n".to_owned(), None),
            Refusal::OtherUser => (StatusCode::FORBIDDEN, "this socket is another user's\n".to_owned(), None),
            Refusal::Unknown { metadata, said_something } => {
                let error = if said_something { ", error=\"invalid_token\"" } else { "" };
                let more = format!(", scope=\"{}\"{error}", Scope::Run.name());
                let text = "say who you are: Authorization: Bearer TOKEN\n".to_owned();
                (StatusCode::UNAUTHORIZED, text, challenge(metadata, &more))
            }
            Refusal::Lacks { scope, metadata } => {
                let more = format!(", error=\"insufficient_scope\", scope=\"{}\"", scope.name());
                let text = format!("this needs the scope {}\n", scope.name());
                (StatusCode::FORBIDDEN, text, challenge(metadata, &more))
            }
        };
        let mut response = (status, text).into_response();
        if let Some(challenge) = challenge {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_brought_in_one_way_only() {
        let said = |values: &[&str]| {
            let headers: HeaderMap =
                values.iter().map(|value| (header::AUTHORIZATION, value.parse().unwrap())).collect();
            bearer(&headers).map(ToOwned::to_owned)
        };
        assert_eq!(said(&["Bearer abc"]).as_deref(), Some("abc"));
        assert_eq!(said(&["bearer  abc "]).as_deref(), Some("abc"));
        for values in [&[][..], &["abc"], &["Basic abc"], &["Bearer "], &["Bearer a", "Bearer b"]] {
            assert_eq!(said(values), None, "{values:?}");
        }
    }

    #[test]
    fn who_is_refused_hears_what_is_needed() {
        let metadata = Some("http://h/.well-known/oauth-protected-resource/mcp".to_owned());
        let response = Refusal::Unknown { metadata: metadata.clone(), said_something: true }.into_response();
        let challenge = response.headers()[header::WWW_AUTHENTICATE].to_str().unwrap();
        assert_eq!(response.status(), 401);
        assert!(
            challenge.contains("resource_metadata=\"http://h/.well-known")
                && challenge.contains("invalid_token")
        );
        let response = Refusal::Lacks { scope: Scope::Run, metadata }.into_response();
        let challenge = response.headers()[header::WWW_AUTHENTICATE].to_str().unwrap();
        assert_eq!(response.status(), 403);
        assert!(challenge.contains("insufficient_scope") && challenge.contains("shell:run"), "{challenge}");
    }
}
