"""Where the base's layers come from when an OCI image is written: the cache, the registry again, Docker's archives."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sealift.flows.base import Base
from sealift.flows.ocibase import base_layers
from tests.flows.test_oci import blob, built, config, manifest
from tests.ground import services
from tests.ground.layouts import write_layout
from tests.packs.layers import file, folder, tar

LAYERS = [tar([folder("etc"), file("etc/one", b"1" * 4000)]), tar([file("etc/two", bytes(9000))])]


@pytest.mark.slow
@pytest.mark.needs("registry", "skopeo")
@pytest.mark.parametrize("form", ["oci", "v2s2"])
def test_layers_of_a_registry_are_fetched_again_where_the_cache_lost_them(
    sealift, registry: services.Registry, skopeo, tmp_path: Path, form
):
    write_layout(tmp_path / "layout", LAYERS, packing=["gzip", "plain"] if form == "oci" else "gzip")
    reference = f"docker://{registry.host}/sources/{form}:one"
    skopeo("copy", "--quiet", "--dest-tls-verify=false", "--format", form, f"oci:{tmp_path}/layout:latest", reference)
    built(sealift, "oci:first", reference)
    shutil.rmtree(tmp_path / "cache" / "blobs")
    built(sealift, "oci:second", reference)
    theirs = manifest(tmp_path / "layout", "latest")["layers"]
    for layout in (Path("first"), Path("second")):
        ours = manifest(layout, "")["layers"][:-1]
        # skopeo compresses what it pushes.
        assert [layer["digest"] for layer in ours][:1] == [layer["digest"] for layer in theirs][:1]
        assert {layer["mediaType"] for layer in ours} == {"application/vnd.oci.image.layer.v1.tar+gzip"}
        assert [len(blob(layout, layer["digest"])) for layer in ours] == [layer["size"] for layer in ours]
    assert manifest(Path("first"), "") == manifest(Path("second"), "")


@pytest.mark.slow
@pytest.mark.needs("skopeo")
def test_layers_of_docker_save_are_compressed_by_us(sealift, skopeo, tmp_path: Path):
    write_layout(tmp_path / "layout", LAYERS)
    skopeo("copy", "--quiet", f"oci:{tmp_path}/layout:latest", f"docker-archive:{tmp_path}/saved.tar:some:one")
    made = built(sealift, "oci:out:one", f"docker-archive:{tmp_path}/saved.tar")
    assert (
        config(Path("out"), "one")["rootfs"]["diff_ids"][:-1]
        == config(tmp_path / "layout", "latest")["rootfs"]["diff_ids"]
    )
    for layer in manifest(Path("out"), "one")["layers"]:
        assert layer["mediaType"] == "application/vnd.oci.image.layer.v1.tar+gzip"
        assert len(blob(Path("out"), layer["digest"])) == layer["size"]
    assert built(sealift, "back.sif", "oci:out:one")["tree_digest"] == made["tree_digest"]


def test_an_uncompressed_layer_stays_so(sealift, tmp_path: Path):
    write_layout(tmp_path / "layout", LAYERS, packing=["plain", "zstd"])
    built(sealift, "oci:out:one", f"oci:{tmp_path}/layout")
    assert manifest(Path("out"), "one")["layers"][:-1] == manifest(tmp_path / "layout", "latest")["layers"]


def test_a_layer_twice_is_written_once(sealift, tmp_path: Path):
    write_layout(tmp_path / "layout", [LAYERS[0], LAYERS[1], LAYERS[0]])
    built(sealift, "oci:out:one", f"oci:{tmp_path}/layout")
    built(sealift, "oci-archive:out.tar:one", f"oci:{tmp_path}/layout")
    assert len(manifest(Path("out"), "one")["layers"]) == 4
    assert (
        built(sealift, "one.sif", "oci:out")["tree_digest"]
        == built(sealift, "two.sif", "oci-archive:out.tar")["tree_digest"]
    )


def test_a_sif_takes_the_layers_that_it_was_made_of_where_they_are_to_be_had(sealift, small_layout):
    theirs = manifest(small_layout, "latest")["layers"]
    direct = built(sealift, "direct.sif", f"oci:{small_layout}")
    made = built(sealift, "oci:out:one", "direct.sif")
    assert manifest(Path("out"), "one")["layers"][:-1] == theirs
    back = built(sealift, "back.sif", "oci:out:one")
    assert back["tree_digest"] == made["tree_digest"]
    assert made["entries"] >= direct["entries"]
    shutil.rmtree(small_layout)
    alone = built(sealift, "oci:alone:one", "direct.sif")
    assert len(manifest(Path("alone"), "one")["layers"]) == 1
    assert alone["tree_digest"] == made["tree_digest"]


def test_a_base_that_is_not_made_of_layers_has_none():
    base = Base(packs=(), keys=(), origin="debootstrap")
    with base_layers(None, base) as found:  # type: ignore[arg-type]  # nothing is asked of the workshop
        assert found == ()
