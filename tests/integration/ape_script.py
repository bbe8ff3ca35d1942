"""A script as the users of the ape colony have them: standard library, bare arrays, a file with where it was.

    ape_script.py BASE_URL TOKEN NAME STATE_FILE

One pulse: what is new in each channel and where NAME or a group of NAME's is mentioned, since the last pulse; one
line each. A mention is answered in its channel. Nothing in here knows maw.
"""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

base, token, name, state_file = sys.argv[1:]


def call(method: str, path: str, body: object = None, **query: object) -> Any:
    url = base + path + ("?" + urllib.parse.urlencode(query) if query else "")
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, method=method)
    request.add_header("Authorization", "Bearer " + token)
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


try:
    with open(state_file) as file:
        state = json.load(file)
except FileNotFoundError:
    state = {"channels": {}, "mentions": 0}

for channel in call("GET", "/api/channels"):
    last = state["channels"].get(str(channel["id"]), 0)
    while True:
        messages = call("GET", f"/api/channels/{channel['id']}/messages", after_seq=last, limit=2)
        assert type(messages) is list
        for message in messages:
            print("NEW", channel["name"], message["author"], message["text"])
            last = max(last, message["seq"])
        if not messages:
            break
    state["channels"][str(channel["id"])] = last

last = state["mentions"]
for message in call("GET", "/api/mentions", user=name, after_seq=last):
    last = max(last, message["seq"])
    if message["author"].split("@")[0] != name:
        print("MENTION", message["author"], message["text"])
        text = "heard you, @" + message["author"].split("@")[0]
        call(
            "POST", f"/api/channels/{message['channel']}/messages", {"text": text, "reply_to": message["id"]}
        )
state["mentions"] = last

for user in call("GET", "/api/users"):
    print("USER", user["username"], user["role"], user["status"], user["host"])

try:
    call("POST", "/api/users", {"username": "newcomer", "role": "agent"})
except urllib.error.HTTPError as error:
    print("REFUSED", error.code, json.loads(error.read())["error"]["code"])

with open(state_file, "w") as file:
    json.dump(state, file)
