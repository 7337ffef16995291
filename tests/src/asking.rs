//! A client of either era whose person answers as a test says.

use serde_json::{Map, Value, json};

use crate::World;
use crate::lines::Lines;

/// How a client of a revision is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Era {
    /// By requests of the server's (2025-11-25).
    Requests,
    /// By results that ask for input (2026-07-28).
    ParkedCalls,
}

/// Both.
pub const ERAS: [Era; 2] = [Era::Requests, Era::ParkedCalls];

/// A server, and a client that can show forms.
#[derive(Debug)]
pub struct Asking {
    /// The connection.
    pub server: Lines,
    era: Era,
    workdir: String,
}

/// What came of a call.
#[derive(Debug)]
pub struct Answered {
    /// The parameters of each question, in the order in which they came.
    pub questions: Vec<Value>,
    /// The call's structured result.
    pub result: Value,
}

impl Answered {
    /// The command's output.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[must_use]
    pub fn output(&self) -> &str {
        self.result["output"].as_str().unwrap_or_else(|| panic!("no output in {}", self.result))
    }

    /// The texts of the questions.
    ///
    /// # Panics
    ///
    /// When one has none.
    #[must_use]
    pub fn messages(&self) -> Vec<&str> {
        self.questions.iter().map(|one| one["message"].as_str().expect("a text")).collect()
    }

    /// The words that the only question offers.
    ///
    /// # Panics
    ///
    /// When there is not exactly one question, or it has no choices.
    #[must_use]
    pub fn choices(&self) -> Vec<&str> {
        let [question] = &self.questions[..] else { panic!("one question, not {:?}", self.questions) };
        let choices = question["requestedSchema"]["properties"]["decision"]["oneOf"].as_array();
        let words = choices.expect("choices").iter();
        words.map(|one| one["const"].as_str().expect("a word")).collect()
    }
}

impl Asking {
    /// Starts the server of `world` without a sandbox.
    #[must_use]
    pub fn start(world: &World, era: Era, arguments: &[&str]) -> Asking {
        let arguments = [&["--sandbox", "danger-full-access"], arguments].concat();
        Asking::start_with(world, era, &arguments)
    }

    /// Starts the server of `world` with these arguments.
    ///
    /// # Panics
    ///
    /// When the folder's name is not UTF-8.
    #[must_use]
    pub fn start_with(world: &World, era: Era, arguments: &[&str]) -> Asking {
        let mut server = Lines::start_with(world, arguments);
        if era == Era::Requests {
            server.initialize_as("2025-11-25", &json!({"elicitation": {}}));
        }
        Asking { server, era, workdir: world.workdir().to_str().expect("UTF-8").to_owned() }
    }

    /// The parameters of a call of this command.
    #[must_use]
    pub fn call(&self, command: &str) -> Value {
        let arguments =
            json!({"command": command, "workdir": self.workdir, "login": false, "timeout_ms": 100_000});
        let mut call = json!({"name": "shell", "arguments": arguments});
        if self.era == Era::ParkedCalls {
            call["_meta"] = json!({
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}},
                "io.modelcontextprotocol/clientInfo": {"name": "asking", "version": "1"}
            });
        }
        call
    }

    /// Runs a command, and answers every question so.
    pub fn run(&mut self, command: &str, response: &Value) -> Answered {
        self.run_answering(command, |_| response.clone())
    }

    /// Runs a command with more arguments than that, and answers every question so.
    pub fn run_with(&mut self, command: &str, more: &Value, response: &Value) -> Answered {
        self.run_with_answering(command, more, |_| response.clone())
    }

    /// Runs a command, and answers each question as `answer` says, which is given its parameters.
    pub fn run_answering(&mut self, command: &str, answer: impl FnMut(&Value) -> Value) -> Answered {
        self.run_with_answering(command, &json!({}), answer)
    }

    /// The same, with more arguments than the command.
    pub fn run_with_answering(
        &mut self,
        command: &str,
        more: &Value,
        answer: impl FnMut(&Value) -> Value,
    ) -> Answered {
        let mut call = self.call(command);
        for (name, value) in more.as_object().into_iter().flatten() {
            call["arguments"][name.as_str()] = value.clone();
        }
        match self.era {
            Era::Requests => self.by_requests(call, answer),
            Era::ParkedCalls => self.by_parked_calls(call, answer),
        }
    }

    fn by_requests(&mut self, call: Value, mut answer: impl FnMut(&Value) -> Value) -> Answered {
        let id = self.server.send_request("tools/call", call);
        let mut questions = Vec::new();
        loop {
            let message = self.server.receive_call();
            if message["id"] == json!(id) && message.get("method").is_none() {
                return Answered { questions, result: structured(&message) };
            }
            assert_eq!(message["method"], "elicitation/create", "{message}");
            let response = answer(&message["params"]);
            self.server.respond(&message["id"], &response);
            questions.push(message["params"].clone());
        }
    }

    fn by_parked_calls(&mut self, mut call: Value, mut answer: impl FnMut(&Value) -> Value) -> Answered {
        let mut questions = Vec::new();
        loop {
            let message = self.server.request("tools/call", call.clone());
            let result = &message["result"];
            if result["resultType"] != "input_required" {
                return Answered { questions, result: structured(&message) };
            }
            let mut responses = Map::new();
            for (id, request) in result["inputRequests"].as_object().expect("questions") {
                assert_eq!(request["method"], "elicitation/create", "{message}");
                responses.insert(id.clone(), answer(&request["params"]));
                questions.push(request["params"].clone());
            }
            call["requestState"] = result["requestState"].clone();
            call["inputResponses"] = responses.into();
        }
    }
}

fn structured(answer: &Value) -> Value {
    let result = &answer["result"]["structuredContent"];
    assert!(result.is_object(), "no result in {answer}");
    result.clone()
}

/// Accepts with this decision.
#[must_use]
pub fn choose(decision: &str) -> Value {
    json!({"action": "accept", "content": {"decision": decision}})
}
