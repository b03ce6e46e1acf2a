from __future__ import annotations

import pytest

from sealift.flows.variables import builders_variables, lasting, ordered_variables


@pytest.mark.parametrize(
    ("caller", "found"),
    [
        ({"FOO": "1", "HOME": "/home/ann", "APPTAINER_NV": "1"}, {}),
        ({"APPTAINERENV_A": "1"}, {"SEALIFT_ORDERS": 'export A="1"'}),
        ({"SINGULARITYENV_A": "1", "APPTAINERENV_A": "2"}, {"SEALIFT_ORDERS": 'export A="2"'}),
        ({"SINGULARITYENV_A": 'x "$B" y'}, {"SEALIFT_ORDERS": r'export A="x \"$B\" y"'}),
        ({"APPTAINERENV_PREPEND_PATH": "/pre"}, {"SING_USER_DEFINED_PREPEND_PATH": "/pre"}),
        ({"APPTAINERENV_no-name": "1", "APPTAINERENV_HOME": "/x"}, {}),
    ],
)
def test_what_is_ordered(caller: dict[str, str], found: dict[str, str]) -> None:
    assert ordered_variables(caller) == found


def test_a_test_is_run_again_for_what_was_set_on_purpose() -> None:
    caller = {"MYDATA": "/scratch", "PWD": "/x", "SSH_TTY": "y", "SLURM_JOB_ID": "7", "HOME": "/h", "TERM": "t"}
    found = lasting(builders_variables(caller))
    found.pop("USER_PATH")
    assert found == {"MYDATA": "/scratch"}
