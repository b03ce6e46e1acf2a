from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from sealift.errors import HostError
from sealift.system.tls import certificate_folder, make_context

PEM = Path(__file__).with_name("loopback.pem")


def test_folders_in_their_order(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path / "home")}
    found = []
    for folder in ("etc/docker", "etc/containers", "home/.config/containers"):
        found.append(certificate_folder(env, "h:5000", root=str(tmp_path)))
        (tmp_path / folder / "certs.d" / "h:5000").mkdir(parents=True)
    found.append(certificate_folder(env, "h:5000", root=str(tmp_path)))
    assert found == [
        "",
        *(
            str(tmp_path / f / "certs.d" / "h:5000")
            for f in ("etc/docker", "etc/containers", "home/.config/containers")
        ),
    ]
    assert certificate_folder(env, "h", root=str(tmp_path)) == ""


def test_a_bundle_adds_to_the_system_s() -> None:
    plain = len(make_context({}).get_ca_certs())
    assert len(make_context({"SSL_CERT_FILE": str(PEM)}).get_ca_certs()) == plain + 1


def test_insecure_trusts_everybody() -> None:
    context = make_context({}, insecure=True)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_NONE, False)
    assert make_context({}).verify_mode == ssl.CERT_REQUIRED


def test_a_damaged_authority_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("junk")
    with pytest.raises(HostError) as caught:
        make_context({}, folder=str(tmp_path))
    assert caught.value.message.startswith(f"the certificates that lie there cannot be read: `{tmp_path}/ca.crt`: ")
    assert caught.value.hints == (f"look at {tmp_path}",)
