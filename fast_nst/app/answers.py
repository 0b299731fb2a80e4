"""Errors as the page shows them: the sentence of the command line, and no traceback."""

from __future__ import annotations

import functools
import html
import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from fast_nst.errors import UserError, printable

SHOWN = 20  # seconds
HASHED = r"[/\\][0-9a-f]{32,}[/\\]"  # the folder of one upload


def answered(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function``, or a generator function, whose UserErrors are shown on the page."""
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def generator(*arguments: Any, **named: Any) -> Iterator[Any]:
            with shown():
                yield from function(*arguments, **named)

        return generator

    @functools.wraps(function)
    def plain(*arguments: Any, **named: Any) -> Any:
        with shown():
            return function(*arguments, **named)

    return plain


@contextmanager
def shown() -> Iterator[None]:
    """Turn a UserError, or a refusal of the system, into Gradio's error."""
    try:
        yield
    except UserError as error:
        raise gr.Error(sentence(error), title="", duration=SHOWN, print_exception=False) from error
    except OSError as error:
        text = f"the system refuses {error.filename or 'this'}: {error.strerror or error}; check rights and space there"
        raise gr.Error(sentence(text), title="", duration=SHOWN, print_exception=False) from error


def sentence(error: object) -> str:
    """The text of ``error`` as HTML, with the names of uploaded files in the place of their paths."""
    return html.escape(printable(re.sub(re.escape(get_upload_folder()) + HASHED, "", str(error))), quote=False)
