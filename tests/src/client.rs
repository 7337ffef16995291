//! An MCP client (rmcp's), and the person behind it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rmcp::model::{
    CallToolRequestParams, CallToolResult, ClientCapabilities, ClientConfig, ElicitRequestParams,
    ElicitResult, ElicitationAction, ElicitationCapability, ErrorData, FormElicitationCapability,
    Implementation, ProgressNotificationParam,
};
use rmcp::service::{NotificationContext, RequestContext, RunningService, ServiceError};
use rmcp::transport::TokioChildProcess;
use rmcp::{ClientHandler, RoleClient, ServiceExt};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};

use crate::World;
use crate::waiting::PATIENCE;

/// What a person does with a form.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// Sends it as it is, which is a yes.
    Accept,
    /// Chooses *deny*.
    Deny,
    /// Chooses this.
    Choose(&'static str),
    /// Declines it.
    Decline,
    /// Closes it.
    Cancel,
}

impl Answer {
    fn result(self) -> ElicitResult {
        match self {
            Answer::Accept => ElicitResult::new(ElicitationAction::Accept),
            Answer::Deny => {
                ElicitResult::new(ElicitationAction::Accept).with_content(json!({"decision": "deny"}))
            }
            Answer::Choose(word) => {
                ElicitResult::new(ElicitationAction::Accept).with_content(json!({"decision": word}))
            }
            Answer::Decline => ElicitResult::new(ElicitationAction::Decline),
            Answer::Cancel => ElicitResult::new(ElicitationAction::Cancel),
        }
    }
}

/// By the server's own clock; it takes a form that is declined or closed sooner for a client that asks nobody.
const READING_SECONDS: f64 = 0.5;

/// Somebody who answers questions, in the order of `answers`, and remembers what was asked.
#[derive(Clone, Debug, Default)]
pub struct Person {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    asked: watch::Sender<Vec<String>>,
    /// A permit for each answer; without it the answers come at once.
    told: Option<Arc<Semaphore>>,
    reads: bool,
    /// How many seconds the call has taken, as the server has told last.
    progress: watch::Sender<f64>,
    /// Whether the client says that it can ask at all.
    present: bool,
}

impl Person {
    /// A client that cannot ask anybody.
    #[must_use]
    pub fn absent() -> Person {
        Person::default()
    }

    /// Answers so, one question after the other; further questions fail.
    #[must_use]
    pub fn answering(answers: impl IntoIterator<Item = Answer>) -> Person {
        Person {
            answers: Arc::new(Mutex::new(answers.into_iter().collect())),
            present: true,
            ..Person::default()
        }
    }

    /// Takes the time to read each question, as the server sees it. Only for what is about that time.
    #[must_use]
    pub fn reading(mut self) -> Person {
        self.reads = true;
        self
    }

    /// Answers only when [told](Person::tell) to.
    #[must_use]
    pub fn when_told(mut self) -> Person {
        self.told = Some(Arc::new(Semaphore::new(0)));
        self
    }

    /// Lets out one answer of a person who waits for that.
    pub fn tell(&self) {
        if let Some(told) = &self.told {
            told.add_permits(1);
        }
    }

    /// Waits until the server has told, since the question, that so much time has passed.
    async fn read(&self) {
        let mut progress = self.progress.subscribe();
        let passed = async {
            progress.changed().await?;
            let begun = *progress.borrow_and_update();
            progress.wait_for(|now| *now >= begun + READING_SECONDS).await.map(drop)
        };
        tokio::time::timeout(PATIENCE, passed).await.expect("progress").expect("we hold the sender");
    }

    /// The questions so far.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.asked.borrow().clone()
    }

    /// Waits until so many questions have been asked in all.
    ///
    /// # Panics
    ///
    /// When they are not.
    pub async fn until_asked(&self, questions: usize) {
        let mut asked = self.asked.subscribe();
        let enough = asked.wait_for(|asked| asked.len() >= questions);
        tokio::time::timeout(PATIENCE, enough).await.expect("questions").expect("we hold the sender");
    }
}

impl ClientHandler for Person {
    fn get_info(&self) -> ClientConfig {
        let mut capabilities = ClientCapabilities::default();
        if self.present {
            let elicitation = ElicitationCapability::new().with_form(FormElicitationCapability::new());

            capabilities.elicitation = Some(elicitation);
        }
        ClientConfig::new(capabilities, Implementation::new("end-to-end-tests", "1"))
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let ElicitRequestParams::FormElicitationParams { message, .. } = request else {
            return Err(ErrorData::invalid_params("only forms", None));
        };
        self.asked.send_modify(|asked| asked.push(message));
        let answer = self.answers.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        if let Some(told) = &self.told {
            told.acquire().await.expect("it is never closed").forget();
        }
        if self.reads {
            self.read().await;
        }
        answer.map(Answer::result).ok_or_else(|| ErrorData::internal_error("no answer was prepared", None))
    }

    async fn on_progress(
        &self,
        params: ProgressNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        self.progress.send_replace(params.progress);
    }
}

