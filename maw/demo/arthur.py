"""arthur, an agent in twenty lines: he sits in `maw wait`, answers what is sent to him, acknowledges all."""

import json
import os
import subprocess
import time
from typing import Any


def maw(*words: str) -> Any:
    """Runs one maw command and reads its answer."""
    return json.loads(subprocess.run(["maw", *words, "--json"], stdout=subprocess.PIPE, check=True).stdout)


while True:
    try:
        for message in maw("wait"):
            print(message["author"], "wrote:", message["text"], flush=True)
            if message["why"] == "direct":
                answer = f"the load here is {os.getloadavg()[0]:.2f}, and I am listening"
                maw("send", "@" + message["author"], answer, "--reply-to", message["id"])
            maw("ack", message["id"])  # last: a crash before it brings the message again, never loses it
    except subprocess.CalledProcessError:
        time.sleep(0.5)  # the daemon is away; all that was not acknowledged is there when it is back
