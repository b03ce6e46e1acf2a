#!/bin/sh
# The environment of one app (SCIF), where `--app NAME` chose one.

if [ -n "${SINGULARITY_APPNAME:-}" ]; then
    export SINGULARITY_APPNAME
    if [ ! -d "/scif/apps/${SINGULARITY_APPNAME}/" ]; then
        echo "Could not locate the container application: ${SINGULARITY_APPNAME}"
        exit 1
    fi

    SCIF_APPS=/scif/apps
    SCIF_APPROOT="/scif/apps/${SINGULARITY_APPNAME}"
    export SCIF_APPROOT SCIF_APPS

    PATH="${SCIF_APPROOT}:/scif/apps/singularity:${PATH}"
    for place in "$SCIF_APPROOT" /scif/apps/singularity; do
        if [ -d "$place/bin" ]; then
            PATH="$place/bin:$PATH"
            break
        fi
    done
    for place in "$SCIF_APPROOT" /scif/apps/singularity; do
        if [ -d "$place/lib" ]; then
            LD_LIBRARY_PATH="$place/lib:${LD_LIBRARY_PATH:-}"
            export LD_LIBRARY_PATH
            break
        fi
    done
    for part in 01-base.sh 90-environment.sh; do
        for place in "/scif/apps/${SINGULARITY_APPNAME}" /scif/apps/singularity; do
            if [ -f "$place/scif/env/$part" ]; then
                . "$place/scif/env/$part"
                break
            fi
        done
    done
    export PATH
    unset place part
fi
