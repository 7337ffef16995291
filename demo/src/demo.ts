/**
 * `make demo`: one session with the installed launcher, on this very repository, through a client library that we did not write.
 *
 * Every step says what is expected and checks it; the demo fails when one is not as expected. Rules and files are in a temporary folder,
 * which is removed at the end; nothing in the repository is changed.
 */
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { getDefaultEnvironment, StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { ElicitRequestSchema, type ElicitRequestFormParams, type ElicitResult } from "@modelcontextprotocol/sdk/types.js";
import { answer } from "./human.js";
import { say } from "./transcript.js";

const REPOSITORY = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "");

const RULES = `\
# Allowed: started by the server, outside the sandbox.
prefix_rule(pattern = ["git", "status"], decision = "allow")
prefix_rule(pattern = ["mkdir"], decision = "allow")

# You are asked.
prefix_rule(pattern = ["touch"], decision = "prompt", justification = "It makes a file.")

# Never.
prefix_rule(pattern = ["rm"], decision = "forbidden", justification = "Use git rm, which can be undone.")
`;

/** More than enough for a person to read and answer; clients that give up after a minute lose the call. */
const PATIENCE = { timeout: 30 * 60_000 };

interface Outcome {
  readonly sandbox?: string;
  readonly denials?: readonly string[];
  readonly exit_code: number;
  readonly output: string;
  readonly timed_out: boolean;
}

/** A path as a word of a command: temporary files may be in a folder with blanks in its name. */
const word = (path: string): string => path.replaceAll(" ", "\\ ");

/** The client's side of the session, and whether all went well so far. */
class Demo {
  failures = 0;
  answers: ElicitResult[] = [];

  constructor(
    readonly client: Client,
    readonly scratch: string,
    readonly elsewhere: string,
  ) {
    client.setRequestHandler(ElicitRequestSchema, async ({ params }) => {
      const given = await answer(params as ElicitRequestFormParams);
      this.answers.push(given);
      return given;
    });
  }

  async listTools(): Promise<void> {
    say.title("1. The tools that an agent sees");
    const { tools } = await this.client.listTools();
    for (const tool of tools) {
      const names = Object.keys(tool.inputSchema.properties ?? {});
      say.text(`${tool.name}(${names.join(", ")}): ${tool.description ?? ""}`);
    }
    this.check("one of them is shell", tools.some((tool) => tool.name === "shell"));
  }

  async runsInPlace(): Promise<void> {
    say.title("2. No rule mentions git log: it runs in the sandbox");
    const { exit_code, output, sandbox } = await this.shell("git log --oneline | head", REPOSITORY);
    this.check("the sandbox was in force", sandbox !== undefined && sandbox !== "none");
    this.check("it printed this repository's newest commits", exit_code === 0 && /^[0-9a-f]{7,} \S/m.test(output));
  }

  async runsByPermission(): Promise<void> {
    say.title("3. A rule allows git status: the server runs it, outside");
    const status = await this.shell("git status --short --branch", REPOSITORY);
    this.check("it printed the branch", status.exit_code === 0 && status.output.startsWith("## "));

    say.note("a folder that commands may not write: mkdir, which a rule allows, also below env, and a shell's own redirection, which no rule can allow");
    const outside = await this.shell(`mkdir ${word(this.elsewhere)}/by-rule`, this.scratch);
    const below = await this.shell(`env mkdir ${word(this.elsewhere)}/by-env`, this.scratch);
    const inside = await this.shell(`: > ${word(this.elsewhere)}/by-shell`, this.scratch);
    this.check("the allowed one ran outside the sandbox", outside.exit_code === 0 && existsSync(join(this.elsewhere, "by-rule")));
    // Where there is no kernel's door, rules bind only what the command's own shell executes.
    const judged = below.sandbox?.endsWith("+door") ?? false;
    this.check("what env starts is judged like any other", judged === existsSync(join(this.elsewhere, "by-env")));
    this.check("the shell itself was inside, which refused it", inside.exit_code !== 0 && !existsSync(join(this.elsewhere, "by-shell")));
    this.check("and the agent was told what would allow it", inside.denials?.some((denial) => denial.includes("--writable-root")) ?? false);
    this.check("nobody was asked so far", this.answers.length === 0);
  }

