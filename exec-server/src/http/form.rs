//! Forms with a file in them (RFC 7578), as agent-sandbox's clients send one.

/// The longest boundary (RFC 2046).
const MAX_BOUNDARY: usize = 70;

/// A file in a form, and what it is called there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FilePart<'b> {
    pub(super) name: String,
    pub(super) content: &'b [u8],
}

/// The first file of a form, whose content type is `kind`.
pub(super) fn file_part<'b>(kind: &str, body: &'b [u8]) -> Option<FilePart<'b>> {
    let boundary = kind.strip_prefix("multipart/form-data")?.split_once("boundary=")?.1;
    let boundary = boundary.split(';').next()?.trim().trim_matches('"');
    if boundary.is_empty() || boundary.len() > MAX_BOUNDARY {
        return None;
    }
    let start = format!("--{boundary}\r\n");
    let end = format!("\r\n--{boundary}");
    let mut rest = body.get(position(body, start.as_bytes())? + start.len()..)?;
    loop {
        let (part, after) = rest.split_at_checked(position(rest, end.as_bytes())?)?;
        if let Some((name, content)) = file(part) {
            return Some(FilePart { name: unescaped(name), content });
        }
        // The line that ends this part begins the next.
        rest = after.get(end.len()..)?.strip_prefix(b"\r\n")?;
    }
}

/// The name and content of a part that is a file with a name.
fn file(part: &[u8]) -> Option<(&str, &[u8])> {
    let (head, content) = part.split_at_checked(position(part, b"\r\n\r\n")?)?;
    let (_, name) = std::str::from_utf8(head).ok()?.split_once("filename=\"")?;
    let name = name.split('"').next().filter(|name| !name.is_empty())?;
    Some((name, content.get(4..)?))
}

/// A name as it was before it was written into a form (the HTML standard, "multipart/form-data encoding").
fn unescaped(name: &str) -> String {
    name.replace("%22", "\"").replace("%0D", "\r").replace("%0A", "\n")
}

/// Where some bytes are in others.
fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_has_one_file_whatever_is_in_it() {
        let kind = "multipart/form-data; boundary=abc";
        let form = |part: &str| format!("--abc\r\nContent-Disposition: form-data; {part}\r\n--abc--\r\n");
        let file = FilePart { name: "a/\"b\".txt".to_owned(), content: b"x\r\n\r\n--ab\0" };
        let body = form("name=\"file\"; filename=\"a/%22b%22.txt\"\r\n\r\nx\r\n\r\n--ab\0");
        assert_eq!(file_part(kind, body.as_bytes()), Some(file.clone()));
        let second = format!("--abc\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\ny\r\n{body}");
        assert_eq!(file_part(kind, second.as_bytes()), Some(file));
        let empty = form("name=\"file\"; filename=\"e\"\r\n\r\n");
        assert_eq!(file_part(kind, empty.as_bytes()).map(|file| file.content), Some(&b""[..]));
        for (kind, body) in [
            ("text/plain", &*body),
            ("multipart/form-data", &*body),
            ("multipart/form-data; boundary=", &*body),
            (kind, ""),
            (kind, "--abc\r\n"),
            (kind, &form("name=\"file\"\r\n\r\nno file")),
            (kind, &form("name=\"file\"; filename=\"\"\r\n\r\nx")),
        ] {
            assert_eq!(file_part(kind, body.as_bytes()), None, "{kind}: {body}");
        }
    }
}
