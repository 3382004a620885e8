"""How workers' results are told to the model that waits for them. Pure text, but for the file that keeps a long one whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agentcli.agents.tree import NOT_STARTED, Ended
from agentcli.agents.workspace import Changes

MOST_TOTAL = 60_000
"""Characters of all results of one call together; each gets an equal share, at least `LEAST_EACH`."""
LEAST_EACH = 2_000
MOST_OF_MANY = 200_000
"""Where so many results come together that even the least of each would fill the parent's context."""
MOST_EACH = 20_000


def told(ended: Ended, index: int, most: int, scratch: Path) -> str:
    """One worker's result under its heading; a long text is cut head and tail, with the way to the whole."""
    mark = "OK" if ended.ok else "ERR"
    who = f"{ended.label} ({ended.agent})" if ended.label else ended.agent
    model = ended.use.resolved or ended.use.requested or "no model"
    lines = [f"--- Task {index} ({who} · {model}) [{mark}] ---", _told_worker(ended)]
    if ended.failure is not None:
        lines.append(f"error: {ended.failure.line()}")
    if ended.text:
        lines.append(cut(ended.text, most, kept(ended, scratch, ".txt")))
    if ended.changes:
        lines.append(cut(ended.changes, most, kept(ended, scratch, ".diff")))
    return "\n".join(lines)


def _told_worker(ended: Ended) -> str:
    return f"worker: {ended.worker_id}" if ended.worker_id == NOT_STARTED else f"worker: {ended.worker_id}; {proof(ended)}"


def share(count: int) -> int:
    """Characters that each of `count` results of one call may take."""
    count = max(1, count)
    return min(max(LEAST_EACH, min(MOST_EACH, MOST_TOTAL // count)), MOST_OF_MANY // count)


def told_all(results: Sequence[Ended], scratch: Path) -> str:
    """All results in the order of the request."""
    most = share(len(results))
    return "\n\n".join(told(ended, index, most, scratch) for index, ended in enumerate(results, start=1))


def proof(ended: Ended) -> str:
    """Which model really served it: what was asked for, what that meant, who answered, which link decided, and what is to be known of that."""
    use = ended.use
    served = ", ".join(ended.served) or "no answer"
    hops = f"; fell back to {', '.join(ended.fallbacks)}" if ended.fallbacks else ""
    note = f"; note: {ended.note}" if ended.note else ""
    return f"model requested: {use.requested}; resolved: {use.resolved}; served: {served}; source: {use.source}{hops}{note}"


def told_changes(changes: Changes) -> str:
    """What a workspace of its own hands back, for the parent: where the work is, which files, the diff."""
    if not changes.files and not changes.unsaved:
        return f"changes: none of its own; branches: {', '.join(changes.branches)}" if changes.branches else "changes: none"
    lines = [f"changes: {files(changes)}, kept on branch {changes.branch}" if changes.branch else f"changes: {files(changes)}"]
    if more := [branch for branch in changes.branches if branch != changes.branch]:
        lines.append(f"more branches: {', '.join(more)}")
    if changes.patch:
        lines.append(f"patch: {changes.patch}")
    lines += [f"not saved on a branch: {thing}" for thing in changes.unsaved]
    return "\n".join([*lines, changes.diff])


def files(changes: Changes) -> str:
    count = len(changes.files)
    return f"{count} file{'s' if count != 1 else ''}"


def kept(ended: Ended, scratch: Path, ending: str) -> Path:
    """Where what is too long of a worker is kept whole."""
    return scratch / f"{ended.worker_id.replace('/', '.')}{ending}"


def cut(text: str, most: int, whole: Path) -> str:
    """`text`, or its head and tail with the path of a file that holds it all."""
    if len(text) <= most:
        return text
    try:
        whole.parent.mkdir(parents=True, exist_ok=True)
        whole.write_text(text, encoding="utf-8", errors="replace")
        where = f"the whole text is in {whole}"
    except OSError:
        where = "the whole text could not be kept"
    head, tail = text[: most * 2 // 3], text[-most // 3 :]
    return f"{head}\n… ({len(text) - len(head) - len(tail)} characters left out; {where}) …\n{tail}"
