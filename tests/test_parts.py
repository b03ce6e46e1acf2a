"""The parts and fixtures that the other tests stand on."""

from __future__ import annotations

import pytest

from tests import parts


def test_names_are_unique_and_resolve():
    assert len(parts.BY_NAME) == len(parts.PARTS)
    assert [part.name for part in parts.closure(["apptainer"])] == ["subuid-user", "mirror", "apptainer"]


def test_an_unknown_part_is_an_error():
    with pytest.raises(KeyError):
        parts.closure(["no-such-part"])


@pytest.mark.needs("subuid-user")
@pytest.mark.parametrize("user", ["subuid", pytest.param("plain", marks=pytest.mark.needs("plain-user"))])
def test_users_have_sealift_and_their_folder(as_user, user):
    done = as_user(["sh", "-c", "id -un; pwd; command -v sealift; touch x"], user=user)
    name, where, program = done.stdout.decode().split()
    assert (done.returncode, where, program) == (0, str(as_user.folder(user)), str(as_user.bin / "sealift"))
    assert name != "root"


@pytest.mark.slow
@pytest.mark.needs("apptainer")
def test_apptainer_runs(apptainer):
    done = apptainer("--version")
    assert done.stdout.startswith(b"apptainer version")


@pytest.mark.slow
@pytest.mark.needs("docker")
def test_docker_answers(docker):
    assert docker("version").returncode == 0


@pytest.mark.slow
@pytest.mark.needs("registry", "skopeo", "mmdebstrap", "mirror")
def test_an_image_can_be_pushed(registry, debian_oci, skopeo):
    reference = registry.push(debian_oci, "latest", "debian:small")
    assert b"linux" in skopeo("inspect", "--tls-verify=false", reference).stdout


@pytest.mark.slow
@pytest.mark.needs("slurm", "subuid-user")
def test_slurm_runs_jobs_of_ordinary_users_on_three_nodes(slurm, as_user):
    done = as_user(
        ["srun", "-N3", "--gpus-per-node=2", "sh", "-c", 'echo "$SLURMD_NODENAME $(id -un) $CUDA_VISIBLE_DEVICES"'],
        env=slurm.environment,
    )
    assert done.returncode == 0, done.stderr
    rows = sorted(line.split() for line in done.stdout.decode().splitlines())
    assert [(row[0], row[2]) for row in rows] == [("nid001", "0,1"), ("nid002", "0,1"), ("nid003", "0,1")]
    assert all(row[1].startswith("sealift-test-a") for row in rows)
