"""The quick loop: format, lint, types, then every test but the long simulations."""

import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parent.parent
STEPS = (
    ("format", ("ruff", "format", "--check", "--quiet", ".")),
    ("lint", ("ruff", "check", "--quiet", ".")),
    ("types", ("mypy", "--no-error-summary")),
    ("tests", ("pytest", "--quiet", "--numprocesses=auto", "--dist=worksteal", "--seeds=60")),
)


def main() -> int:
    """Run each step, also after one that failed; zero means all is well."""
    missing = [tool for tool in ("ruff", "mypy", "pytest", "xdist") if find_spec(tool) is None]
    if missing:
        print(f"{', '.join(missing)} not installed: run `make env`, then .venv/bin/python -m tests")
        return 2
    return max([run(name, command) for name, command in STEPS])


def run(name: str, command: tuple[str, ...]) -> int:
    """Run one step with its output on the terminal, and say how it went."""
    started = time.monotonic()
    code = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, check=False).returncode
    verdict = "ok" if code == 0 else "FAILED"
    print(f"{name:<8}{verdict:<8}{time.monotonic() - started:5.1f} s", flush=True)
    return code


sys.exit(main())
