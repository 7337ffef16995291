//! Handles (open questions, outputs) name the server that they are of, where there may be several: another one says whose
//! they are.

/// Stands between a server's name and the rest.
const SEPARATOR: char = '~';

/// The longest name of a server.
const MAX_NAME: usize = 96;

/// A handle of this server's.
pub(super) fn named(own: Option<&str>, handle: String) -> String {
    match own {
        Some(own) => format!("{own}{SEPARATOR}{handle}"),
        None => handle,
    }
}

/// What a handle is without this server's name, if it has that.
pub(super) fn unnamed<'h>(own: Option<&str>, handle: &'h str) -> &'h str {
    own.and_then(|own| handle.strip_prefix(own)?.strip_prefix(SEPARATOR)).unwrap_or(handle)
}

/// Says that a handle is of another server, if it is.
pub(super) fn of_another(own: Option<&str>, handle: &str) -> Option<String> {
    let own = own?;
    let (server, _) = handle.split_once(SEPARATOR)?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let is_other =
        !server.is_empty() && server.len() <= MAX_NAME && server.bytes().all(is_name) && server != own;
    is_other.then(|| {
        format!(
            "it is of the server {server}, and this is {own}: that one has ended, or whatever stands before them must send \
             requests of one client to one server"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_says_whose_it_is_and_nothing_that_could_deceive() {
        let own = Some("web-1-ab");
        let handle = named(own, "12-3".into());
        assert_eq!((&*handle, unnamed(own, &handle)), ("web-1-ab~12-3", "12-3"));
        assert_eq!(of_another(own, &handle), None);
        assert!(of_another(own, "web-2-cd~12-3").is_some_and(|text| text.contains("of the server web-2-cd")));
        for other in ["12-3", "~12-3", "a b~12-3", "\u{1b}[2J~1", &format!("{}~1", "x".repeat(MAX_NAME + 1))]
        {
            assert_eq!(of_another(own, other), None, "{other:?}");
        }
        assert_eq!((&*named(None, "x".into()), of_another(None, "web-2~x")), ("x", None));
    }
}
