from __future__ import annotations

from sealift.sandbox.environment import SECTION_ENVIRONMENT, certificate_files, section_environment


def test_the_hosts_own_variables_stay_outside() -> None:
    assert section_environment({"HOME": "/home/ann", "PATH": "/x", "LD_PRELOAD": "y"}) == SECTION_ENVIRONMENT


def test_terminal_and_proxies_come_in() -> None:
    host = {"TERM": "vt100", "http_proxy": "a", "HTTPS_PROXY": "b", "no_proxy": "", "FTP_PROXY": "c", "All_Proxy": "d"}
    assert section_environment(host) == SECTION_ENVIRONMENT | {
        "TERM": "vt100",
        "http_proxy": "a",
        "HTTPS_PROXY": "b",
        "no_proxy": "",
        "FTP_PROXY": "c",
    }


def test_certificates_are_files_that_the_host_names() -> None:
    host = {"SSL_CERT_FILE": "/a", "PIP_CERT": "relative", "CURL_CA_BUNDLE": "", "SSL_CERT_DIR": "/d"}
    assert certificate_files(host) == {"SSL_CERT_FILE": "/a"}
