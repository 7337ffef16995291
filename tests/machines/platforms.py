#!/usr/bin/env python3
"""Writes docs/platforms.md from seen.json, which `make test-kernels RECORD=1` writes when everything was as expected.

    platforms.py           writes the page
    platforms.py --check   says whether it is up to date, and whether what was seen is what expected.toml expects
"""

import json
import sys
import textwrap
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
SEEN = HERE / "seen.json"
PAGE = HERE.parent.parent / "docs/platforms.md"
USERS = {"root": "root", "user": "an ordinary user"}

INTRODUCTION = """\
What the sandbox really was on other machines than the one that it was written on: on each, `exec-server doctor` and a
call of the shell tool named the same level, and the attacks and the ordinary work of `tests/machines/guest/calls.py`
were tried. This page is written by `make test-kernels RECORD=1` from what was seen; `tests/machines/expected.toml` says
what must be seen, and a run that sees anything else fails. The machines are emulated, with Debian's own kernels.

A level such as `namespaces+landlock-6+seccomp` names the layers in force: all namespaces, Landlock with its ABI, the
filter of system calls. Where some namespaces cannot be had, those that are there are named. [sandbox.md](sandbox.md)
says what each layer does. *Refused* means that no command runs, and that the answer says why."""


def record(seen):
    """Takes what was seen on some kernels into seen.json and writes the page."""
    known = json.loads(SEEN.read_text()) if SEEN.exists() else {}
    for name, kernel in seen.items():
        settings = {
            setting: {user: brief(setting, found) for user, found in users.items()} for setting, users in kernel["settings"].items()
        }
        old = known.get(name, {})
        # What another release showed is of no use beside this one.
        kept = old["settings"] if old.get("release") == kernel["release"] else {}
        known[name] = {"release": kernel["release"], "settings": {**kept, **settings}}
    SEEN.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
    PAGE.write_text(page(known, table()))


def brief(setting, found):
    """What of an examination is worth keeping: the words only of a machine as it is."""
    if setting != "as it is":
        return {"level": found["call"]}
    gaps = [hint.removeprefix("not enforced: ") for hint in found["hints"] if hint.startswith("not enforced: ")]
    words = {"gaps": gaps, "refusal": found.get("refusal")}
    return {"level": found["call"], **{name: said for name, said in words.items() if said}}


def table():
    return tomllib.loads((HERE / "expected.toml").read_text())


def page(seen, expected):
    kernels = [name for name in expected["kernels"] if name in seen]
    parts = ["# Platforms", INTRODUCTION, "## Kernels", kernel_table(seen, expected["kernels"])]
    parts += ["## Settings", SETTINGS_TEXT, setting_table(seen, kernels, expected)]
    parts += ["## What is not enforced", GAPS_TEXT, *gaps(seen, kernels)]
    refusals = [refusal(seen, name) for name in kernels]
    parts += ["## What a refusal says", *filter(None, refusals)] if any(refusals) else []
    return "\n\n".join(parts) + "\n"


SETTINGS_TEXT = """\
What one setting of the machine changes. *Same* is the level that this kernel has as it is, for root and for an ordinary
user; `ENOSYS` stands for an older kernel: a filter answers so instead of the system calls that such a kernel lacks."""

GAPS_TEXT = """\
What the policy wants and nothing enforces, as `exec-server doctor` says it on each kernel as it is."""


def row(*cells):
    return "| " + " | ".join(cells) + " |"


def kernel_table(seen, kernels):
    lines = [row("Linux", "which systems", "seen on", *USERS.values()), row("---", "---", "---", "---", "---")]
    for name, about in kernels.items():
        if name not in seen:
            why = about.get("not-run", "nobody has run it yet")
            lines.append(row(name, about["people"], "*not run*: " + why, "", ""))
            continue
        levels = [shown(seen[name]["settings"]["as it is"][user]["level"]) for user in USERS]
        lines.append(row(name, about["people"], seen[name]["release"], *levels))
    return "\n".join(lines)


def shown(level):
    return "*refused*" if level == "refused" else f"`{level}`"


def setting_table(seen, kernels, expected):
    lines = [row("setting", "what it is", *kernels), row("---", "---", *["---"] * len(kernels))]
    for setting, about in expected["settings"].items():
        cells = [cell(seen[name]["settings"], setting) for name in kernels]
        if setting != "as it is" and any(cells):
            lines.append(row(f"`{setting}`" if "=" in setting else setting, about["means"], *cells))
    for setting, why in expected.get("not-run", {}).items():
        lines.append(row(setting, "*not run*: " + why, *[""] * len(kernels)))
    return "\n".join(lines)


def cell(settings, setting):
    if setting not in settings:
        return ""
    usual = settings["as it is"]
    levels = {user: found["level"] for user, found in settings[setting].items()}
    words = {user: "same" if level == usual[user]["level"] else shown(level) for user, level in levels.items()}
    if len(set(words.values())) == 1 and len(words) == len(USERS):
        return next(iter(words.values()))
    return "<br>".join(f"{user}: {word}" for user, word in words.items())


def gaps(seen, kernels):
    for name in kernels:
        for user, found in seen[name]["settings"]["as it is"].items():
            if found["level"] != "refused":
                listed = found.get("gaps", ["nothing"])
                yield f"Linux {name}, {USERS[user]}:\n\n" + "\n".join(wrapped(f"* {gap}") for gap in listed)


def refusal(seen, name):
    words = {found["refusal"] for found in seen[name]["settings"]["as it is"].values() if "refusal" in found}
    return "\n\n".join(f"Linux {name}:\n\n" + wrapped(f"> {text}") for text in sorted(words))


def wrapped(text):
    return textwrap.fill(" ".join(text.split()), 120, subsequent_indent=text[:2] if text[0] == ">" else "  ", break_on_hyphens=False)


def check():
    """What does not agree, in sentences."""
    seen, expected = json.loads(SEEN.read_text()), table()
    if PAGE.read_text() != page(seen, expected):
        yield "docs/platforms.md is not what seen.json shows: run tests/machines/platforms.py"
    for name, rows in expected["expected"].items():
        for setting, levels in rows.items():
            for user, found in seen.get(name, {}).get("settings", {}).get(setting, {}).items():
                wanted = levels.get(user, levels.get("both"))
                if found["level"] != wanted:
                    yield f"{name}, {setting}, {user}: {found['level']} was seen, {wanted} is expected: run make test-kernels RECORD=1"
        for setting in rows.keys() - seen.get(name, {}).get("settings", {}).keys():
            yield f"{name}, {setting}: expected, but never seen: run make test-kernels RECORD=1"


def main():
    if sys.argv[1:] == ["--check"]:
        found = list(check())
        print("\n".join(found) or "docs/platforms.md is what was seen, and what is expected.")
        sys.exit(1 if found else 0)
    PAGE.write_text(page(json.loads(SEEN.read_text()), table()))


if __name__ == "__main__":
    main()
