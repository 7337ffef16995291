//! What clients of Kubernetes' agent-sandbox speak to the runtime in a pod (execute, upload, download, list, exists), over
//! the same engine. All of it runs as commands in the sandbox, so that no path leads anywhere that commands do not.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use shell_engine::shell::{CallOutcome, CallRequest, Ending};
use tokio::sync::OwnedSemaphorePermit;

use super::endpoint::MAX_BODY;
use super::entry::{admit, asked_by, leaving, too_many, whole};
use super::form::file_part;
use super::life::Answer;
use super::outputs::{self, Part};
use super::room::Taken;
use super::secret;
use super::site::Site;
use super::tenants::Tenant;

/// How long a command may run when nothing is said; the clients wait for a minute.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The longest time that may be said.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest file that is sent here, with the form around it, in bytes: what a command's input holds.
pub(super) const MAX_UPLOAD: usize = 16 << 20;

/// The longest list of a folder, in bytes.
const MAX_LIST: usize = 1 << 20;

/// How many times as much memory a list takes as it has bytes.
const LISTED: usize = 32;

/// By which a command here says that a file is not there.
const NOT_THERE: i32 = 44;

/// By which a command here says that a file is something else.
const NOT_SO: i32 = 45;

/// Bytes of what a command has said that tell why it failed.
const SAID: u64 = 2000;

/// What the path names: a secret, a file.
type Named = Path<HashMap<String, String>>;

type Answered = Result<Response, Response>;

#[derive(Deserialize)]
struct Execute {
    command: String,
    timeout_seconds: Option<f64>,
}

/// Somebody's request that may begin.
struct Asked {
    site: Arc<Site>,
    tenant: Arc<Tenant>,
    named: HashMap<String, String>,
    head: Parts,
    answering: Arc<Answer>,
}

/// Runs a command, and tells its two streams apart.
pub(super) async fn execute(State(site): State<Arc<Site>>, named: Named, request: Request) -> Response {
    answered(site, named, request, async |asked, body| {
        let (body, _room) = whole(body, MAX_BODY, &asked.tenant.room).await?;
        let wanted: Execute = serde_json::from_slice(&body)
            .map_err(|error| bad(&format!("not {{\"command\": …, \"timeout_seconds\": …}}: {error}")))?;
        let timeout = match wanted.timeout_seconds.map(Duration::try_from_secs_f64) {
            None => TIMEOUT,
            Some(Ok(timeout)) => timeout.min(LONGEST),
            Some(Err(_)) => return Err(bad("timeout_seconds is a number of seconds")),
        };
        if wanted.command.trim().is_empty() {
            return Err(bad("command is empty"));
        }
        let mark = secret::random().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())?;
        // What it says of errors comes after the rest, from a file: a pipe would be waited for as long as anything that
        // was left in the background holds it.
        let script = format!(
            "e=\"${{TMPDIR:-/tmp}}/.stderr-{mark}\"; ( eval {} ) 2> \"$e\"; s=$?; printf %s {mark}; cat -- \"$e\"; \
             rm -f -- \"$e\"; exit \"$s\"",
            quoted(&wanted.command).ok_or_else(has_nul)?
        );
        let (outcome, place) = run(&asked, &script, timeout, None).await?;
        let output = &outcome.output;
        let marked = outputs::find(output, mark.as_bytes()).await.unwrap_or(output.total());
        let errors = marked.saturating_add(u64::try_from(mark.len()).unwrap_or_default());
        let (code, timed_out) = (outcome.ending.exit_code(), outcome.ending == Ending::TimedOut);
        let parts = vec![
            Part::Text("{\"stdout\":\"".to_owned()),
            Part::Quoted(output.clone(), 0..marked),
            Part::Text("\",\"stderr\":\"".to_owned()),
            Part::Quoted(output.clone(), errors..output.total()),
            Part::Text(format!("\",\"exit_code\":{code},\"timed_out\":{timed_out}}}")),
        ];
        let kind = [(header::CONTENT_TYPE, "application/json")];
        Ok((kind, outputs::sent(parts, place)).into_response())
    })
    .await
}

