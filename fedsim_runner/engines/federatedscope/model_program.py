"""A program for the interpreter that has FederatedScope: which tensors does a model have?

    python model_program.py < REQUEST

The request is JSON: ``model``, FederatedScope's section, and ``input_shape``, that of a batch. Printed is a list of
name, shape and whether the tensor is trained. An error is a traceback, with exit code 1. Nothing of fedsim-runner is
imported: this interpreter does not have it.
"""

from __future__ import annotations

import contextlib
import json
import pkgutil
import sys
from importlib import import_module
from typing import Any


def main() -> None:
    """Print the tensors of the model that standard input describes."""
    request = json.load(sys.stdin)
    # What libraries print is no answer.
    with contextlib.redirect_stdout(sys.stderr):
        answer = _tensors(request)
    sys.stdout.write(json.dumps(answer))


def _tensors(request: dict[str, Any]) -> list[tuple[str, list[int], bool]]:
    # Not installed where fedsim-runner is checked and tested.
    configs = import_module("federatedscope.core.configs.config")
    builder = import_module("federatedscope.core.auxiliaries.model_builder")
    contrib = import_module("federatedscope.contrib.model")
    # One of them that lacks a package does not hide the others.
    for module in pkgutil.iter_modules(contrib.__path__, f"{contrib.__name__}."):
        with contextlib.suppress(ImportError):
            import_module(module.name)
    config = configs.global_cfg.clone()
    config.merge_from_other_cfg(configs.CN({"model": request["model"]}))
    config.model.input_shape = tuple(request["input_shape"])
    model = builder.get_model(config.model)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    return [(name, list(value.shape), name in trained) for name, value in model.state_dict().items()]


if __name__ == "__main__":
    main()
