# SPDX-License-Identifier: Apache-2.0
"""
The commands of a page of documentation, run as they stand there, and what the page says that they print.

A page's blocks of code, by what stands behind the fence:

    sh               run, in one bash for each block; what it has started in the background ends with it
    sh NAME          not run here, but by the test that ELSEWHERE names
    c, python, ...   written to a file, where its first line is a comment with the name of the file alone
    text             directly behind a block of sh: all that this prints, but for `...` and seconds such as `3.02 s`

or, behind a block of sh, a paragraph that begins with "prints `X`": the last line that it prints is X.
"""

import collections
import os
import re
import shutil
import subprocess

from support.processes import die_with_parent
from support.stack import ROOT

ELSEWHERE = {
    "quickstart": "tests/e2e/test_quickstart.py",
    "tests": "tests/run",  # which runs this
    "compose": "tests/compose",
}
LANGUAGES = {"sh", "text", "c", "python", "json", "ini", "xml", "yaml", ""}
# What the tests have done already, or have at other addresses: it stands on the page for the reader.
DONE = [
    re.compile(r"^cmake --preset release && cmake --build build/release$", re.MULTILINE),
    re.compile(r"^export MILLRACE_BROKERS=127\.0\.0\.1:9092 MILLRACE_REDIS=redis://127\.0\.0\.1:6379/0$", re.MULTILINE),
    re.compile(r"^export PATH=\$PWD/build/[a-z]+:\$PATH$", re.MULTILINE),
    re.compile(r"^millrace dev(?: --kafka)? &$", re.MULTILINE),
]
BLOCK = re.compile(r"^```(\w*) ?(\w*)\n(.*?)^```\n(?=\n*([^\n]*)\n(?:(.*?)^```$)?)", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"(?:/\*|//|#) (\S+\.\w+)(?: \*/)?\n")
ENDS_ITS_JOBS = "set -e\ntrap 'for job in $(jobs -p); do kill $job 2>/dev/null || true; done; wait' EXIT\n"

Block = collections.namedtuple("Block", "page section language mark text printed last_line")


def pages():
    """The pages whose commands are run: all but the one that is made from the programs' tables."""
    return ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md") if path.name != "configuration.md")]


def blocks(page):
    """All blocks of code of a page, in order."""
    found = []
    for part in re.split(r"^(?=## )", (ROOT / page).read_text(), flags=re.MULTILINE):
        section = part.splitlines()[0].removeprefix("## ") if part.startswith("## ") else ""
        for language, mark, text, after, printed in BLOCK.findall(part):
            last_line = re.match(r"prints `(.*?)`", after)
            found.append(
                Block(page, section, language, mark, text, printed if after == "```text" else None, last_line and last_line[1])
            )
    return found


def commands(page, sections=None):
    """The blocks to run or to write to files, of these sections or all."""
    of_sections = [block for block in blocks(page) if sections is None or block.section in sections]
    return [block for block in of_sections if (block.language == "sh" and not block.mark) or NAMED.match(block.text)]


def pattern_of(printed):
    """A regular expression for what a page says that is printed."""
    loosely = {"...": ".*?"}
    return "".join(
        loosely.get(part, r"\d+\.\d\d" if number % 2 else re.escape(part))
        for number, part in enumerate(re.split(r"(\.\.\.|\d+\.\d\d(?= s))", printed))
    )


class Reader:
    """Types what a page says, in a folder of its own that looks like the checkout with a build."""

    def __init__(self, folder, build, env):
        self.folder = folder
        self.env = env
        folder.mkdir()
        for path in ROOT.iterdir():
            if path.name not in ("build", "examples", ".git"):
                (folder / path.name).symlink_to(path)
        ignore = shutil.ignore_patterns("node_modules", "target", "__pycache__")
        shutil.copytree(ROOT / "examples", folder / "examples", ignore=ignore)  # libraries are put into it
        (folder / "build").mkdir()
        for name in ("release", "quickstart"):
            (folder / "build" / name).symlink_to(build.folder)

    def reads(self, block):
        """Does what a block says, and looks at what it prints."""
        if block.language != "sh":
            (self.folder / NAMED.match(block.text)[1]).write_text(block.text)
            return
        text = block.text
        for done in DONE:
            text = done.sub(":", text)
        answer = subprocess.run(
            ["bash", "-c", ENDS_ITS_JOBS + text],
            cwd=self.folder,
            env={**os.environ, **self.env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            preexec_fn=die_with_parent,
        )
        told = f"{block.page}, {block.section}:\n{block.text}--- printed\n{answer.stdout}--- and on stderr\n{answer.stderr[-3000:]}"
        assert answer.returncode == 0, f"exit status {answer.returncode}: {told}"
        if block.printed is not None:
            assert re.fullmatch(pattern_of(block.printed), answer.stdout, re.DOTALL), f"promised\n{block.printed}--- for {told}"
        if block.last_line is not None:
            assert answer.stdout.splitlines()[-1:] == [block.last_line], f"promised {block.last_line} for {told}"
