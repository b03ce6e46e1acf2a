# How workflow programs ask for the version: three words, the last one begins with the number.
set -e
singularity --version | sed 's/[+].*//'
singularity version | sed 's/[+].*//'
apptainer --version | awk '{ print $1, $2, NF }'
command -v singularity > /dev/null && echo "there"
case $(singularity --version) in apptainer*) echo "Apptainer's flags" ;; *) echo "other flags" ;; esac
