/** The page `/approve` as people use it: by keyboard, with a screen reader, in two windows, while servers come and go. */
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { accessibility, launch, open, says, Site, tabTo } from "./site.mjs";

/** No question may be answered before it has been on the page so long; the page's own time. */
const enabled = (page) => page.waitForSelector("article button:not([disabled])");

let browser, site;
const begin = async (args) => (site = await Site.start(args));
before(async () => (browser = await launch()));
after(() => browser?.close());
afterEach(async () => {
  await Promise.all((await browser.pages()).slice(1).map((page) => page.close()));
  await site?.remove();
});

test("a question appears while the page is open, and is answered by the keyboard alone", async () => {
  await begin();
  const { page, troubles } = await open(browser, site.page);
  await says(page, "#state", "Connected.");
  await says(page, "#nothing", "No command waits");
  const call = site.run("touch 'a b'");
  await says(page, "article pre", "touch 'a b'");
  await says(page, "article dl", "makes files");
  assert.equal(await page.title(), "(1) Approve commands");
  // Whoever is about to press a key when a question comes has not answered it.
  assert.ok(await page.$eval("article button", (button) => button.disabled));
  await enabled(page);
  await tabTo(page, "Allow once");
  await page.keyboard.press("Enter");
  assert.equal((await call).exit_code, 0);
  await says(page, "#nothing", "No command waits");
  assert.equal(await page.title(), "Approve commands");
  assert.deepEqual(troubles, []);
});

test("a refusal takes a reason with it, and the keys go on with the next question", async () => {
  await begin();
  const { page, troubles } = await open(browser, site.page);
  await says(page, "#state", "Connected.");
  const first = site.run("touch first");
  await says(page, "article pre", "touch first");
  const second = site.run("touch second");
  await says(page, "article pre", "touch second");
  await page.waitForFunction(() => document.querySelectorAll("article button:disabled").length === 0);
  const field = await page.$eval("article input", (input) => input.id);
  await tabTo(page, field);
  await page.keyboard.type("not <b>here</b>");
  await tabTo(page, "Deny");
  await page.keyboard.press("Space");
  const { output } = await first;
  assert.ok(output.includes("not <b>here</b>"), output);
  await page.waitForFunction(() => document.activeElement.innerText.startsWith("May this run?"));
  await tabTo(page, "Allow once");
  await page.keyboard.press("Enter");
  assert.equal((await second).exit_code, 0);
  // Nobody who works with keys is thrown back to the top.
  await page.waitForFunction(() => document.activeElement.id === "nothing");
  assert.deepEqual(troubles, []);
});

test("a question about a connection says where to, and no is told the command", async () => {
  await begin();
  const { page, troubles } = await open(browser, site.page);
  await says(page, "#state", "Connected.");
  const call = site.run("bash -c 'exec 3<> /dev/tcp/nobody.example/443; cat <&3'");
  await says(page, "article h2", "Allow it to connect to `nobody.example:443`?");
  await says(page, "article dl", 'network_rule(host="nobody.example", ports=[443], decision="allow")');
  await enabled(page);
  await tabTo(page, "Deny");
  await page.keyboard.press("Enter");
  const { exit_code, denials } = await call;
  assert.ok(exit_code !== 0 && String(denials).includes("nobody.example:443"), String(denials));
  assert.deepEqual(troubles, []);
});

test("a screen reader is told what there is, and what changes", async () => {
  await begin();
  const { page } = await open(browser, site.page);
  await says(page, "#state", "Connected.");
  const call = site.run("touch x");
  await enabled(page);
  const tree = await accessibility(page);
  const has = (wanted) => {
    const found = tree.some((node) => Object.entries(wanted).every(([key, value]) => (value instanceof RegExp ? value.test(node[key]) : node[key] === value)));
    assert.ok(found, `${JSON.stringify(wanted, (_, value) => (value instanceof RegExp ? String(value) : value))} is not in\n${tree.map((node) => JSON.stringify(node)).join("\n")}`);
  };
  has({ role: "RootWebArea", name: "(1) Approve commands" });
  has({ role: "main" });
  has({ role: "heading", name: "Approve commands" });
  has({ role: "status", live: "polite" });
  has({ role: "alert", live: "assertive" });
  has({ role: "list", name: "Questions" });
  has({ role: "article", name: /^May this run\? .*touch$/ });
  has({ role: "heading", name: /^May this run\? .*touch$/ });
  has({ role: "textbox", name: "Reason for the agent (optional)" });
  has({ role: "group", name: "Answer" });
  has({ role: "button", name: "Allow once", disabled: false });
  has({ role: "button", name: /^Always allow in this project .*touch x$/ });
  has({ role: "button", name: "Deny", disabled: false });
  has({ role: "term", name: /^Rule of "Allow for one hour .*touch x"$/ });
  // What is told is in the live region, which was there before.
  assert.match(await page.$eval("[role=alert]", (news) => news.textContent), /^A command waits for an answer: .*touch$/);
  const unnamed = tree.filter(({ role, name }) => ["button", "textbox", "article", "group", "list"].includes(role) && !name);
  assert.deepEqual(unnamed, []);
  await page.click("article button");
  await call;
});

