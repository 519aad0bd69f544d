"""Which of hvac's methods were seen to work: recorded while the tests run, and kept as a table in the documentation.

Every public method of hvac's API classes is wrapped. One counts as passing if a call of it, made by a test and not by
another method, returned in a test that passed; a refusal that a test expected does not count. After a whole run without
failures the table in docs/compatibility.md must name the same methods; `--write-table` writes it. A part of the suite,
a run that stopped early and a run against another server neither fail nor write anything.
"""

import functools
import importlib
import inspect
import pkgutil
import threading
from collections import defaultdict
from pathlib import Path

import hvac.api
from hvac.api.vault_api_base import VaultApiBase

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "compatibility.md"
BEGIN = "<!-- hvac: written by `./test compat --write-table` -->"
END = "<!-- hvac: end -->"

_depth = threading.local()


class Recorder:
    """The calls of the test that runs, and of all that passed."""

    def __init__(self):
        self.methods = {}
        self.passed = defaultdict(set)
        self._current = set()
        self._lock = threading.Lock()

    def wrap_all(self):
        """Wraps the public methods of every API class; `methods` has them by area."""
        for module in pkgutil.walk_packages(hvac.api.__path__, "hvac.api."):
            module = importlib.import_module(module.name)
            for _, kind in inspect.getmembers(module, inspect.isclass):
                if issubclass(kind, VaultApiBase) and kind.__module__ == module.__name__:
                    self._wrap_class(kind)

    def _wrap_class(self, kind):
        area = ".".join(kind.__module__.split(".")[2:])
        for name, method in list(vars(kind).items()):
            if inspect.isfunction(method) and not name.startswith("_"):
                self.methods.setdefault(area, set()).add(name)
                setattr(kind, name, self._wrapped(area, name, method))

    def _wrapped(self, area, name, method):
        @functools.wraps(method)
        def call(*arguments, **named):
            outermost = not getattr(_depth, "inside", False)
            _depth.inside = True
            try:
                answer = method(*arguments, **named)
            finally:
                if outermost:
                    _depth.inside = False
            if outermost:
                with self._lock:
                    self._current.add((area, name))
            return answer

        return call

    def begin(self):
        """A test begins."""
        with self._lock:
            self._current = set()

    def end(self, passed):
        """A test ends; its calls count if it passed."""
        with self._lock:
            for area, name in self._current if passed else ():
                self.passed[area].add(name)

    def table(self):
        """The table in Markdown, sorted, the same for the same methods."""
        lines = ["| area | operations that pass | of hvac's |", "|---|---|---|"]
        for area in sorted(self.passed):
            names = ", ".join(f"`{name}`" for name in sorted(self.passed[area]))
            lines.append(f"| `{area}` | {names} | {len(self.passed[area])} of {len(self.methods[area])} |")
        return "\n".join(lines)


class Plugin:
    """Follows the run, and compares or writes the table at its end."""

    def __init__(self, write, is_other_server):
        self.recorder = Recorder()
        self.recorder.wrap_all()
        self.write = write
        self.is_other_server = is_other_server
        self.deselected = 0
        self.outcomes = {}
        self.difference = None

    def pytest_deselected(self, items):
        """Notes that a part of the suite was left out."""
        self.deselected += len(items)

    def pytest_runtest_logstart(self):
        """A test begins, its fixtures first."""
        self.recorder.begin()

    def pytest_runtest_logreport(self, report):
        """Each phase of a test; the worst of them is the test's outcome."""
        worse = {"passed": 0, "skipped": 1, "failed": 2}
        known = self.outcomes.get(report.nodeid, "passed")
        self.outcomes[report.nodeid] = max(known, report.outcome, key=worse.get)

    def pytest_runtest_logfinish(self, nodeid):
        """A test has ended, its fixtures too."""
        self.recorder.end(self.outcomes.get(nodeid) == "passed")

    def is_whole(self, session):
        """Whether every test of the suite ran, and none failed."""
        files = {path.name for path in Path(__file__).parent.glob("test_*.py")}
        collected = {item.path.name for item in session.items}
        all_ran = all(item.nodeid in self.outcomes for item in session.items)
        narrowed = any("::" in argument for argument in session.config.args)
        failed = session.testsfailed or "failed" in self.outcomes.values()
        return not (self.is_other_server or self.deselected or narrowed or failed) and files == collected and all_ran

    def pytest_sessionfinish(self, session):
        """After the last test."""
        if not self.is_whole(session):
            if self.write:
                self.difference = "the table was not written: that takes a whole run without failures"
            return
        text = DOCUMENT.read_text(encoding="utf-8")
        before, rest = text.split(BEGIN)
        written, after = rest.split(END)
        table = self.recorder.table()
        if self.write:
            DOCUMENT.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{after}", encoding="utf-8")
        elif written.strip() != table:
            session.exitstatus = 1
            self.difference = (f"{DOCUMENT.name} names other methods of hvac than this run saw passing; look at the "
                               f"difference, then: ./test compat --write-table\n{difference(written.strip(), table)}")

    def pytest_terminal_summary(self, terminalreporter):
        """Says what was wrong with the table."""
        if self.difference:
            terminalreporter.section("table of hvac's methods")
            terminalreporter.write_line(self.difference)


def difference(written, seen):
    """The lines that stand in one of the two tables alone."""
    old, new = written.splitlines(), seen.splitlines()
    return "\n".join([f"- {line}" for line in old if line not in new] + [f"+ {line}" for line in new if line not in old])
