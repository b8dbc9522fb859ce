"""A server of a model that stays, as small as may be: it calls tools, writes JSON, and says what its weights are.

Sent as `python3 -c` in a container of the job image. The weights are a file below /inputs; the word in it is what it says.
"""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

WEIGHTS = Path("/inputs/deep/word.txt")
ARGUMENTS = json.dumps({"city": "Köln", "days": 3})
READ = 9


def written() -> str:
    """Whether the weights can be changed from in here."""
    try:
        WEIGHTS.write_text("poison")
    except OSError as error:
        return f"errno {error.errno}"
    return "changed"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer({"status": "well"})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        tools = asked.get("tools")
        form = asked.get("response_format", {}).get("type", "text")
        if tools and asked.get("tool_choice") != "none":
            call = {"id": "call_1", "type": "function"}
            name = tools[0]["function"]["name"]
            pieces: list[dict[str, Any]] = [
                {
                    "role": "assistant",
                    "tool_calls": [
                        {"index": 0, **call, "function": {"name": name, "arguments": ""}}
                    ],
                },
                *(
                    {"tool_calls": [{"index": 0, "function": {"arguments": letter}}]}
                    for letter in ARGUMENTS
                ),
            ]
            message: dict[str, Any] = {
                "role": "assistant",
                "content": None,
                "tool_calls": [{**call, "function": {"name": name, "arguments": ARGUMENTS}}],
            }
            finish = "tool_calls"
        else:
            told = {"word": WEIGHTS.read_text()[:6], "written": written(), "form": form}
            said = json.dumps({**told, "asked": sorted(asked)})
            pieces = [{"content": word} for word in said.split(" ")]
            message, finish = {"role": "assistant", "content": said}, "stop"
        if asked.get("stream"):
            self._stream(asked, pieces, finish)
        else:
            choice = {"index": 0, "message": message, "finish_reason": finish}
            self._answer(
                {
                    "object": "chat.completion",
                    "choices": [choice],
                    "usage": usage(len(pieces)),
                }
            )

    def _stream(self, asked: dict[str, Any], pieces: list[dict[str, Any]], finish: str) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        options = asked.get("stream_options") or {}
        for number, piece in enumerate([*pieces, {}], 1):
            choice = {
                "index": 0,
                "delta": piece,
                "finish_reason": finish if not piece else None,
            }
            event: dict[str, Any] = {"object": "chat.completion.chunk", "choices": [choice]}
            if options.get("continuous_usage_stats"):
                event["usage"] = usage(min(number, len(pieces)))
            self._event(event)
        if options.get("include_usage"):
            self._event(
                {"object": "chat.completion.chunk", "choices": [], "usage": usage(len(pieces))}
            )
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def _event(self, value: dict[str, Any]) -> None:
        self.wfile.write(b"data: " + json.dumps(value).encode() + b"\n\n")

    def _answer(self, value: dict[str, Any]) -> None:
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def usage(count: int) -> dict[str, int]:
    return {"prompt_tokens": READ, "completion_tokens": count, "total_tokens": READ + count}


if __name__ == "__main__":
    ThreadingHTTPServer(("0.0.0.0", 8000), Handler).serve_forever()
