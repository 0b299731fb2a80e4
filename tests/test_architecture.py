"""The house: imports point down only, and modules of one floor do not import each other."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "fast_nst"
FLOORS = [
    {"errors"},
    {"files", "stopping", "onnx_checks", "config_files", "parser_messages", "memory", "state_schema"},
    {"settings", "functional", "images", "drawing", "tensor_files", "film", "layer_files", "lattice", "frame", "muon"}
    | {"measuring", "runtimes", "engine_cache", "conversions", "norms"},
    {"engines", "photo_files", "strengths"},
    {"networks.transformer_net", "networks.loss_network", "data", "run_folder", "models"}
    | {
        "style_statistics",
        "optimization_settings",
        "colours",
        "stylize_settings",
        "export_settings",
        "picture_files",
        "looks",
    }
    | {"video", "steady_model", "staged_model"},
    {"losses", "weights", "styles", "callbacks", "divergence", "tiles", "camera", "checkpoints", "resume_state"},
    {"training", "survival", "fine_tuning", "style_check", "distillation", "card", "export", "stylizer"}
    | {"gatys", "image_loss", "sources", "optimization_card", "run_settings"},
    {"run_parts", "run_trainer"},
    {"runs", "evaluation", "optimization", "batch", "precision"},
    {"reconstruction", "sweep", "benchmark"},
    {"cli"},
    {"__main__"},
]
FLOOR_OF = {module: floor for floor, modules in enumerate(FLOORS) for module in modules}
MODULES = sorted(".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in PACKAGE.rglob("*.py"))


def imports_of(module: str) -> set[str]:
    tree = ast.parse((PACKAGE / (module.replace(".", "/") + ".py")).read_text())
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fast_nst."):
            found.add(node.module.removeprefix("fast_nst."))
    return found


@pytest.mark.parametrize("module", [module for module in MODULES if not module.endswith("__init__")])
def test_imports_point_down(module):
    assert module in FLOOR_OF, f"give {module} a floor"
    for imported in imports_of(module):
        assert FLOOR_OF[imported] < FLOOR_OF[module], f"{module} imports {imported}"


@pytest.mark.parametrize("module", MODULES)
def test_modules_open_with_a_card_and_functions_stay_short(module):
    tree = ast.parse((PACKAGE / (module.replace(".", "/") + ".py")).read_text())
    assert ast.get_docstring(tree), f"{module} has no card"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
            assert node.end_lineno - first.lineno < 40, f"{module}.{node.name}"
