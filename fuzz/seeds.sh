#!/usr/bin/env bash
# Puts the shipped templates and the guide's samples, with their payloads, into the corpus of `template_text`.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p corpus/template_text
for file in ../templates/*.liquid; do
    cp "$file" "corpus/template_text/$(basename "$file")"
done
# A sample is a fence `liquid`; the fence `json payload` that follows it stands behind its NUL.
awk '
    /^```liquid$/ { n++; file = sprintf("corpus/template_text/guide-%02d", n); printf "" > file; inside = 1; next }
    /^```json payload$/ { printf "%c", 0 >> file; inside = 1; next }
    /^```/ { inside = 0; next }
    inside { print >> file }
' ../templates/README.md
echo "$(ls corpus/template_text | wc -l) seeds and inputs"
