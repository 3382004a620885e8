"""Git repositories for tests, acted on as a person would."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

LINES = "".join(f"line {number}\n" for number in range(1, 31))


class Repository:
    """A git repository that a test acts on as a person would."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def git(self, *args: str, check: bool = True) -> str:
        done = subprocess.run(
            ["git", "-c", "protocol.file.allow=always", *args],
            cwd=self.path,
            env={**os.environ, **IDENTITY},
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout.rstrip("\n")

    def write(self, name: str, text: str) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def read(self, name: str) -> str:
        return (self.path / name).read_text()

    def commit(self, message: str = "work") -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "-m", message)
        return self.git("rev-parse", "HEAD")

    def status(self) -> list[str]:
        return [line for line in self.git("status", "--porcelain", "--untracked-files=all").splitlines() if line]

    def files(self) -> dict[str, str]:
        """All files beside git's own, as text."""
        every = (path for path in sorted(self.path.rglob("*")) if ".git" not in path.parts and path.is_file())
        return {path.relative_to(self.path).as_posix(): path.read_text() for path in every}

    def branches(self) -> list[str]:
        return self.git("for-each-ref", "--format=%(refname:short)", "refs/heads").splitlines()


IDENTITY = {
    "GIT_AUTHOR_NAME": "Person",
    "GIT_AUTHOR_EMAIL": "person@example.org",
    "GIT_COMMITTER_NAME": "Person",
    "GIT_COMMITTER_EMAIL": "person@example.org",
}


def new_repository(path: Path, *, commit: bool = True) -> Repository:
    path.mkdir(parents=True)
    repository = Repository(path)
    repository.git("init", "--quiet", "-b", "main")
    if commit:
        repository.write("app.txt", LINES)
        repository.write("lib/tool.txt", "tool\n")
        repository.write(".gitignore", "*.log\nbuild/\n")
        repository.commit("first")
    return repository
