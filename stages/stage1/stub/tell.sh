#!/bin/sh
# Every entrypoint of the stub flavor. Python ignores some signals before a program can look, so the state that stage0
# handed over is read here; nothing else is touched.
while read -r key value; do
    case $key in SigIgn:) STUB_SIGIGN=$value ;; esac
done </proc/$$/status
export STUB_SIGIGN
exec /usr/bin/python3 -ISB "${0%/*}/usr/lib/podwright/stages/stage1/stub/main.py" "$0" "$@"
