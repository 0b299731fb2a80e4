"""Parser of command lines and YAML configs: values of a command's options, and errors in plain words.

A flag is an option's name, ``--stroke_size 2`` or ``--stroke-size=2``; a bare flag of a true-or-false option means true. A
list is given in brackets, ``[a.jpg, b.jpg]``, or by the flag again and again. Words without a flag fill a command's
positional options. Flags win over a config.
"""

from __future__ import annotations

import difflib
from collections.abc import Container, Iterable, Iterator
from typing import Any

from fast_nst.cli.commands import Command
from fast_nst.cli.options import REQUIRED, Option, options_of
from fast_nst.errors import UserError
from fast_nst.settings.config_file import check_config
from fast_nst.settings.values import branches, described, from_plain, from_text, is_list

CONFIG = "config"
SHORT = {"-s": "style", "-o": "output", "-d": "data"}
SPELLINGS = {"from": ("base",), "device": ("provider", "trainer.accelerator")}  # other names, and options that they may mean
MEANT = {  # words that people try, and the options that they mean
    "lr": "learning_rate",
    "rate": "learning_rate",
    "epochs": "steps",
    "iterations": "steps",
    "gpu": "device",
    "input": "inputs",
    "colors": "preserve_color",
    "force": "overwrite",
    "dataset": "data",
    "model": "style",
}
TRUTHS = {"true", "false"}


