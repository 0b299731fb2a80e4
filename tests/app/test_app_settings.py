"""What the app is before it is a page: a command that needs an extra, with settings of its own."""

import importlib.util
import subprocess
import sys

import pytest

from fast_nst.cli.main import main
from fast_nst.errors import UserError
from fast_nst.settings.app import AppSettings


@pytest.mark.parametrize("words", [["--help"], ["app", "--help"], ["styles"]], ids=" ".join)
def test_gradio_is_not_imported_for_other_commands_or_for_help(words):
    code = f"import sys, fast_nst.cli.main as cli; cli.main({words!r}); sys.exit('gradio' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_without_the_extra_the_command_is_one_sentence(monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, package=None: None)
    with pytest.raises(SystemExit) as ended:
        main(["app"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "fast-nst: the app needs Gradio, which is not installed: pip install 'fast_nst[app]'\n"
    )


@pytest.mark.parametrize(
    ("host", "share", "local"),
    [
        ("127.0.0.1", False, True),
        ("localhost", False, True),
        ("::1", False, True),
        ("0.0.0.0", False, False),
        ("192.168.1.7", False, False),
        ("example.org", False, False),
        ("127.0.0.1", True, False),
    ],
)
def test_an_app_is_local_where_only_this_machine_reaches_it(host, share, local):
    assert AppSettings(host=host, share=share).is_local is local


def test_by_default_the_app_is_for_this_machine_alone_without_a_public_link():
    settings = AppSettings()
    assert settings.is_local and settings.host == "127.0.0.1" and settings.share is False


@pytest.mark.parametrize("wrong", [{"port": 0}, {"port": 70000}, {"max_upload": 0}, {"max_megapixels": 0}, {"tabs": []}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(UserError):
        AppSettings(**wrong)
