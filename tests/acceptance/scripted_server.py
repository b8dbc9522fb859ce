"""A model's server that stops where its request says: runs in the job image, and is started with this file's text.

The prompt is JSON: ``tokens`` that it writes, ``hold`` ("before" the head, in the "middle", at the "end": when the text has
ended, and before it says so) and for how many ``seconds``. Each thing that it is asked is a line of its log.
"""

import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

READ = 7
BEFORE, MIDDLE, END = "before", "middle", "end"


class Handler(BaseHTTPRequestHandler):
    """One request."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        wanted = json.loads(asked["prompt"])
        tokens, where = wanted["tokens"], wanted.get("hold", "")
        print("asked", wanted.get("name", ""), flush=True)

        def hold(here: str) -> None:
            if here == where:
                time.sleep(wanted["seconds"])

        hold(BEFORE)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for number in range(1, tokens + 1):
            self.say(number, [{"index": 0, "text": f"w{number} ", "finish_reason": None}])
            if number == tokens // 2:
                hold(MIDDLE)
        hold(END)
        self.say(tokens, [{"index": 0, "text": "", "finish_reason": "stop"}])
        self.say(tokens, [])
        self.wfile.write(b"data: [DONE]\n\n")

    def say(self, written: int, choices: list[dict[str, object]]) -> None:
        usage = {
            "prompt_tokens": READ,
            "completion_tokens": written,
            "total_tokens": READ + written,
        }
        event = {"object": "text_completion", "choices": choices, "usage": usage}
        self.wfile.write(b"data: " + json.dumps(event).encode() + b"\n\n")

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    ThreadingHTTPServer(("0.0.0.0", 8000), Handler).serve_forever()