class Parser:
    """Reads the words after ``fast-nst NAME``.

    Args:
        name: the command's.
        command: its function, and which options are positional.
    """

    def __init__(self, name: str, command: Command) -> None:
        self.name, self.command = name, command
        self.options = {option.name: option for option in options_of(command.function)}

    def values(self, words: list[str]) -> dict[str, Any]:
        """Option values by full name: those of ``--config`` files, then those of flags and positional words.

        Raises:
            UserError: an unknown flag or setting, a value of another type, or a required option that is missing.
        """
        alone, given = self._sorted(words)
        values: dict[str, Any] = {}
        for path in given.pop(CONFIG, []):
            values |= self._config(path)
        for name, texts in given.items():
            values |= self._read(name, texts)
        values |= self._positional(alone, given)
        for option in self.options.values():
            if option.default is REQUIRED and option.name not in values:
                values[option.name] = self._none_of(option)
        return values

    def _sorted(self, words: list[str]) -> tuple[list[str], dict[str, list[str]]]:
        """The words without a flag, and the texts of each flag."""
        alone: list[str] = []
        given: dict[str, list[str]] = {}
        for name, text in self._pairs(words):
            if name is None:
                alone.append(text)
            else:
                given.setdefault(name, []).append(text)
        return alone, given

    def _pairs(self, words: list[str]) -> Iterator[tuple[str | None, str]]:
        """(option, text) of every flag, (None, word) of every positional word."""
        left = list(words)
        while left:
            word = left.pop(0)
            if word == "--":
                yield from ((None, rest) for rest in left)
                return
            if not _is_flag(word):
                yield None, word
                continue
            flag, equals, text = word.partition("=")
            name = self._named(flag)
            if equals:
                yield name, text
            elif self._is_switch(name):
                yield name, left.pop(0) if left and left[0].lower() in TRUTHS else "true"
            elif left and not self._is_known(left[0]):
                yield name, left.pop(0)
            elif self._may_be_bare(name):
                yield name, "true"
            else:
                raise UserError(f"{flag} needs a value{self._kind_of(name)}; write {flag}=VALUE if it begins with a dash")

    def _positional(self, words: list[str], given: Container[str]) -> dict[str, Any]:
        """Words without a flag to options in their order; the last one, if it may be a list, takes all that are left."""
        values: dict[str, Any] = {}
        names = [name for name in self.command.positional if name not in given]
        for name in names:
            kind = self.options[name].kind
            many = is_list(kind) and name == names[-1]
            taken, words = (words, []) if many else (words[:1], words[1:])
            if taken and many:
                values[name] = taken if len(taken) > 1 or str not in branches(kind) else taken[0]
            elif taken:
                values[name] = from_text(name, kind, taken[0])
        if words:
            raise UserError(f"there is no place for {words[0]!r} here; {self._usage()}")
        return values

    def _named(self, flag: str) -> str:
        """The full name of the option that ``flag`` means."""
        name = SHORT.get(flag, flag.lstrip("-").replace("-", "_"))
        if name not in self.options:
            name = next(filter(self._takes, SPELLINGS.get(name, ())), name)
        if name == CONFIG or self._takes(name):
            return name
        known = [*self.options, *(other for other, names in SPELLINGS.items() if any(map(self._takes, names)))]
        raise UserError(f"there is no {flag} here{_nearest(name, known, '--')}")

    def _takes(self, name: str) -> bool:
        """Whether there is an option of this full name, or a mapping that takes any."""
        group = name.partition(".")[0]
        return name in self.options or (group != name and self._is_mapping(group))

    def _is_known(self, word: str) -> bool:
        """Whether ``word`` is a flag of this command; a file's name may begin with a dash."""
        try:
            return _is_flag(word) and bool(self._named(word.partition("=")[0]))
        except UserError:
            return word.startswith("--")

    def _is_switch(self, name: str) -> bool:
        return name in self.options and self.options[name].kind is bool

    def _may_be_bare(self, name: str) -> bool:
        return name in self.options and bool in branches(self.options[name].kind)

    def _is_mapping(self, name: str) -> bool:
        return name in self.options and self.options[name].is_mapping

    def _kind_of(self, name: str) -> str:
        return f", {described(self.options[name].kind)}" if name in self.options else ""

    def _config(self, path: str) -> dict[str, Any]:
        groups = {option.group.partition(".")[0] for option in self.options.values() if option.group}
        values: dict[str, Any] = {}
        for name, value in _flat(check_config(path, groups), groups):
            if name not in self.options and not self._is_mapping(name.partition(".")[0]):
                raise UserError(f"there is no setting {name}{_nearest(name, self.options)}")
            kind = self.options[name].kind if name in self.options else Any
            values[name] = from_plain(name, kind, value)
        return values

    def _read(self, name: str, texts: list[str]) -> dict[str, Any]:
        """The values of one option from the texts that were given for it; the last one counts, or all make a list."""
        if name not in self.options:
            return {name: from_text(name, Any, texts[-1])}
        kind = self.options[name].kind
        if len(texts) > 1 and is_list(kind):
            return {name: [part for text in texts for part in _listed(from_text(name, kind, text))]}
        value = from_text(name, kind, texts[-1])
        if self.options[name].is_mapping:
            return {f"{name}.{key}": part for key, part in value.items()}
        return {name: value}

    def _none_of(self, option: Option) -> list[str]:
        """An empty list for positional words that may be absent; any other required option that is missing is an error."""
        alone = option.name in self.command.positional
        if alone and is_list(option.kind):
            return []
        shown = option.name.upper() if alone else f"--{option.name}"
        raise UserError(f"{shown} is missing: {option.help.rstrip('.')}; {self._usage()}")

    def _usage(self) -> str:
        return f"see fast-nst {self.name} --help"


def _flat(values: dict[str, Any], groups: set[str]) -> Iterator[tuple[str, Any]]:
    """(full name, value) of a config's settings."""
    for name, value in values.items():
        if name in groups:
            yield from ((f"{name}.{inner}", part) for inner, part in value.items())
        else:
            yield name, value


def _is_flag(word: str) -> bool:
    """Whether a word is a flag: neither ``-``, a standard stream, nor a negative number."""
    return word.startswith("-") and word != "-" and not word[1:2].isdigit() and not word.startswith("-.")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _nearest(name: str, names: Iterable[str], dashes: str = "") -> str:
    """``; did you mean ...?`` with the option whose name, or last part of it, is like ``name``; or nothing."""
    names, name = list(names), MEANT.get(name, name)
    last = {full.rpartition(".")[2]: full for full in reversed(names)}
    near = [last[name]] if name in last else difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    near = near or [last[one] for one in difflib.get_close_matches(name, last, n=1, cutoff=0.7)]
    return f"; did you mean {dashes}{near[0]}?" if near else ""
