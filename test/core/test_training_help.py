"""`orpose train KIND --help` describes every option."""

from __future__ import annotations

import re

import pytest

from orpose_core.commands.recipes import parse, trained_kind
from orpose_core.commands.train import TRAINED

_TYPE = r"\(type: "
_OPTION = re.compile(rf"--[\w.-]+ (?:\{{\S+\}} |\[ITEM,\.\.\.\] |[A-Z_0-9]+ |\w+ )?(?={_TYPE})")


@pytest.mark.parametrize("kind", TRAINED)
def test_every_option_is_described(kind, capsys):
    pytest.importorskip("docstring_parser", reason="describes the options; run make env")
    with pytest.raises(SystemExit):
        parse(f"orpose train {kind}", trained_kind(kind)[1], ["--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "--engine.steps" in said and "[--engine.steps" not in said  # not all of them in the usage again
    assert _OPTION.findall(said) == []
    assert re.findall(r"<class|``|:\w+:`", said) == []


def test_the_options_of_a_recipe_are_those_of_its_network(capsys):
    with pytest.raises(SystemExit):
        parse("orpose train depthpose", trained_kind("depthpose")[1], ["--config", "tiny", "--help"])
    said = capsys.readouterr().out
    assert "--model.stages" in said and "--model.sr_width" not in said
