"""What `sed`, `awk` and `find` do: their arguments are small programs, and only forms that are known to be harmless count as such."""

from __future__ import annotations

import re
from collections.abc import Sequence

from agentcli.safety.use import Use, has_option, known, operands, option_paths
from agentcli.safety.words import Word, word

_LONGEST = 2_000
_ADDRESS = r"(?:\d+(?:~\d+)?|\$|/(?:\\.|[^/\\\n])+/[IM]?)"
_SUBSTITUTE = "|".join(rf"s{sign}(?:\\.|[^{sign}\\\n])*{sign}(?:\\.|[^{sign}\\\n])*{sign}[gpiIm0-9]*" for sign in map(re.escape, "/|#,:@!%+~"))
_SED_COMMAND = rf"(?:[pdDPnNgGhHxl=]|[qQ]\d*|{_SUBSTITUTE})"
_SED_STEP = rf"[ \t]*(?:{_ADDRESS}(?:,[+~]?(?:{_ADDRESS}|\d+))?[ \t]*!?[ \t]*)?{_SED_COMMAND}[ \t]*"
_SED = re.compile(rf"(?:{_SED_STEP}[;\n])*(?:{_SED_STEP})?")
_SED_LONGS = ("--quiet", "--silent", "--regexp-extended", "--separate", "--unbuffered", "--null-data", "--posix", "--sandbox", "--debug")
_AWK_RISK = re.compile(r"system|getline|[|>@]|ENVIRON|ARGV|ARGC|PROCINFO|SYMTAB|FUNCTAB|/inet|fflush")

_FIND_PLAIN = frozenset((
    "-print", "-print0", "-ls", "-empty", "-prune", "-quit", "-not", "!", "-o", "-or", "-a", "-and", "(", ")", ",", "-true", "-false",
    "-depth", "-mount", "-xdev", "-daystart", "-follow", "-noleaf", "-readable", "-writable", "-executable", "-nouser", "-nogroup",
    "-ignore_readdir_race", "-noignore_readdir_race", "-L", "-H", "-P",
))  # fmt: skip
_FIND_VALUED = frozenset((
    "-name", "-iname", "-path", "-ipath", "-wholename", "-regex", "-iregex", "-regextype", "-type", "-xtype", "-maxdepth", "-mindepth",
    "-size", "-mtime", "-mmin", "-atime", "-amin", "-ctime", "-cmin", "-newer", "-newermt", "-anewer", "-cnewer", "-perm", "-user",
    "-group", "-uid", "-gid", "-links", "-inum", "-printf", "-fstype", "-lname", "-ilname", "-samefile", "-used",
))  # fmt: skip
_FIND_FILTERS = frozenset(("-name", "-iname", "-path", "-ipath", "-wholename", "-regex", "-iregex", "-empty"))
_FIND_WRITES = frozenset(("-fprint", "-fprint0", "-fprintf", "-fls"))
_FIND_RUNS = frozenset(("-exec", "-execdir", "-ok", "-okdir"))


def sed_use(words: Sequence[Word]) -> Use:
    scripts, files, in_place, odd = _sed_parts(words[1:])
    harmless = all(_harmless_sed(one) for one in scripts) and not odd
    paths = (*files, *option_paths(words[1:]))
    return Use(
        safe=harmless and not in_place,
        changes=in_place,
        files=not odd,
        reads=paths,
        writes=paths if in_place else (),
        runs="" if harmless else "a sed script may run commands and write files, and this one is not a plain one",
    )


def _sed_parts(args: Sequence[Word]) -> tuple[list[Word], list[Word], bool, bool]:
    """Scripts, files, whether files are changed, and whether something is not understood."""
    scripts: list[Word] = []
    rest: list[Word] = []
    in_place = odd = False
    at = 0
    while at < len(args):
        text = known(args[at])
        if text is None and not args[at].start:
            odd = True  # may be an option
        elif text is None or not text.startswith("-") or text == "-":
            rest.append(args[at])
        elif text == "--":
            rest += args[at + 1 :]
            break
        elif text.startswith("--"):
            name = text.partition("=")[0]
            in_place = in_place or "--in-place".startswith(name)
            odd = odd or not any(long.startswith(name) for long in (*_SED_LONGS, "--in-place"))
        else:
            letters = re.fullmatch(r"-([nErsuz]*)(i.*|e|)", text)
            odd = odd or letters is None
            in_place = in_place or "i" in text
            if letters is not None and letters[2] == "e":
                scripts += args[at + 1 : at + 2]
                at += 1
        at += 1
    if not scripts:
        scripts, rest = rest[:1], rest[1:]
    return scripts, rest, in_place, odd


def _harmless_sed(script: Word) -> bool:
    text = script.text
    return text is not None and len(text) <= _LONGEST and _SED.fullmatch(text) is not None


def awk_use(words: Sequence[Word]) -> Use:
    args = words[1:]
    in_place = any(known(one) in ("inplace", "-iinplace", "--include=inplace") for one in args)
    odd = has_option(args, "fileEDopgdLW", ("--file", "--include", "--load", "--exec", "--debug", "--dump-variables", "--pretty-print", "--profile"))
    named = operands(args)
    script = next((one for one in named if not _awk_value(one, args)), None)
    text = None if script is None else script.text
    harmless = not odd and text is not None and _AWK_RISK.search(re.sub(r"\|\||>=", "", text)) is None
    return Use(
        safe=harmless and not in_place,
        changes=in_place,
        files=True,
        reads=tuple(one for one in named if one is not script and not _awk_value(one, args)),
        writes=named if in_place else (),
        runs="" if harmless else "an awk program may run commands and write files, and this one is not a plain one",
    )


def _awk_value(one: Word, args: Sequence[Word]) -> bool:
    """Whether a word is the value of `-F` or `-v`."""
    at = next(index for index, other in enumerate(args) if other is one)
    return at > 0 and known(args[at - 1]) in ("-F", "-v")


def find_use(words: Sequence[Word]) -> Use:
    paths: list[Word] = []
    writes: list[Word] = []
    deletes = odd = begun = False
    at = 1
    while at < len(words):
        text = known(words[at])
        begun = begun or (text is not None and text.startswith(("-", "(", "!")) and text not in ("-L", "-H", "-P"))
        if not begun and text not in ("-L", "-H", "-P"):
            paths.append(words[at])
            odd = odd or (text is None and not words[at].start)
        elif text in _FIND_VALUED:
            at += 1
        elif text in _FIND_RUNS:
            at = next((end for end in range(at + 1, len(words)) if words[end].text in (";", "+")), len(words))
        elif text in _FIND_WRITES:
            writes += words[at + 1 : at + 2]
            at += 1
        elif text == "-delete":
            deletes = True
        elif text not in _FIND_PLAIN:
            odd = True
        at += 1
    changes = deletes or bool(writes)
    paths = paths or [word(".")]
    return Use(
        safe=not changes and not odd,
        changes=changes,
        files=not odd,
        reads=tuple(paths),
        follows=any(known(one) in ("-L", "-follow") for one in words),
        writes=(*writes, *(paths if deletes else ())),
        removes=deletes and not any(known(one) in _FIND_FILTERS for one in words),
        danger="find deletes what it finds" if deletes else "",
        runs="find deletes or writes files here" if changes else "an option of find is not known here" if odd else "",
    )
