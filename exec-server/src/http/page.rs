//! The page `/approve`, and what it lets a browser do.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

const HTML: &str = include_str!("page/approve.html");
const STYLE: &str = include_str!("page/approve.css");
const SCRIPT: &str = include_str!("page/approve.js");

/// The page and what a browser lets it do: run this very script, use this very style, ask its own server.
pub(super) struct Page {
    html: String,
    policy: HeaderValue,
}

impl Page {
    /// The page as it is sent.
    pub(super) fn new() -> Page {
        let hash = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
        let policy = format!(
            "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            hash(SCRIPT),
            hash(STYLE)
        );
        Page {
            html: HTML.replace("%STYLE%", STYLE).replace("%SCRIPT%", SCRIPT),
            policy: HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'")),
        }
    }

    /// The page, as an answer.
    pub(super) fn response(&self) -> Response {
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
            (header::CONTENT_SECURITY_POLICY, self.policy.clone()),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
            (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        ];
        (headers, self.html.clone()).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_runs_this_script_and_nothing_else() {
        let page = Page::new();
        let policy = page.policy.to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
        assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"), "{policy}");
        // What is hashed is what stands between the tags.
        let script = page.html.split_once("<script>").unwrap().1.split_once("</script>").unwrap().0;
        assert!(policy.contains(&STANDARD.encode(Sha256::digest(script.as_bytes()))));
        for (tag, part) in [("<script", SCRIPT), ("</style", STYLE)] {
            assert!(!part.contains(tag), "{tag}");
        }
        // Text is never made markup.
        for way in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
            assert!(!SCRIPT.contains(way), "{way}");
        }
    }
}
