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
    assert certificate_files(host) == {
        "SSL_CERT_FILE": "/a",
        "REQUESTS_CA_BUNDLE": "/a",
        "CURL_CA_BUNDLE": "/a",
        "PIP_CERT": "/a",
        "GIT_SSL_CAINFO": "/a",
    }


def test_a_bundle_that_is_named_for_one_program_alone_stays_its_own() -> None:
    assert certificate_files({}) == {}
    # These are trusted beside those that the image trusts, and are not all that there are.
    assert certificate_files({"NODE_EXTRA_CA_CERTS": "/extra"}) == {"NODE_EXTRA_CA_CERTS": "/extra"}
    found = certificate_files({"CURL_CA_BUNDLE": "/c", "PIP_CERT": "/p", "NODE_EXTRA_CA_CERTS": "/extra"})
    assert found == {
        "SSL_CERT_FILE": "/c",
        "REQUESTS_CA_BUNDLE": "/c",
        "CURL_CA_BUNDLE": "/c",
        "PIP_CERT": "/p",
        "GIT_SSL_CAINFO": "/c",
        "NODE_EXTRA_CA_CERTS": "/extra",
    }
