//! Which command of `shell` stands behind which tool of the suite.
//!
//! The suite looks at how a tool answers, not at what it does. So its tools are other names for our own: what answers,
//! asks, tells progress and checks states is what is shipped.

/// A program that the rules of the run ask about; see tests/conformance/rules.
const ASKED: &str = "id -u";

/// What a tool of the suite does here.
#[derive(Clone, Copy)]
pub(crate) struct TestTool {
    pub(crate) name: &'static str,
    /// The command for `shell`; `None`: `shell` is called without one, which is an error.
    pub(crate) command: Option<&'static str>,
    /// What the suite calls the question that the command leads to, where it insists on a name.
    pub(crate) question: Option<&'static str>,
}

const fn runs(name: &'static str, command: &'static str) -> TestTool {
    TestTool { name, command: Some(command), question: None }
}

/// All of them.
pub(crate) const TOOLS: &[TestTool] = &[
    runs("test_simple_text", "echo 'This is a simple text response for testing.'"),
    TestTool { name: "test_error_handling", command: None, question: None },
    // Progress is told four times a second, and what is told is the last line that was printed.
    runs("test_tool_with_progress", "for step in 1 2 3 4 5; do echo step $step; sleep 0.3; done"),
    runs("test_tool_with_logging", "for step in 1 2 3 4 5; do echo step $step; sleep 0.3; done"),
    runs("test_logging_tool", "echo nothing is logged"),
    runs("test_elicitation", ASKED),
    runs("test_streaming_elicitation", ASKED),
    TestTool {
        name: "test_input_required_result_elicitation",
        command: Some(ASKED),
        question: Some("user_name"),
    },
    runs("test_input_required_result_request_state", ASKED),
    runs("test_input_required_result_tampered_state", ASKED),
    runs("test_input_required_result_multi_round", "id -u; id -g"),
];
