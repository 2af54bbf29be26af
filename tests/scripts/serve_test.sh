#!/usr/bin/env bash
# The real server with curl, the official OpenAI client (where pip has it) and a real browser (where Chromium is installed).
# Usage: serve_test.sh PROGRAM
set -u
program=${1:-build/rodnik}
work=$(mktemp -d /tmp/rodnik-serve-XXXXXX)
server=""
trap '[ -n "$server" ] && kill "$server" 2>/dev/null; rm -rf "$work"' EXIT
ok() { echo "ok $1"; }
failed() { echo "FAILED $1: $2"; }
expect() { # NAME WANTED FOUND
    if [ "$2" = "$3" ]; then ok "$1"; else failed "$1" "wanted $2, found $3"; fi
}

if ! "$program" train recipes/tiny.ini --out "$work/run" --steps 3 >"$work/train.log" 2>&1; then
    failed "a tiny model to serve" "$(tail -1 "$work/train.log")"; exit 1
fi
start() {
    "$program" serve --model "$work/run" --port 0 "$@" >"$work/serve.log" 2>&1 &
    server=$!
    for _ in $(seq 100); do
        url=$(sed -n 's/^serving .* at \(http[^ ]*\)$/\1/p' "$work/serve.log")
        [ -n "$url" ] && return 0
        sleep 0.1
    done
    failed "the server starts" "$(cat "$work/serve.log")"; exit 1
}
stop() { kill -INT "$server"; wait "$server"; code=$?; server=""; }
code_of() { curl -s -m 20 -o "$work/body" -w '%{http_code}' "$@"; }
chat() { code_of "$url/v1/chat/completions" -H 'Content-Type: application/json' -d "$1"; }
user='"messages":[{"role":"user","content":"река"}]'

start
expect "health says that a token was made" 200 "$(code_of "$url/health")"
expect "the model is listed" 200 "$(code_of "$url/v1/models")"
expect "a conversation is answered" 200 "$(chat "{$user,\"max_tokens\":8,\"seed\":5}")"
cp "$work/body" "$work/first"
chat "{$user,\"max_tokens\":8,\"seed\":5}" >/dev/null
content() { python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))["choices"][0]["message"]["content"])' "$1"; }
expect "the same seed gives the same answer" "$(content "$work/first")" "$(content "$work/body")"
stream=$(curl -s -m 20 -N "$url/v1/completions" -d '{"prompt":"a","max_tokens":5,"stream":true}')
expect "a stream ends with [DONE]" "data: [DONE]" "$(echo "$stream" | grep . | tail -1)"
expect "exactly one finish_reason" 1 "$(echo "$stream" | grep -c '"finish_reason":"')"

number=0
while IFS= read -r body; do
    number=$((number + 1))
    expect "bad body $number is a 400" 400 "$(chat "$body")"
done <<'EOF'

[]
{
{"messages":[]}
{"messages":"x"}
{"messages":[{"role":"user"}]}
{"messages":[{"role":"robot","content":"x"}]}
{"messages":[{"role":"user","content":"x"}],"temperature":-1}
{"messages":[{"role":"user","content":"x"}],"temperature":1e400}
{"messages":[{"role":"user","content":"x"}],"max_tokens":0}
{"messages":[{"role":"user","content":"x"}],"max_tokens":1.5}
{"messages":[{"role":"user","content":"x"}],"top_p":"high"}
{"messages":[{"role":"user","content":"x"}],"n":2}
{"messages":[{"role":"user","content":"x"}],"logit_bias":{"5":100}}
{"messages":[{"role":"user","content":"x"}],"tools":[{"type":"function"}]}
{"messages":[{"role":"user","content":"x"}],"stream_options":{"include_usage":true}}
{"messages":[{"role":"user","content":"x"}],"stop":["",1]}
{"messages":[{"role":"user","content":"\ud800"}]}
{"messages":[{"role":"user","content":"x\u0000y"}]}
{"messages":[{"role":"user","content":"x\uZZZZ"}]}
{"messages":[{"role":"user","content":"x"}]} more
EOF
deep=$(printf '[%.0s' $(seq 50000))
printf '{"messages":%s' "$deep" >"$work/deep"
expect "JSON nested 50,000 deep is a 400" 400 "$(code_of "$url/v1/chat/completions" --data-binary "@$work/deep")"
printf '{"messages":[{"role":"user","content":"\377\376"}]}' >"$work/bad"
expect "invalid UTF-8 is a 400" 400 "$(code_of "$url/v1/chat/completions" --data-binary "@$work/bad")"
head -c 2000000 /dev/zero >"$work/large"
expect "a body of 2 MB is a 413" 413 "$(code_of "$url/v1/completions" --data-binary "@$work/large")"
expect "a body of 2 MB in chunks is a 413" 413 "$(code_of "$url/v1/completions" -H 'Transfer-Encoding: chunked' --data-binary "@$work/large")"
expect "logprobs of 0 is a 400" 400 "$(code_of "$url/v1/completions" -d '{"prompt":"a","logprobs":0}')"
expect "an unknown model is a 404" 404 "$(chat "{$user,\"model\":\"other\"}")"
timeout 10 "$program" serve --model "$work/run" --port "${url##*:}" >/dev/null 2>"$work/taken"
expect "a port in use is refused" 1 $?
expect "an unknown path is a 404" 404 "$(code_of "$url/v2")"
expect "a wrong method is a 405" 405 "$(code_of "$url/v1/chat/completions")"

# Half-open bodies must not keep others from being served.
for _ in $(seq 40); do
    (exec 3<>"/dev/tcp/127.0.0.1/${url##*:}"; printf 'POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{' >&3; sleep 5) 2>/dev/null &
done
sleep 0.5
expect "others are served beside 40 half-open requests" 200 "$(chat "{$user,\"max_tokens\":4}")"

if python3 -m venv "$work/venv" >/dev/null 2>&1 && "$work/venv/bin/pip" install -q openai >/dev/null 2>&1; then
    "$work/venv/bin/python" tests/scripts/openai_client.py "$url/v1" || failed "the OpenAI client" "it ended with an error"
else
    echo "skipped the official OpenAI client: pip can't install it here"
fi
if command -v chromedriver >/dev/null; then
    timeout 120 python3 tests/scripts/page_drive.py "$url/" "$work" || failed "the page in a browser" "it ended with an error"
else
    echo "skipped the page in a browser: chromedriver is not installed"
fi
stop
expect "Ctrl-C ends the server with 0" 0 "$code"

printf 'a-long-secret-key\n' >"$work/keys"
chmod 644 "$work/keys"
"$program" serve --model "$work/run" --port 0 --keys "$work/keys" >/dev/null 2>"$work/refused"
expect "keys that others can read are refused" 2 $?
chmod 600 "$work/keys"
start --keys "$work/keys"
expect "without a key: 401" 401 "$(code_of "$url/v1/models")"
expect "with a wrong key: 401" 401 "$(code_of "$url/v1/models" -H 'Authorization: Bearer other-secret-key')"
expect "with the key: 200" 200 "$(code_of "$url/v1/models" -H 'Authorization: Bearer a-long-secret-key')"
expect "health needs no key" 200 "$(code_of "$url/health")"
stop
"$program" serve --model "$work/nothing" >/dev/null 2>"$work/none"
expect "a model that isn't there is wrong usage" 2 $?
