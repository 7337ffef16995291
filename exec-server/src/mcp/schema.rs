//! JSON schemas of what tools return.

use std::sync::Arc;

use rmcp::model::JsonObject;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

/// The schema of a result as it is written: what is left out when there is nothing to say is not required.
pub(super) fn schema_of<T: JsonSchema>() -> Arc<JsonObject> {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    without_formats(&mut schema);
    if let Some(object) = schema.as_object_mut() {
        object.insert("type".into(), "object".into());
    }
    object(schema)
}

/// Removes `"format": "uint64"` and the like, which are no formats of JSON Schema: clients warn of them.
fn without_formats(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            object.shift_remove("format");
            object.values_mut().for_each(without_formats);
        }
        Value::Array(values) => values.iter_mut().for_each(without_formats),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

pub(super) fn object(value: Value) -> Arc<JsonObject> {
    match value {
        Value::Object(object) => Arc::new(object),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Arc::default()
        }
    }
}
