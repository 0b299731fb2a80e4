import shutil
import subprocess

import pytest

from fast_nst.cli.commands import COMMANDS
from fast_nst.cli.completion import script
from fast_nst.cli.main import main, parser_of
from fast_nst.stylize.library import shipped_styles

needs = {
    name: pytest.mark.skipif(not shutil.which(name), reason=f"{name} is not installed here")
    for name in ("bash", "zsh", "fish")
}


@pytest.fixture(autouse=True)
def library(tmp_path, monkeypatch):
    monkeypatch.setenv("FAST_NST_STYLES", str(tmp_path / "styles"))


def by_bash(*words: str) -> set[str]:
    """What bash offers for the last of ``words`` after fast-nst."""
    quoted = " ".join(f"'{word}'" for word in ("fast-nst", *words))
    code = f'{script("bash")}\nCOMP_WORDS=({quoted}); COMP_CWORD={len(words)}; _fast_nst; printf "%s\\n" "${{COMPREPLY[@]}}"'
    return set(subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True).stdout.split())


def by_fish(line: str, folder) -> set[str]:
    """What fish offers at the end of ``line``, in an empty folder."""
    (folder / "completion.fish").write_text(script("fish"))
    (folder / "empty").mkdir()
    code = f"source ../completion.fish; complete -C '{line}'"
    done = subprocess.run(
        ["fish", "--no-config", "-c", code], cwd=folder / "empty", capture_output=True, text=True, check=True
    )
    return {offered.split("\t")[0] for offered in done.stdout.splitlines()}


@needs["bash"]
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ([""], set(COMMANDS)),
        (["st"], {"styles", "stylize", "style-check"}),
        (["train", "--finetune", ""], {"all", "norm", "strong"}),
        (["train", "--finetune", "n"], {"norm"}),
        (["stylize", "a.jpg", "-s", "the_"], {"the_kiss", "the_scream"}),
        (["train", "a.jpg", "--optimizer.m"], {"--optimizer.muon"}),
        (["train", "--fr"], {"--from"}),
        (["completion", ""], {"bash", "zsh", "fish"}),
        (["stylize", ""], set()),  # files, by readline
    ],
)
def test_bash_completes_commands_options_and_choices(words, offered):
    assert by_bash(*words) == offered


@needs["fish"]
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("fast-nst st", {"styles", "stylize", "style-check"}),
        ("fast-nst train --finetune ", {"all", "norm", "strong"}),
        ("fast-nst stylize a.jpg -s the_", {"the_kiss", "the_scream"}),
        ("fast-nst completion ", {"bash", "zsh", "fish"}),
    ],
)
def test_fish_completes_commands_and_choices(line, offered, tmp_path):
    assert by_fish(line, tmp_path) == offered


@needs["zsh"]
def test_zsh_reads_the_script():
    subprocess.run(["zsh", "-n", "/dev/stdin"], input=script("zsh"), text=True, check=True)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_option_of_every_command_is_in_the_script(shell):
    words = script(shell)
    for name in COMMANDS:
        for option in parser_of(name).options:
            assert option in words, (name, option)
    assert all(style in words for style in shipped_styles())


def test_a_shell_that_has_no_script_is_one_line(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["completion", "csh"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == "fast-nst: shell needs one of bash, zsh, fish, got csh\n"


def test_the_script_is_printed(capsys):
    main(["completion", "zsh"])
    assert capsys.readouterr().out == script("zsh")
