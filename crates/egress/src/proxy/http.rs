//! What is asked for by HTTP, and the answers.

use super::wanted::{Begun, Wanted, Way, host};
use crate::exchange::send_all;
use crate::judge::Failure;
use std::fmt::Write;
use std::io;

/// The most fields of a request that are read.
const MOST_FIELDS: usize = 256;
const HTTP_PORT: u16 = 80;

/// The answer to `CONNECT`.
pub(super) const MADE: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

/// Fields that are between a program and its proxy, or about this connection alone (RFC 9110, section 7.6.1).
const OWN_FIELDS: &[&str] = &["proxy-authorization", "proxy-connection", "connection", "keep-alive", "te"];

/// Hears a request; nothing for one that cannot be understood.
pub(super) async fn hear(begun: &mut Begun<'_>) -> io::Result<Option<Wanted>> {
    loop {
        let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
        let mut request = httparse::Request::new(&mut fields);
        match request.parse(&begun.said) {
            Ok(httparse::Status::Complete(length)) => {
                let rest = begun.said.get(length..).unwrap_or_default();
                let wanted = read(&request, rest);
                if wanted.is_none() {
                    let _ =
                        crate::exchange::send_all(begun.program, &answer("400 Bad Request", UNCLEAR)).await;
                }
                return Ok(wanted);
            }
            Ok(httparse::Status::Partial) => {}
            Err(_) => break,
        }
        begun.more().await?;
    }
    send_all(begun.program, &answer("400 Bad Request", UNCLEAR)).await?;
    Ok(None)
}

const UNCLEAR: &str = "no host can be understood in this";

fn read(request: &httparse::Request<'_, '_>, rest: &[u8]) -> Option<Wanted> {
    let (method, target) = (request.method?, request.path?);
    if method == "CONNECT" {
        let (name, port) = target.rsplit_once(':')?;
        let port = port.parse().ok().filter(|port| *port != 0)?;
        return Some(Wanted { host: host(name)?, port, way: Way::Tunnel, said: rest.to_vec() });
    }
    let after = target.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("http://")).map(str::len)?;
    let after = target.get(after..)?;
    let (authority, path) = after.split_at(after.find(['/', '?', '#']).unwrap_or(after.len()));
    let port =
        authority.rsplit_once(':').filter(|(_, digits)| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let (name, port) = match port {
        Some((name, digits)) => (name, digits.parse().ok().filter(|port| *port != 0)?),
        None => (authority, HTTP_PORT),
    };
    let said = [rewritten(request, method, path).as_slice(), rest].concat();
    Some(Wanted { host: host(name)?, port, way: Way::Request, said })
}

/// The request as its own server expects it. The connection ends with the answer: the next request may be for another host.
fn rewritten(request: &httparse::Request<'_, '_>, method: &str, path: &str) -> Vec<u8> {
    let slash = if path.starts_with('/') { "" } else { "/" };
    let mut head = format!("{method} {slash}{path} HTTP/1.{}\r\n", request.version.unwrap_or(1)).into_bytes();
    let switches = request.headers.iter().any(|field| field.name.eq_ignore_ascii_case("upgrade"));
    for field in &*request.headers {
        if OWN_FIELDS.iter().any(|own| field.name.eq_ignore_ascii_case(own)) {
            continue;
        }
        head.extend([field.name.as_bytes(), b": ", field.value, b"\r\n"].concat());
    }
    let then = if switches { "Upgrade" } else { "close" };
    head.extend(format!("Connection: {then}\r\n\r\n").bytes());
    head
}

/// The answer that says why there is no connection.
pub(super) fn refusal(failure: &Failure) -> Vec<u8> {
    let status = match failure {
        Failure::Unresolved(_) | Failure::Unreachable(_) => "502 Bad Gateway",
        Failure::TooMany => "503 Service Unavailable",
        Failure::Refused
        | Failure::UnknownAddress
        | Failure::Address(..)
        | Failure::OtherName(_)
        | Failure::Unreadable(_)
        | Failure::Revoked => "403 Forbidden",
    };
    answer(status, &failure.to_string())
}

fn answer(status: &str, why: &str) -> Vec<u8> {
    let mut text =
        format!("HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n");
    // Writing into a string does not fail.
    let _ = write!(text, "Content-Length: {}\r\n\r\n{why}\n", why.len() + 1);
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<(String, u16, Way, String)> {
        let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
        let mut request = httparse::Request::new(&mut fields);
        let length = request.parse(text.as_bytes()).ok()?.unwrap();
        let wanted = read(&request, &text.as_bytes()[length..])?;
        Some((wanted.host.to_string(), wanted.port, wanted.way, String::from_utf8(wanted.said).unwrap()))
    }

    #[test]
    fn what_is_asked_for_is_read_and_passed_on_as_its_server_expects_it() {
        assert_eq!(
            of("CONNECT good.example:443 HTTP/1.1\r\nHost: other.example\r\n\r\nearly"),
            Some(("good.example".into(), 443, Way::Tunnel, "early".into()))
        );
        assert_eq!(
            of("CONNECT [::1]:22 HTTP/1.1\r\n\r\n"),
            Some(("[::1]".into(), 22, Way::Tunnel, String::new()))
        );
        let text = "GET http://good.example:8080/a?b HTTP/1.1\r\nHost: good.example:8080\r\nProxy-Connection: keep-alive\r\n\
                    Proxy-Authorization: secret\r\nAccept: */*\r\n\r\n";
        let passed =
            "GET /a?b HTTP/1.1\r\nHost: good.example:8080\r\nAccept: */*\r\nConnection: close\r\n\r\n";
        assert_eq!(of(text), Some(("good.example".into(), 8080, Way::Request, passed.into())));
        let bare = of("GET http://good.example HTTP/1.0\r\n\r\n").unwrap();
        assert_eq!((bare.1, bare.3.as_str()), (80, "GET / HTTP/1.0\r\nConnection: close\r\n\r\n"));
        for none in [
            "GET / HTTP/1.1\r\nHost: good.example\r\n\r\n",
            "GET https://good.example/ HTTP/1.1\r\n\r\n",
            "GET http://user@good.example/ HTTP/1.1\r\n\r\n",
            "GET http://127.1/ HTTP/1.1\r\n\r\n",
            "GET http://good.example:0/ HTTP/1.1\r\n\r\n",
            "CONNECT good.example HTTP/1.1\r\n\r\n",
            "CONNECT good.example:99999 HTTP/1.1\r\n\r\n",
        ] {
            assert_eq!(of(none), None, "{none}");
        }
    }
}
