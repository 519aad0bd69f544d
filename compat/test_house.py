"""Rules of the house that a search can check: who may see plaintext, how long files are, what never stands in them.

Run as a program, it prints the list of `expose_secret.txt` as it would have to be; look at what changed before you
commit it.
"""

import os
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ALLOWED = Path(__file__).with_name("expose_secret.txt")
SKIPPED = {".git", ".venv", "target", "__pycache__", "node_modules"}

LONGEST_FILE = 500
# Files that are better long, with the reason.
LONG = {}

EXPOSURE = re.compile(r"\bexpose_secret(?:_mut)?\(")
# Put together here, so that this file does not contain what it forbids.
MACHINE_PATHS = re.compile("|".join(rf"(?<![\w./-])/{name}/" for name in ("work", "root", "tmp/w", "home/[a-z]+")))


def sources(*suffixes):
    """The project's own files with one of the suffixes (all, if none is given), as (relative path, text)."""
    for directory, below, names in os.walk(ROOT):
        below[:] = sorted(set(below) - SKIPPED)
        # In a linked work tree, .git is a file.
        for name in sorted(set(names) - SKIPPED):
            path = Path(directory, name)
            if suffixes and path.suffix not in suffixes:
                continue
            try:
                yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue


def exposures():
    """How often each file outside tests takes a secret out of its type."""
    counts = {}
    for name, text in sources(".rs"):
        if "/tests/" in name or name.endswith("/tests.rs") or name.startswith(("crates/testing/", "fuzz/")):
            continue
        code = re.split(r"^#\[cfg\(test\)\]\s*\nmod \w+ \{", text, maxsplit=1, flags=re.MULTILINE)[0]
        code = re.sub(r"//.*", "", code)
        if count := len(EXPOSURE.findall(code)):
            counts[name] = count
    return counts


def render(counts):
    """The list as it stands in the file."""
    return "".join(f"{count:3} {name}\n" for name, count in sorted(counts.items()))


def test_plaintext_leaves_its_type_in_few_places():
    """A new call of `expose_secret` is a decision, made visible by a change of the list."""
    allowed = {}
    for line in ALLOWED.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            count, name = line.split(maxsplit=1)
            allowed[name] = int(count)
    assert exposures() == allowed, f"look at each call, then: python3 compat/test_house.py > compat/{ALLOWED.name}"


def test_files_are_short_enough_to_read():
    """At most 500 lines, unless a reason says otherwise."""
    lengths = {name: text.count("\n") for name, text in sources(".rs", ".py", ".sh")}
    too_long = {name: length for name, length in lengths.items() if length > LONGEST_FILE and name not in LONG}
    assert too_long == {}
    assert [name for name in LONG if lengths.get(name, 0) <= LONGEST_FILE] == [], "no longer long: drop it from LONG"


def test_no_paths_of_one_machine():
    """Nothing refers to the directories of whoever wrote it."""
    found = [f"{name}:{number}: {line.strip()}" for name, text in sources() for number, line in
             enumerate(text.splitlines(), 1) if MACHINE_PATHS.search(line)]
    assert found == []


if __name__ == "__main__":
    print("# Where plaintext leaves its type: calls of expose_secret outside tests, by file. See test_house.py.")
    print(render(exposures()), end="")