/// A connected client.
pub struct Client {
    service: RunningService<RoleClient, Person>,
    workdir: String,
    server: u32,
}

impl Client {
    /// Starts the server of `world` without a sandbox, and a client with this person.
    pub async fn start(world: &World, person: &Person) -> Client {
        Client::start_with(world, person, &["--sandbox", "danger-full-access"]).await
    }

    /// Starts the server of `world` with these arguments, and a client with this person.
    ///
    /// # Panics
    ///
    /// When the server does not start.
    pub async fn start_with(world: &World, person: &Person, arguments: &[&str]) -> Client {
        Client::start_command(world, person, world.server(arguments)).await
    }

    /// Starts the server of `world` with these variables around it, in the sandbox that is the default.
    ///
    /// # Panics
    ///
    /// When the server does not start.
    pub async fn start_command(world: &World, person: &Person, command: std::process::Command) -> Client {
        let transport =
            TokioChildProcess::new(tokio::process::Command::from(command)).expect("the server starts");
        let server = transport.id().expect("it runs");
        let service = person.clone().serve(transport).await.expect("the server answers initialize");
        Client { service, workdir: world.workdir().to_str().expect("UTF-8").to_owned(), server }
    }

    /// Calls `shell` with `login: false` and returns what came of it.
    pub async fn run(&self, command: &str) -> Outcome {
        self.call(json!({"command": command, "workdir": self.workdir, "login": false})).await
    }

    /// As [`run`](Self::run), with a timeout.
    pub async fn run_within(&self, command: &str, timeout: Duration) -> Outcome {
        let timeout_ms = u64::try_from(timeout.as_millis()).expect("a sensible timeout");
        self.call(
            json!({"command": command, "workdir": self.workdir, "login": false, "timeout_ms": timeout_ms}),
        )
        .await
    }

    /// Calls `shell` with these arguments.
    ///
    /// # Panics
    ///
    /// When the answer is a protocol error, or not as the tool promises.
    pub async fn call(&self, arguments: Value) -> Outcome {
        Outcome::of(&self.try_call("shell", arguments).await.expect("a tool result"))
    }

    /// Calls any tool.
    ///
    /// # Errors
    ///
    /// When the server answers with a protocol error.
    pub async fn try_call(&self, tool: &str, arguments: Value) -> Result<CallToolResult, ServiceError> {
        let Value::Object(arguments) = arguments else { panic!("arguments are an object") };
        self.service.call_tool(CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments)).await
    }

    /// Calls any tool and returns its structured content.
    ///
    /// # Panics
    ///
    /// When the tool fails, or has none.
    pub async fn structured(&self, tool: &str, arguments: Value) -> Value {
        let result = self.try_call(tool, arguments).await.expect("a tool result");
        assert_eq!(result.is_error, Some(false), "{result:?}");
        result.structured_content.expect("structured content")
    }

    /// The server's process.
    #[must_use]
    pub fn server(&self) -> u32 {
        self.server
    }

    /// rmcp's own view of the connection.
    #[must_use]
    pub fn service(&self) -> &RunningService<RoleClient, Person> {
        &self.service
    }
}

/// A tool result: the JSON of Codex's server in its text, or an error's words.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The command ran.
    Ran {
        /// Exit code.
        exit_code: i64,
        /// Output.
        output: String,
        /// The timeout was reached.
        timed_out: bool,
        /// All of the result.
        json: Value,
    },
    /// The tool could not do its work.
    Problem(String),
}

impl Outcome {
    fn of(result: &CallToolResult) -> Outcome {
        let text = &result.content.first().and_then(|content| content.as_text()).expect("a text item").text;
        if result.is_error == Some(true) {
            return Outcome::Problem(text.clone());
        }
        let json: Value = serde_json::from_str(text).expect("the text is JSON");
        assert_eq!(result.structured_content.as_ref(), Some(&json), "text and structured content agree");
        Outcome::Ran {
            exit_code: json["exit_code"].as_i64().expect("an exit code"),
            output: json["output"].as_str().expect("output").to_owned(),
            timed_out: json["timed_out"].as_bool().expect("timed_out"),
            json,
        }
    }

    /// Exit code and output.
    ///
    /// # Panics
    ///
    /// When the command did not run.
    #[must_use]
    pub fn ran(&self) -> (i64, &str) {
        match self {
            Outcome::Ran { exit_code, output, .. } => (*exit_code, output),
            Outcome::Problem(text) => panic!("the tool failed: {text}"),
        }
    }

    /// All of the result.
    ///
    /// # Panics
    ///
    /// When the command did not run.
    #[must_use]
    pub fn json(&self) -> &Value {
        match self {
            Outcome::Ran { json, .. } => json,
            Outcome::Problem(text) => panic!("the tool failed: {text}"),
        }
    }

    /// The words of a failure.
    ///
    /// # Panics
    ///
    /// When the command ran.
    #[must_use]
    pub fn problem(&self) -> &str {
        match self {
            Outcome::Ran { json, .. } => panic!("the command ran: {json}"),
            Outcome::Problem(text) => text,
        }
    }
}
