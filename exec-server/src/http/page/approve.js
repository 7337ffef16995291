"use strict";
// Everything is set as text, never as markup: what a command is called cannot become a part of the page. The server has
// written out what could deceive (control characters, invisible ones, letters that look like others).
const base = location.pathname.replace(/\/+$/, "");
const CALM = 500; // Milliseconds in which a question that has just come cannot be answered: keys may be meant for another.
const words = {
  once: "Allow once", inside: "Run inside the sandbox", session: "Allow for the session", always: "Always allow",
  project: "Always allow in this project", hour: "Allow for one hour", deny: "Deny", end: "Deny and end the call",
};
// A choice of one of several rules has the number of its words with it: "always:2".
const kind = (choice) => choice.split(":")[0];
const element = (id) => document.getElementById(id);
const open = new Map(), sending = new Set();
let token = "";

function make(tag, text) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  return made;
}

function headers(more) {
  return token ? { ...more, Authorization: `Bearer ${token}` } : more;
}

function count() {
  const number = open.size;
  element("nothing").hidden = number > 0;
  document.title = number ? `(${number}) Approve commands` : "Approve commands";
}

function row(list, name, value) {
  if (!value) return;
  list.append(make("dt", name), make("dd", value));
}

function show(question) {
  close(question.id, false);
  const item = make("li"), card = make("article"), title = make("h2", question.wish ? `Allow it to ${question.wish}?` : `May this run? ${question.program}`);
  title.id = `title-${question.id}`;
  title.tabIndex = -1;
  card.setAttribute("aria-labelledby", title.id);
  const facts = make("dl");
  row(facts, "In", question.workdir);
  row(facts, "Why asked", question.why);
  row(facts, "Rule", question.rule);
  if (question.left_out) row(facts, "Not shown", `${question.left_out} arguments`);
  for (const detail of question.details) row(facts, "Note", detail);
  const reason = make("input"), label = make("label", "Reason for the agent (optional)");
  reason.id = `reason-${question.id}`;
  reason.maxLength = 2000;
  label.htmlFor = reason.id;
  const choices = make("div");
  choices.setAttribute("role", "group");
  choices.setAttribute("aria-label", "Answer");
  for (const choice of question.choices) {
    const rule = question.rules.find((rule) => rule.decision === choice);
    const name = words[kind(choice)] ?? `Allow: ${choice}`, button = make("button", name);
    button.type = "button";
    button.disabled = true;
    if (rule) {
      button.append(make("br"), make("code", rule.begins_with));
      row(facts, `Rule of "${name} ${rule.begins_with}"`, rule.rule);
    }
    button.addEventListener("click", () => answer(question.id, choice, reason.value));
    choices.append(button);
  }
  setTimeout(() => { for (const button of choices.children) button.disabled = false; }, CALM);
  card.append(title, make("pre", question.command), facts, label, reason, choices);
  item.append(card);
  open.set(question.id, item);
  element("questions").append(item);
  tell(`A command waits for an answer: ${question.wish ?? question.program}`);
  count();
}

function close(id, said = true) {
  const item = open.get(id);
  if (!item) return;
  const had = item.contains(document.activeElement);
  open.delete(id);
  item.remove();
  if (said) tell("A question needs no answer any more.");
  count();
  // Whoever works with keys goes on with the next one.
  if (had) (element("questions").querySelector("h2") ?? element("nothing")).focus();
}

// What went wrong is seen, too; what else is told is on the page already.
function tell(news, wrong = false) {
  element("news").textContent = news;
  element("news").classList.toggle("aside", !wrong);
}

async function answer(id, choice, reason) {
  if (sending.has(id)) return;
  sending.add(id);
  const body = JSON.stringify({ say: "answer", id, choice, reason: reason.trim() || null });
  const sent = { method: "POST", body, headers: headers({ "Content-Type": "application/json" }) };
  try {
    const response = await fetch(`${base}/answers`, sent);
    if (!response.ok) tell(await response.text(), true);
  } catch {
    tell("The answer did not reach the server.", true);
  } finally {
    sending.delete(id);
  }
}

function hear(message) {
  switch (message.say) {
    case "hello": element("state").textContent = `Connected. Server in ${message.folder}.`; break;
    case "asked": show(message); break;
    case "closed": close(message.id); break;
  }
}

async function read(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) if (line.startsWith("data:")) hear(JSON.parse(line.slice(5)));
  }
}

async function listen() {
  for (;;) {
    try {
      const response = await fetch(`${base}/events`, { headers: headers({ Accept: "text/event-stream" }) });
      if (response.status === 401 || response.status === 403 || response.status === 404) {
        element("state").textContent = response.status === 401 ? "Say who you are." : await response.text();
        element("login").hidden = false;
        element("token").focus();
        return;
      }
      if (response.ok) {
        for (const id of [...open.keys()]) close(id, false);
        count();
        await read(response);
      }
    } catch { /* It is tried again. */ }
    element("state").textContent = "Not connected; trying again.";
    await new Promise((wake) => setTimeout(wake, 1000));
  }
}

element("login").addEventListener("submit", (event) => {
  event.preventDefault();
  token = element("token").value.trim();
  element("token").value = "";
  element("login").hidden = true;
  element("state").textContent = "Connecting.";
  listen();
});
listen();
