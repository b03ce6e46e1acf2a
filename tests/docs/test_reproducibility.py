from sealift.normalise.rules import load_rules
from tests.docs.blocks import ROOT


def test_every_rule_is_explained():
    page = (ROOT / "docs" / "reproducibility.md").read_text("utf-8")
    assert [rule.id for rule in load_rules() if f"`{rule.id}`" not in page] == []