/// Writes a file, which comes as a form's part; its name there is where it goes.
pub(super) async fn upload(State(site): State<Arc<Site>>, named: Named, request: Request) -> Response {
    answered(site, named, request, async |asked, body| {
        let kind = asked.head.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let (body, _room) = whole(body, MAX_UPLOAD, &asked.tenant.room).await?;
        let file =
            file_part(kind.unwrap_or_default(), &body).ok_or_else(|| bad("not a form with one file"))?;
        let path = quoted(&within(&file.name)).ok_or_else(has_nul)?;
        let script =
            format!("p={path}; case $p in */*) mkdir -p -- \"${{p%/*}}/\" || exit;; esac; cat > \"$p\"");
        let (outcome, _place) = run(&asked, &script, TIMEOUT, Some(file.content.to_vec())).await?;
        if let Some(refused) = undone(&outcome) {
            return Err(refused);
        }
        Ok(in_json(&json!({"message": format!("{} is written", file.name)})))
    })
    .await
}

/// A file's bytes.
pub(super) async fn download(State(site): State<Arc<Site>>, named: Named, request: Request) -> Response {
    answered(site, named, request, async |asked, _| {
        let path = quoted(&within(file(&asked))).ok_or_else(has_nul)?;
        let script = format!(
            "p={path}; [ -e \"$p\" ] || exit {NOT_THERE}; [ -f \"$p\" ] || exit {NOT_SO}; exec cat -- \"$p\""
        );
        let (outcome, place) = run(&asked, &script, TIMEOUT, None).await?;
        if let Some(refused) = undone(&outcome) {
            return Err(refused);
        }
        let (output, total) = (outcome.output.clone(), outcome.output.total());
        if !output.is_whole() {
            return Err((StatusCode::PAYLOAD_TOO_LARGE, "the file is longer than what is kept of outputs\n")
                .into_response());
        }
        let kind = HeaderValue::from_static("application/octet-stream");
        let headers = [(header::CONTENT_TYPE, kind), (header::CONTENT_LENGTH, HeaderValue::from(total))];
        Ok((headers, outputs::sent(vec![Part::Raw(output, 0..total)], place)).into_response())
    })
    .await
}

/// What is in a folder.
pub(super) async fn list(State(site): State<Arc<Site>>, named: Named, request: Request) -> Response {
    answered(site, named, request, async |asked, _| {
        let path = quoted(&within(file(&asked))).ok_or_else(has_nul)?;
        let script = format!(
            "p={path}; [ -e \"$p\" ] || exit {NOT_THERE}; [ -d \"$p\" ] || exit {NOT_SO}; cd -- \"$p\" && \
             exec find . -mindepth 1 -maxdepth 1 -printf '%Y\\t%s\\t%T@\\t%f\\0'"
        );
        let (outcome, _place) = run(&asked, &script, TIMEOUT, None).await?;
        if let Some(refused) = undone(&outcome) {
            return Err(refused);
        }
        let total = usize::try_from(outcome.output.total()).unwrap_or(usize::MAX);
        if total > MAX_LIST {
            return Err(
                (StatusCode::PAYLOAD_TOO_LARGE, "there is too much in it to be listed\n").into_response()
            );
        }
        let mut taken = Taken::default();
        if !asked.tenant.room.cover(&mut taken, total.saturating_mul(LISTED)) {
            return Err(too_many());
        }
        let bytes = outcome.output.bytes();
        let mut entries: Vec<(String, Value)> = bytes.split(|byte| *byte == 0).filter_map(entry).collect();
        entries.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(in_json(&entries.into_iter().map(|(_, entry)| entry).collect()))
    })
    .await
}

/// Whether something is there.
pub(super) async fn exists(State(site): State<Arc<Site>>, named: Named, request: Request) -> Response {
    answered(site, named, request, async |asked, _| {
        let path = quoted(&within(file(&asked))).ok_or_else(has_nul)?;
        let (outcome, _place) = run(&asked, &format!("[ -e {path} ]"), TIMEOUT, None).await?;
        let is_there = match outcome.ending.exit_code() {
            0 => true,
            1 => false,
            _ => return Err(failed(&outcome)),
        };
        Ok(in_json(&json!({"path": file(&asked), "exists": is_there})))
    })
    .await
}

