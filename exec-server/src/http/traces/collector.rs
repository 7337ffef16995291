//! Where spans go, as OpenTelemetry's environment variables say it.

/// Where a collector takes traces, below its address.
const TRACES: &str = "v1/traces";

/// Who sends them, when nothing else is said.
const SERVICE: &str = "shell-tool-mcp";

/// A collector of spans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::http) struct Collector {
    /// Where spans are posted to.
    pub(super) url: String,
    /// What is said with them, a name and a value each.
    pub(super) headers: Vec<(String, String)>,
    /// Who sends them.
    pub(super) service: String,
}

impl Collector {
    /// The collector that these variables name, if they do: those of OpenTelemetry's "OTLP Exporter Configuration".
    pub(in crate::http) fn from_environment(get: impl Fn(&str) -> Option<String>) -> Option<Collector> {
        let get = |name: &str| get(name).filter(|value| !value.is_empty());
        if get("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return None;
        }
        let below = |base: String| format!("{}/{TRACES}", base.trim_end_matches('/'));
        let url = get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
            .or_else(|| get("OTEL_EXPORTER_OTLP_ENDPOINT").map(below))?;
        let headers = get("OTEL_EXPORTER_OTLP_TRACES_HEADERS")
            .or_else(|| get("OTEL_EXPORTER_OTLP_HEADERS"))
            .unwrap_or_default();
        let pairs = headers.split(',').filter_map(|pair| pair.split_once('='));
        let headers = pairs.map(|(name, value)| (name.trim().to_owned(), decoded(value.trim()))).collect();
        let service = get("OTEL_SERVICE_NAME").unwrap_or_else(|| SERVICE.to_owned());
        Some(Collector { url, headers, service })
    }
}

/// A value in which letters are written as `%20`.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        let written = more.first_chunk::<2>().and_then(|digits| std::str::from_utf8(digits).ok());
        let letter =
            written.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| *first == b'%');
        bytes.push(letter.unwrap_or(*first));
        rest = if letter.is_some() { more.get(2..).unwrap_or_default() } else { more };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(variables: &[(&str, &str)]) -> Option<Collector> {
        Collector::from_environment(|name| {
            variables.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_collector_is_the_one_that_variables_name() {
        assert_eq!(named(&[]), None);
        assert_eq!(named(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]), None);
        let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/");
        assert_eq!(named(&[base]).unwrap().url, "http://c:4318/v1/traces");
        assert_eq!(named(&[base]).unwrap().service, "shell-tool-mcp");
        let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c/own");
        assert_eq!(named(&[base, own, ("OTEL_SERVICE_NAME", "shell")]).unwrap().url, "http://c/own");
        assert_eq!(named(&[base, ("OTEL_SDK_DISABLED", "true")]), None);
        let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20a%3D, x=1,broken");
        let expected = [("authorization".to_owned(), "Bearer a=".to_owned()), ("x".into(), "1".into())];
        assert_eq!(named(&[base, headers]).unwrap().headers, expected);
    }
}
