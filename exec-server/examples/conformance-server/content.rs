//! Kinds of content, resources and prompts that our server does not have. What passes here is rmcp's doing, not ours.

use rmcp::model::{
    CallToolResult, ContentBlock, ErrorData, GetPromptResult, Prompt, PromptArgument, PromptMessage,
    Resource, ResourceContents, ResourceTemplate, Role, Tool,
};
use serde_json::{Map, Value, json};

use crate::commands::no_arguments;

/// One red pixel.
const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";

/// No samples.
const WAV: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA=";

const TOOLS: [(&str, &str); 4] = [
    ("test_image_content", "Returns an image."),
    ("test_audio_content", "Returns a sound."),
    ("test_embedded_resource", "Returns a resource."),
    ("test_multiple_content_types", "Returns text, an image and a resource."),
];

pub(crate) fn tools() -> impl Iterator<Item = Tool> {
    TOOLS.iter().map(|(name, about)| Tool::new(*name, *about, no_arguments()))
}

/// What the tool of this name returns.
pub(crate) fn call(name: &str) -> Option<CallToolResult> {
    let image = || ContentBlock::image(PNG, "image/png");
    let resource = |uri, text| ContentBlock::resource(ResourceContents::text(text, uri));
    let content = match name {
        "test_image_content" => vec![image()],
        "test_audio_content" => vec![ContentBlock::audio(WAV, "audio/wav")],
        "test_embedded_resource" => {
            vec![resource("test://embedded-resource", "This is an embedded resource content.")]
        }
        "test_multiple_content_types" => vec![
            ContentBlock::text("Multiple content types test:"),
            image(),
            resource("test://mixed-content-resource", r#"{"test":"data","value":123}"#),
        ],
        _ => return None,
    };
    Some(CallToolResult::success(content))
}

const TEXT: &str = "test://static-text";
const BINARY: &str = "test://static-binary";
const TEMPLATE: (&str, &str) = ("test://template/", "/data");

pub(crate) fn resources() -> [Resource; 2] {
    [
        Resource::new(TEXT, "static text").with_description("A text.").with_mime_type("text/plain"),
        Resource::new(BINARY, "static binary").with_description("An image.").with_mime_type("image/png"),
    ]
}

pub(crate) fn template() -> ResourceTemplate {
    let (before, after) = TEMPLATE;
    ResourceTemplate::new(format!("{before}{{id}}{after}"), "template").with_mime_type("application/json")
}

/// The resource at this address.
pub(crate) fn read(uri: &str) -> Option<ResourceContents> {
    match uri {
        TEXT => Some(ResourceContents::text("This is the content of the static text resource.", uri)),
        BINARY => Some(ResourceContents::blob(PNG, uri).with_mime_type("image/png")),
        _ => {
            let id = uri.strip_prefix(TEMPLATE.0)?.strip_suffix(TEMPLATE.1)?;
            let text = json!({"id": id, "templateTest": true, "data": format!("Data for ID: {id}")});
            Some(ResourceContents::text(text.to_string(), uri).with_mime_type("application/json"))
        }
    }
}

const SIMPLE: &str = "test_simple_prompt";
const ARGUMENTS: &str = "test_prompt_with_arguments";
const EMBEDDED: &str = "test_prompt_with_embedded_resource";
const IMAGE: &str = "test_prompt_with_image";

pub(crate) fn prompts() -> [Prompt; 4] {
    let required = |names: &[&str]| {
        Some(names.iter().map(|name| PromptArgument::new(*name).with_required(true)).collect())
    };
    [
        Prompt::new(SIMPLE, Some("A text."), None),
        Prompt::new(ARGUMENTS, Some("A text with its arguments."), required(&["arg1", "arg2"])),
        Prompt::new(EMBEDDED, Some("A resource."), required(&["resourceUri"])),
        Prompt::new(IMAGE, Some("An image."), None),
    ]
}

/// The prompt of this name.
pub(crate) fn prompt(name: &str, arguments: &Map<String, Value>) -> Result<GetPromptResult, ErrorData> {
    let argument = |name: &str| {
        let value = arguments.get(name).and_then(Value::as_str);
        value.ok_or_else(|| ErrorData::invalid_params(format!("missing argument: {name}"), None))
    };
    let text = |text: String| PromptMessage::new_text(Role::User, text);
    let messages = match name {
        SIMPLE => vec![text("This is a simple prompt for testing.".into())],
        ARGUMENTS => {
            let (first, second) = (argument("arg1")?, argument("arg2")?);
            vec![text(format!("Prompt with arguments: arg1='{first}', arg2='{second}'"))]
        }
        EMBEDDED => {
            let resource =
                ResourceContents::text("Embedded resource content for testing.", argument("resourceUri")?);
            vec![
                PromptMessage::new(Role::User, ContentBlock::resource(resource)),
                text("Please process the embedded resource above.".into()),
            ]
        }
        IMAGE => vec![
            PromptMessage::new(Role::User, ContentBlock::image(PNG, "image/png")),
            text("Please analyze the image above.".into()),
        ],
        _ => return Err(ErrorData::invalid_params(format!("no prompt {name:?}"), None)),
    };
    Ok(GetPromptResult::new(messages))
}
