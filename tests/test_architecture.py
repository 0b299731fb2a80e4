"""The house: folders import only those below them, and what draws with a trained model imports no torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "fast_nst"
MODULES = sorted(".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in PACKAGE.rglob("*.py"))
HEAVY = ("torch", "torchvision", "pytorch_lightning")
LIGHT = ("fast_nst", "fast_nst.cli.main", "fast_nst.benchmark", "fast_nst.stylize.run", "fast_nst.inference.tiling")


def test_the_contracts_on_imports_are_kept(capsys: pytest.CaptureFixture) -> None:
    assert lint_imports(str(ROOT / "pyproject.toml"), no_cache=True) == 0, capsys.readouterr().out


@pytest.mark.parametrize("module", LIGHT)
def test_importing_it_loads_no_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit(bool({set(HEAVY)} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.parametrize("module", MODULES)
def test_modules_open_with_a_card_and_functions_stay_short(module):
    tree = ast.parse((PACKAGE / (module.replace(".", "/") + ".py")).read_text())
    assert ast.get_docstring(tree), f"{module} has no card"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
            assert node.end_lineno - first.lineno < 40, f"{module}.{node.name}"
