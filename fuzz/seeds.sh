#!/usr/bin/env bash
# Puts the shipped templates and the guide's samples, with their payloads, into the corpus of `template_text`, the presets into
# that of `scheme_record`, and a request and a header of each kind into those of `accept` and `signature_header`.
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

mkdir -p corpus/scheme_record corpus/signature_header corpus/accept corpus/pattern
for file in ../src/signature/presets/*.yaml; do
    # Where a preset says where it is from, its record is the part under `scheme`.
    if grep -q '^scheme:' "$file"; then
        sed -n '/^scheme:/,$p' "$file" | sed '1d;s/^  //' >"corpus/scheme_record/$(basename "$file")"
    else
        cp "$file" "corpus/scheme_record/$(basename "$file")"
    fi
done
n=0
for header in '\001' 'sha256=\001' 't=1767607200,v1=\001' 'v1,\001' 'v1,AAAA v1,\001' 'v1a,\001' 'Bearer \001' '\001,\001'; do
    n=$((n + 1))
    printf "$header" >"corpus/signature_header/$n"
done
printf '\000\000\nx-signature: \001\n\n{"type":"a.b","n":2}' >corpus/accept/plain
printf '\002\000\nx-signature: \001\ncontent-type: application/cloudevents+json\n\n%s' \
    '{"specversion":"1.0","id":"1","source":"s","type":"a.b","data":{"n":2},"x":5}' >corpus/accept/structured
printf '\002\000\nx-signature: \001\nce-specversion: 1.0\nce-id: 1\nce-source: s\nce-type: t\n\nabc' >corpus/accept/binary
printf '\004\014c=x&t=a-plain-test-secret-of-40-characters-xyz\nhost: a\n\n' >corpus/accept/challenge
printf '%s\000%s\000%s' '{type: "a.*", body: {a.b: [1, {not: {gt: 1.5}}]}}' '{"a":[{"b":2}]}' 'a.b' >corpus/pattern/1
echo "$(find corpus -type f | wc -l) seeds and inputs in all"
