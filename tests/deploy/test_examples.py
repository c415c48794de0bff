"""deploy/examples: every configuration works, says what its page says, and holds no secret."""
import json
import re

import pytest
from places import ROOT

EXAMPLES = sorted((ROOT / "deploy/examples").glob("*.json"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_works(path, check_config):
    said = check_config(path, E2B_API_KEY="not-a-key")
    assert "mode=production" in said and "warning:" not in said, said


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_explained_and_has_no_secret(path):
    page = (ROOT / "deploy/examples/README.md").read_text()
    assert f"## `{path.name}`" in page
    section = page.split(f"## `{path.name}`")[1].split("\n## ")[0]
    for group, values in json.loads(path.read_text()).items():
        for name in values if isinstance(values, dict) else ():
            assert re.search(rf"`{group}\.{name}\b", section), f"{path.name}: the page does not explain {group}.{name}"
    assert not re.search(r"e2b_[0-9a-f]{8}|password|://[^/]*@", path.read_text())
