//! The tools that there are.

use rmcp::model::Tool;

use super::{apply_patch, background, exec_tool, read_output, shell_tool};
use shell_engine::config::{Limits, ResultFormat};

/// Their names.
pub(super) const NAMES: &[&str] = &[
    shell_tool::NAME,
    exec_tool::EXEC,
    exec_tool::WRITE,
    read_output::NAME,
    apply_patch::NAME,
    background::LIST,
    background::KILL,
];

/// Describes all of them.
pub(super) fn all(limits: &Limits, format: ResultFormat) -> Vec<Tool> {
    let mut tools = vec![shell_tool::describe(limits, format)];
    tools.extend(exec_tool::describe(format));
    tools.push(read_output::describe(format));
    tools.push(apply_patch::describe(format));
    tools.extend(background::describe(format));
    tools
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Bytes of one tool, and of all, in the request to a model: every request of a session carries them.
    const MOST: usize = 1500;
    const MOST_OF_ALL: usize = 6150;

    /// A tool as Codex puts it into a request to a model: a function with the server's name before the tool's, and the
    /// input's schema. It leaves the output's schema out.
    fn in_a_request(tool: &Tool) -> String {
        let name = format!("mcp__shell__{}", tool.name);
        let parameters = &*tool.input_schema;
        json!({"type": "function", "name": name, "description": tool.description, "strict": false, "parameters": parameters})
            .to_string()
    }

    #[test]
    fn what_they_take_of_a_models_attention_is_bounded() {
        let sizes: Vec<(String, usize)> = all(&Limits::default(), ResultFormat::Json)
            .iter()
            .map(|tool| (tool.name.to_string(), in_a_request(tool).len()))
            .collect();
        assert!(sizes.iter().all(|(_, size)| *size <= MOST), "{sizes:?}");
        assert!(sizes.iter().map(|(_, size)| size).sum::<usize>() <= MOST_OF_ALL, "{sizes:?}");
    }

    #[test]
    fn as_text_results_have_no_schema() {
        let with = |format| {
            all(&Limits::default(), format).iter().filter(|tool| tool.output_schema.is_some()).count()
        };
        assert_eq!((with(ResultFormat::Json), with(ResultFormat::Text)), (NAMES.len(), 0));
    }
}
