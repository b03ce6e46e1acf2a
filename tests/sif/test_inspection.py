"""The inspection object beside the bytes that Apptainer 1.4.5 wrote for the same container."""

from __future__ import annotations

from sealift.sif.inspection import Inspected, Inspection
from sealift.sif.layout import DataType


def test_keys_come_in_apptainers_order_with_gos_escapes() -> None:
    inspection = Inspection(
        container=Inspected(
            environment={"/.singularity.d/env/90-environment.sh": "#!/bin/sh\n\n    export FOO=bar\n\n"},
            labels={"Version": "1.0", "Author": "me <me@example.org>"},
            runscript='#!/bin/sh\n\n    echo run "$@" && true\n\n\n',
            test="#!/bin/sh\n\n    true\n",
            help="    Help text\n\n",
            definition_file="Bootstrap: scratch\n",
            startscript="#!/bin/sh\n",
        )
    )
    written = inspection.as_object()
    assert (written.data_type, written.name) == (DataType.GENERIC_JSON, "inspect-metadata.json")
    assert written.data.decode() == (
        r'{"data":{"attributes":{"environment":'
        r'{"/.singularity.d/env/90-environment.sh":"#!/bin/sh\n\n    export FOO=bar"},'
        r'"labels":{"Author":"me \u003cme@example.org\u003e","Version":"1.0"},'
        r'"runscript":"#!/bin/sh\n\n    echo run \"$@\" \u0026\u0026 true","test":"#!/bin/sh\n\n    true",'
        r'"helpfile":"    Help text","deffile":"Bootstrap: scratch","startscript":"#!/bin/sh"}},"type":"container"}'
    )


def test_what_is_not_there_is_not_named() -> None:
    assert Inspection(container=Inspected()).as_object().data == b'{"data":{"attributes":{}},"type":"container"}'


def test_apps_stand_first() -> None:
    inspection = Inspection(
        container=Inspected(runscript="r"), apps={"b": Inspected(help="h"), "a": Inspected(labels={"x": "y"})}
    )
    assert inspection.as_object().data.decode() == (
        '{"data":{"attributes":{"apps":{"a":{"labels":{"x":"y"}},"b":{"helpfile":"h"}},"runscript":"r"}},"type":"container"}'
    )


def test_bytes_that_are_no_text_do_not_break_the_object() -> None:
    broken = b"caf\xe9".decode("utf-8", "surrogateescape")
    written = Inspection(container=Inspected(runscript=broken)).as_object()
    assert written.data == b'{"data":{"attributes":{"runscript":"caf?"}},"type":"container"}'
