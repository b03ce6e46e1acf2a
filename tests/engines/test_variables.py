import pytest

from sealift.core.launch import LaunchPlan
from sealift.engines.variables import with_variables

PLAN = LaunchPlan(image="x.sif", action="exec", command=("true",))


@pytest.mark.parametrize(
    ("env", "field", "value"),
    [
        ({"APPTAINER_CLEANENV": "1"}, "clean_env", True),
        ({"SINGULARITY_CONTAIN": "true"}, "contain", True),
        ({"APPTAINER_CONTAINALL": "yes"}, "contain_all", True),
        ({"APPTAINER_WRITABLE_TMPFS": "1"}, "writable_tmpfs", True),
        ({"APPTAINER_CONTAIN": "0"}, "contain", False),
        ({"APPTAINER_PWD": "/opt"}, "pwd", "/opt"),
        ({"APPTAINER_HOME": "/tmp:/w"}, "home", "/tmp:/w"),
        ({"APPTAINER_PWD": "/a", "SINGULARITY_PWD": "/b"}, "pwd", "/a"),
        ({"CONTAIN": "1"}, "contain", False),
    ],
)
def test_a_variable_is_an_option(env, field, value):
    assert getattr(with_variables(PLAN, env), field) == value


def test_the_command_line_wins():
    plan = LaunchPlan(image="x.sif", action="exec", command=("true",), pwd="/mine")
    assert with_variables(plan, {"APPTAINER_PWD": "/theirs"}).pwd == "/mine"
