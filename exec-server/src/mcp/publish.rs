//! `publish`: ports of a command that a person's browser can open.

use serde_json::{Value, json};

use super::arguments::{ArgumentError, wrong};
use rmcp::model::JsonObject;

/// The name of the argument.
pub(super) const NAME: &str = "publish";

/// Ports of one call; nobody reads more in a question.
const MOST: usize = 16;

/// Describes it, in few words: every request to a model carries them.
pub(super) fn property(description: Option<&str>) -> (String, Value) {
    let mut ports = json!({"type": "array", "items": {"type": "integer"}});
    if let Some(text) = description {
        ports["description"] = text.into();
    }
    (NAME.to_owned(), ports)
}

/// Reads it; none where it is not given.
pub(super) fn read(given: Option<&JsonObject>) -> Result<Vec<u16>, ArgumentError> {
    let Some(value) = given.and_then(|given| given.get(NAME)).filter(|value| !value.is_null()) else {
        return Ok(Vec::new());
    };
    let port =
        |value: &Value| value.as_u64().and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
    let ports = value.as_array().filter(|ports| ports.len() <= MOST);
    let ports: Option<Vec<u16>> = ports.and_then(|ports| ports.iter().map(port).collect());
    let expected = format!("a list of at most {MOST} ports, from 1 to 65535");
    ports.ok_or_else(|| wrong(NAME, expected, value, &json!({"publish": [3000]})))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read() {
        let read = |value: Value| read(json!({"publish": value}).as_object()).ok();
        assert_eq!(read(json!([3000, 1])), Some(vec![3000, 1]));
        assert_eq!(read(json!(null)), Some(vec![]));
        for wrong in
            [json!(3000), json!(["3000"]), json!([0]), json!([65536]), json!([1.5]), json!(vec![1; 17])]
        {
            assert_eq!(read(wrong.clone()), None, "{wrong}");
        }
    }
}