test("what a command is called stays text", async () => {
  await begin();
  const { page, troubles } = await open(browser, site.page);
  await says(page, "#state", "Connected.");
  const markup = '<img src=x onerror=alert(1)><script>alert(2)</script><a href="javascript:alert(3)">x</a>"onclick="alert(4)';
  const call = site.run(`touch '${markup}' $'\\e[2J\\u202e\\u2066\\u200b\\0330m' $'javascript:alert(5)\\n</pre>'`);
  await enabled(page);
  const text = await page.$eval("article pre", (pre) => pre.textContent);
  assert.ok(text.includes("<img src=x onerror=alert(1)>") && text.includes("<script>alert(2)</script>"), text);
  const all = await page.evaluate(() => document.body.textContent);
  assert.doesNotMatch(all, /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2066-\u2069]/);
  const elements = await page.evaluate(() => ["img", "a", "iframe", "article script", "[onclick]", "[onerror]"].filter((one) => document.querySelector(`body ${one}`)));
  assert.deepEqual(elements, []);
  assert.deepEqual(troubles, []);
  // The policy is in force: what gets into the page all the same is not run.
  await page.evaluate(() => {
    const script = document.createElement("script");
    script.textContent = "alert('ran')";
    document.body.append(script);
  });
  await page.waitForFunction(() => window.breaches > 0);
  assert.equal(troubles.length, 1, troubles.join("\n"));
  assert.match(troubles[0], /^policy: script-src/);
  await page.click("article button");
  await call;
});

test("an answer in one window closes the question in the other", async () => {
  await begin();
  const [one, other] = [await open(browser, site.page), await open(browser, site.page)];
  for (const { page } of [one, other]) await says(page, "#state", "Connected.");
  const call = site.run("touch x");
  for (const { page } of [one, other]) await page.waitForSelector("article");
  await one.page.bringToFront();
  await enabled(one.page);
  await tabTo(one.page, "Allow once");
  await one.page.keyboard.press("Enter");
  assert.equal((await call).exit_code, 0);
  await other.page.waitForFunction(() => !document.querySelector("article"));
  assert.equal(await other.page.$eval("[role=alert]", (news) => news.textContent), "A question needs no answer any more.");
  assert.equal(await other.page.title(), "Approve commands");
  assert.deepEqual([...one.troubles, ...other.troubles], []);
});

test("a token is typed in, checked, and kept nowhere", async () => {
  await begin(["--token-file", "%ROOT%/tokens"]);
  const { page, troubles } = await open(browser, site.page);
  await says(page, "#state", "Say who you are.");
  for (const [token, said] of [["token-of-nobody-0123456789", "Say who you are."], ["token-of-ann-0123456789", "shell:approve"]]) {
    await page.waitForFunction(() => document.activeElement.id === "token");
    await page.keyboard.type(token);
    await page.keyboard.press("Enter");
    await says(page, "#state", said);
    assert.equal(await page.$eval("#token", (field) => field.value), "");
  }
  await page.waitForFunction(() => document.activeElement.id === "token");
  await page.keyboard.type("token-of-bob-0123456789");
  await page.keyboard.press("Enter");
  await says(page, "#state", "Connected.");
  const call = site.run("touch x", "token-of-ann-0123456789");
  await enabled(page);
  await says(page, "article dl", "Asked by ann.");
  await tabTo(page, "Allow once");
  await page.keyboard.press("Enter");
  assert.equal((await call).exit_code, 0);
  const kept = await page.evaluate(() => [location.href, document.cookie, ...Object.values(localStorage), ...Object.values(sessionStorage), document.documentElement.outerHTML].join("\n"));
  assert.ok(!kept.includes("token-of-bob"), kept);
  await page.reload();
  await says(page, "#state", "Say who you are.");
  assert.deepEqual(troubles, []);
});

test("a page finds its server again, without what the old one has asked", async () => {
  await begin();
  const { page, troubles } = await open(browser, site.page);
  await says(page, "#state", "Connected.");
  const lost = site.run("touch x").catch(() => "lost");
  await page.waitForSelector("article");
  await site.kill();
  assert.equal(await lost, "lost");
  await says(page, "#state", "Not connected");
  // What did not get through is seen as well as heard.
  await enabled(page);
  await tabTo(page, "Deny");
  await page.keyboard.press("Enter");
  await says(page, "#news:not(.aside)", "The answer did not reach the server.");
  await site.again();
  await says(page, "#state", "Connected.");
  await page.waitForFunction(() => !document.querySelector("article"));
  const call = site.run("touch y");
  await says(page, "article pre", "touch y");
  await enabled(page);
  await tabTo(page, "Allow once");
  await page.keyboard.press("Enter");
  assert.equal((await call).exit_code, 0);
  assert.deepEqual(troubles, []);
});
