//! The keys by which signed tokens are checked: a file, or an address where an authorization server shows them (RFC 7517).

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::JwkSet;

use super::watched_file::WatchedFile;
use crate::fetching;

/// How often keys are fetched at most because a token's is not known: anybody can send such tokens.
const UNKNOWN: Duration = Duration::from_secs(30);

/// How old keys may become.
const OLD: Duration = Duration::from_secs(60 * 60);

/// The most that is fetched, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// The keys by which signed tokens are checked.
pub(super) enum Keys {
    File(WatchedFile<JwkSet>),
    Fetched(Fetched),
}

/// Keys from an address.
pub(super) struct Fetched {
    url: String,
    state: Arc<Mutex<State>>,
}

struct State {
    keys: Arc<JwkSet>,
    fetched: Instant,
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file cannot be used.
    #[error("cannot use the keys in {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The address does not help.
    #[error("cannot fetch keys from {url}: {problem}")]
    Fetch {
        /// The address.
        url: String,
        /// What went wrong.
        problem: String,
    },
    /// Anybody on the way could replace them.
    #[error("keys must be fetched by https, or from this machine itself; {0} is neither")]
    NotSafe(String),
}

impl Keys {
    /// From a file, or from an `https:` address.
    ///
    /// # Errors
    ///
    /// When there are none.
    pub(super) async fn open(place: &str) -> Result<Keys, KeysError> {
        if !place.contains("://") {
            let path = PathBuf::from(place);
            let file =
                WatchedFile::open(path.clone(), read).map_err(|source| KeysError::File { path, source })?;
            return Ok(Keys::File(file));
        }
        if !fetching::is_safe(place) {
            return Err(KeysError::NotSafe(place.to_owned()));
        }
        let url = place.to_owned();
        let keys =
            fetch(url.clone()).await.map_err(|problem| KeysError::Fetch { url: url.clone(), problem })?;
        let state = State { keys: Arc::new(keys), fetched: Instant::now() };
        Ok(Keys::Fetched(Fetched { url, state: Arc::new(Mutex::new(state)) }))
    }

    /// The keys as they are known.
    pub(super) fn current(&self) -> Arc<JwkSet> {
        match self {
            Keys::File(file) => file.current(),
            Keys::Fetched(fetched) => {
                if fetched.age() > OLD {
                    tokio::spawn(fetched.again(OLD));
                }
                fetched.known()
            }
        }
    }

    /// The keys after another look, if the last one was not just now.
    pub(super) async fn refreshed(&self) -> Arc<JwkSet> {
        if let Keys::Fetched(fetched) = self {
            fetched.again(UNKNOWN).await;
        }
        self.current()
    }
}

impl Fetched {
    fn known(&self) -> Arc<JwkSet> {
        Arc::clone(&self.state.lock().unwrap_or_else(PoisonError::into_inner).keys)
    }

    fn age(&self) -> Duration {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).fetched.elapsed()
    }

    /// Fetches them anew if they are so old. Where that fails, the known ones stay.
    fn again(&self, old: Duration) -> impl Future<Output = ()> + Send + use<> {
        let (state, url) = (Arc::clone(&self.state), self.url.clone());
        async move {
            let is_mine = {
                let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                let is_old = state.fetched.elapsed() > old;
                // Whoever asks meanwhile does not fetch them too.
                if is_old {
                    state.fetched = Instant::now();
                }
                is_old
            };
            if !is_mine {
                return;
            }
            match fetch(url).await {
                Ok(keys) => state.lock().unwrap_or_else(PoisonError::into_inner).keys = Arc::new(keys),
                Err(error) => {
                    tracing::warn!(%error, "the keys for tokens cannot be fetched; the known ones stay")
                }
            }
        }
    }
}

/// Reads keys. Those of kinds that are not known are passed over: an authorization server may have others besides.
fn read(text: &str) -> Result<JwkSet, String> {
    #[derive(serde::Deserialize)]
    struct Lenient {
        keys: Vec<serde_json::Value>,
    }
    let set: Lenient = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let keys: Vec<_> = set.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect();
    if keys.is_empty() { Err("there is no key in it".into()) } else { Ok(JwkSet { keys }) }
}

async fn fetch(url: String) -> Result<JwkSet, String> {
    read(&fetching::fetch(url, MAX_BYTES).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_other_kinds_are_passed_over() {
        let known =
            r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"a"}"#;
        let set = read(&format!(r#"{{"keys":[{known},{{"kty":"new"}}]}}"#)).unwrap();
        assert!(set.find("a").is_some());
        assert!(read(r#"{"keys":[]}"#).is_err() && read("no keys").is_err());
    }
}
