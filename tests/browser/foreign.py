"""A page of somebody else, which tries to read the node and to speak in it, and tells what it got."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

_PAGE: Final = b"<!doctype html><meta charset=utf-8><title>elsewhere</title><body><p id=said>elsewhere</p>"

TRIES: Final = r"""
async ([target, token]) => {
  const told = {};
  const late = () => new Promise((done) => setTimeout(() => done("no answer"), 5000));
  const attempt = async (name, act) => {
    try { told[name] = await Promise.race([act(), late()]); } catch { told[name] = "blocked"; }
  };
  const body = JSON.stringify({ text: "from elsewhere" });
  const post = target + "/api/channels/general/messages";
  await attempt("fetch", async () => (await fetch(target + "/api/channels")).text());
  await attempt("fetch no-cors", async () => {
    const got = await fetch(target + "/api/channels", { mode: "no-cors" });
    return got.type === "opaque" ? (await got.text()) || "blocked" : got.text();
  });
  await attempt("fetch with token", async () =>
    (await fetch(target + "/api/whoami", { headers: { Authorization: "Bearer " + token } })).text());
  for (const mode of ["cors", "no-cors"]) {
    await attempt("post text/plain " + mode, async () =>
      (await (await fetch(post, { method: "POST", mode, body })).text()) || "blocked");
  }
  await attempt("beacon", async () => { navigator.sendBeacon(post, body); return "blocked"; });
  await attempt("websocket", () => new Promise((done) => {
    const socket = new WebSocket(target.replace("http", "ws") + "/api/stream?after_seq=0");
    socket.onmessage = (event) => done(event.data);
    socket.onopen = () => done("open");
    socket.onerror = () => done("blocked");
  }));
  await attempt("script", () => new Promise((done) => {
    const script = document.createElement("script");
    script.onload = () => done("loaded");
    script.onerror = () => done("blocked");
    script.src = target + "/page/theme.js";
    document.head.append(script);
  }));
  await attempt("image", () => new Promise((done) => {
    const image = new Image();
    image.onload = () => done("loaded");
    image.onerror = () => done("blocked");
    image.src = target + "/page/icon.svg";
  }));
  const frame = (name, src, submit) => attempt(name, () => new Promise((done) => {
    const made = document.createElement("iframe");
    made.name = name;
    document.body.append(made);
    made.onload = () => {
      try { done(made.contentDocument?.body?.innerText || "blocked"); } catch { done("blocked"); }
    };
    if (submit) submit(name);
    else made.src = src;
  }));
  await frame("iframe", target + "/");
  await frame("form", null, (name) => {
    const form = document.createElement("form");
    form.method = "post"; form.action = post; form.enctype = "text/plain"; form.target = name;
    const field = document.createElement("input");
    field.name = '{"text": "from elsewhere'; field.value = '"}';
    form.append(field);
    document.body.append(form);
    form.submit();
  });
  return told;
}
"""
"""Takes ``[target, token]``; resolves to what each try got, ``blocked`` where it got nothing."""


class _Elsewhere(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(_PAGE)))
        self.end_headers()
        self.wfile.write(_PAGE)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: what matters is what the page got."""


@contextmanager
def elsewhere() -> Iterator[int]:
    """The port on which the other site answers, whatever it is called."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Elsewhere)
    server.daemon_threads = True
    serving = threading.Thread(target=server.serve_forever, name="elsewhere")
    serving.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        serving.join(10)
        server.server_close()
