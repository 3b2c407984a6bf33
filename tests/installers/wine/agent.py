"""`byoi` as the tests of the setup install it: says what it was asked, and registers a service.

`C:\\broken` holds the version whose service never comes up, `C:\\unproven` one that does not serve;
`C:\\beside.py` is run each time.
"""

import importlib.metadata
import os
import runpy
import subprocess
import sys
from pathlib import Path

VERSION = importlib.metadata.version("byoi-agent")


def is_named(file):
    path = Path("C:/", file)
    return path.is_file() and path.read_text().strip() == VERSION


def main():
    words = sys.argv[1:]
    if (beside := Path("C:/beside.py")).is_file():
        runpy.run_path(str(beside))
    with Path("C:/asked.txt").open("a") as file:
        file.write(f"{VERSION} {' '.join(words)}\n")
    match words:
        case ["version"]:
            print(f"byoi {VERSION}")
        case ["service", "install", *_]:
            how = "broken" if is_named("broken") else "works"
            subprocess.run(["sc", "delete", "byoi"], capture_output=True, check=False)
            made = ["sc", "create", "byoi", "binPath=", f"C:\\service.exe {how}", "start=", "auto"]
            return subprocess.run(made, capture_output=True, check=False).returncode
        case ["service", "uninstall", *_]:
            return subprocess.run(["sc", "delete", "byoi"], check=False).returncode
        case ["enroll", *_]:
            state = Path(os.environ["STATE_DIRECTORY"])
            state.mkdir(parents=True, exist_ok=True)
            (state / "identity.json").write_text("{}")
            print("Enrolled.")
        case ["prove", *_]:
            if is_named("unproven"):
                print("no GPU is seen by this account")
                return 69
            print("One token was answered.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
