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
        ({"APPTAINER_OVERLAYIMAGE": "a,b:ro"}, "overlays", ("a,b:ro",)),
        ({"SINGULARITY_OVERLAY": "a", "APPTAINER_OVERLAYIMAGE": "b"}, "overlays", ("b",)),
        ({"APPTAINER_SCRATCHDIR": "/s"}, "scratch", ("/s",)),
        ({"APPTAINER_UNSHARE_PID": "1"}, "pid", True),
        ({"APPTAINER_NOSHIMINIT": "1"}, "no_init", True),
        ({"APPTAINER_TARGET_PWD": "/t"}, "pwd", "/t"),
        ({"APPTAINER_MOUNT": "src=/a,dst=/b"}, "mounts", ("src=/a,dst=/b",)),
        ({"APPTAINER_ENV_FILE": "vars"}, "env_files", ("vars",)),
        ({"APPTAINER_HOSTNAME": "node"}, "hostname", "node"),
        ({"APPTAINER_FAKEROOT": "true"}, "fakeroot", True),
    ],
)
def test_a_variable_is_an_option(env, field, value):
    assert getattr(with_variables(PLAN, env), field) == value


def test_the_command_line_wins():
    plan = LaunchPlan(image="x.sif", action="exec", command=("true",), pwd="/mine")
    assert with_variables(plan, {"APPTAINER_PWD": "/theirs"}).pwd == "/mine"


def test_lists_are_replaced_and_mounts_added():
    plan = LaunchPlan(image="x.sif", action="exec", command=("true",), overlays=("mine",), mounts=("src=/a,dst=/b",))
    found = with_variables(plan, {"APPTAINER_OVERLAY": "theirs", "APPTAINER_MOUNT": "src=/c,dst=/d"})
    assert (found.overlays, found.mounts) == (("mine",), ("src=/a,dst=/b", "src=/c,dst=/d"))
