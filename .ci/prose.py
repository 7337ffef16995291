#!/usr/bin/env python3
"""Says which lines of prose are too long: in the Markdown files that it is given, but for tables, code and HTML."""

import sys

COLUMNS = 120
too_long = []
for path in sys.argv[1:]:
    code = False
    for number, line in enumerate(open(path, encoding="utf-8"), 1):
        text = line.strip()
        fence = text.startswith("```")
        code ^= fence
        # What has no blank cannot be broken.
        if not (code or fence or text.startswith(("|", "<"))) and " " in text and len(line.rstrip("\n")) > COLUMNS:
            too_long.append(f"{path}:{number}: {len(line) - 1} columns, of {COLUMNS}")
sys.exit("\n".join(too_long) or 0)