/// Lets somebody in, and answers him.
async fn answered(
    site: Arc<Site>,
    Path(named): Named,
    request: Request,
    answer: impl AsyncFnOnce(Asked, axum::body::Body) -> Answered,
) -> Response {
    let (head, body) = request.into_parts();
    let tenant = match admit(&site, named.get("secret").map(String::as_str), &head).await {
        Ok(tenant) => tenant,
        Err(refused) => return refused,
    };
    let identity = tenant.identity.clone();
    let response = if site.life.is_leaving() {
        leaving(head.version).await
    } else {
        // Until the client has all of it.
        let answering = Arc::new(site.life.answering());
        answer(Asked { site: Arc::clone(&site), tenant, named, head, answering }, body)
            .await
            .unwrap_or_else(|refused| refused)
    };
    asked_by(response, &identity)
}

/// Runs a command in the workspace. Its request takes a place until what is returned beside the outcome is dropped.
async fn run(
    asked: &Asked,
    command: &str,
    timeout: Duration,
    input: Option<Vec<u8>>,
) -> Result<(Arc<CallOutcome>, (OwnedSemaphorePermit, Arc<Answer>)), Response> {
    let server = &asked.tenant.server;
    let place = Arc::clone(&asked.tenant.requests).try_acquire_owned().map_err(|_| too_many())?;
    let workspace = server.shell().config().sandboxing.started_in();
    let request =
        CallRequest::new(command, workspace, timeout, false).map_err(|error| bad(&error.to_string()))?;
    let outcome = server.run(request, input).await.map_err(|error| {
        let status = if asked.site.life.is_leaving() {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            StatusCode::INTERNAL_SERVER_ERROR
        };
        (status, format!("{:#}\n", anyhow::Error::new(error))).into_response()
    })?;
    Ok((outcome, (place, Arc::clone(&asked.answering))))
}

/// Why a command that does something to a file has not done it.
fn undone(outcome: &CallOutcome) -> Option<Response> {
    match outcome.ending.exit_code() {
        0 => None,
        NOT_THERE => Some((StatusCode::NOT_FOUND, "it is not there\n").into_response()),
        NOT_SO => Some(bad("it is not what was asked for: a file has content, a folder a list")),
        _ => Some(failed(outcome)),
    }
}

fn failed(outcome: &CallOutcome) -> Response {
    let said = outcome.output.end(SAID);
    let why =
        [String::from_utf8_lossy(&said).into_owned()].into_iter().chain(outcome.denials.iter().cloned());
    let why: Vec<String> = why.filter(|line| !line.trim().is_empty()).collect();
    (StatusCode::FORBIDDEN, format!("it cannot be done: {}\n", why.join("\n"))).into_response()
}

fn bad(why: &str) -> Response {
    (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response()
}

fn in_json(value: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

fn file(asked: &Asked) -> &str {
    asked.named.get("path").map_or(".", String::as_str)
}

/// A path that is no option, and lies in the workspace unless it says otherwise.
fn within(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("./{path}") }
}

/// As one word of Bash's; `None`: there is a NUL character in it.
fn quoted(text: &str) -> Option<String> {
    shlex::try_quote(text).ok().map(std::borrow::Cow::into_owned)
}

fn has_nul() -> Response {
    bad("a NUL character cannot be given")
}

/// An entry of a folder, as `find` tells it, and its name.
fn entry(told: &[u8]) -> Option<(String, Value)> {
    let told = String::from_utf8_lossy(told);
    let mut parts = told.splitn(4, '\t');
    let (kind, size, time, name) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let kind = if kind == "d" { "directory" } else { "file" };
    let (size, time) = (size.parse::<u64>().ok()?, time.parse::<f64>().ok()?);
    Some((name.to_owned(), json!({"name": name, "size": size, "type": kind, "mod_time": time})))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_told_whatever_its_files_are_called() {
        let (name, told) = entry(b"d\t4096\t1700000000.5\ta\tb\nc").unwrap();
        assert_eq!(name, "a\tb\nc");
        assert_eq!(
            told,
            json!({"name": "a\tb\nc", "size": 4096, "type": "directory", "mod_time": 1_700_000_000.5})
        );
        assert_eq!(entry(b"f\t1\t0\tx").unwrap().1["type"], "file");
        assert!(entry(b"").is_none() && entry(b"f\t-\t0\tx").is_none());
    }

    #[test]
    fn a_path_is_no_option() {
        assert_eq!(within("-rf"), "./-rf");
        assert_eq!(within("/a b"), "/a b");
        assert_eq!(quoted(&within("a'b")).unwrap(), "\"./a'b\"");
        assert_eq!(quoted("a\0b"), None);
    }
}