  async asks(): Promise<void> {
    say.title("4. A rule says that touch needs a human's consent");
    const { exit_code, output } = await this.shell("touch with-your-consent", this.scratch);
    const made = existsSync(join(this.scratch, "with-your-consent"));
    const action = this.answers.at(-1)?.action;
    if (action === "accept") this.check("you agreed, so the file was made", exit_code === 0 && made);
    else this.check("you did not agree, so no file was made", exit_code === 1 && !made && output.includes("Execution denied"));
    this.check("you were asked once", this.answers.length === 1);
  }

  async refuses(): Promise<void> {
    say.title("5. A rule forbids rm");
    const precious = join(this.scratch, "precious");
    writeFileSync(precious, "");
    const { exit_code, output } = await this.shell("rm precious", this.scratch);
    this.check("it was refused, and the agent was told why", exit_code === 1 && /Execution denied: .*Use git rm/s.test(output));
    this.check("the file is still there", existsSync(precious));
    this.check("you were not asked again", this.answers.length === 1);
  }

  private async shell(command: string, workdir: string): Promise<Outcome> {
    say.command(command, workdir === REPOSITORY ? "repository" : "scratch");
    const result = await this.client.callTool({ name: "shell", arguments: { command, workdir, login: false } }, undefined, PATIENCE);
    const [item] = result.content as Array<{ type: string; text?: string }>;
    const text = item?.text ?? "";
    if (result.isError) {
      say.text(text);
      return { exit_code: -1, output: text, timed_out: false };
    }
    const outcome = JSON.parse(text) as Outcome;
    if (outcome.output !== "") say.text(outcome.output);
    say.note(`exit code ${outcome.exit_code}${outcome.timed_out ? ", timed out" : ""}, sandbox ${outcome.sandbox}`);
    for (const denial of outcome.denials ?? []) say.note(denial);
    return outcome;
  }

  private check(what: string, holds: boolean): void {
    if (holds) return say.good(what);
    this.failures += 1;
    say.bad(`expected, but not so: ${what}`);
  }
}

/** Runs the whole session; gives the number of expectations that did not come true. */
async function run(launcher: string): Promise<number> {
  const root = realpathSync(mkdtempSync(join(tmpdir(), "shell-tool-mcp-demo-")));
  const codexHome = join(root, "codex-home");
  const scratch = join(root, "scratch");
  const elsewhere = join(root, "elsewhere");
  mkdirSync(scratch);
  mkdirSync(elsewhere);
  mkdirSync(join(codexHome, "rules"), { recursive: true });
  writeFileSync(join(codexHome, "rules/default.rules"), RULES);
  writeFileSync(join(codexHome, "config.toml"), "[sandbox_workspace_write]\nexclude_slash_tmp = true\n");
  const client = new Client({ name: "shell-tool-mcp-demo", version: "0.0.0" }, { capabilities: { elicitation: { form: {} } } });
  try {
    say.title("The rules, in a temporary $CODEX_HOME/rules/default.rules");
    say.text(RULES);
    say.note("the server starts in the repository, which commands may write; so may they the scratch folder: --writable-root");
    const demo = new Demo(client, scratch, elsewhere);
    const env = { ...getDefaultEnvironment(), CODEX_HOME: codexHome };
    const args = ["--writable-root", scratch];
    await client.connect(new StdioClientTransport({ command: launcher, args, env, cwd: REPOSITORY }));
    const server = client.getServerVersion();
    say.note(`connected to ${server?.name} ${server?.version}`);
    await demo.listTools();
    await demo.runsInPlace();
    await demo.runsByPermission();
    await demo.asks();
    await demo.refuses();
    return demo.failures;
  } finally {
    await client.close();
    rmSync(root, { recursive: true, force: true });
  }
}

const [launcher] = process.argv.slice(2);
if (launcher === undefined) {
  process.stderr.write("demo: give the path of the installed launcher; «make demo» does\n");
  process.exit(2);
}
try {
  const failures = await run(launcher);
  say.title(failures === 0 ? "Every step went as expected." : `Not as expected: ${failures}.`);
  process.exitCode = failures === 0 ? 0 : 1;
} catch (error) {
  say.bad(`the session broke off: ${(error as Error).message}`);
  process.exitCode = 1;
}
