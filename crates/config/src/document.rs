//! What can be written in the file.
use serde_json::Value;
/// The JSON schema (draft 2020-12) of the file.
pub fn schema() -> Value {
    Value::Null
}
/// The settings, in Markdown.
pub fn reference() -> String {
    String::new()
}
