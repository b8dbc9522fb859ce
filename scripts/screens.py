"""Makes docs/screens/: each command of `neurogrid` as a terminal shows it, typed into tmux on a devnet.

``.venv/bin/python scripts/screens.py [NAME...]``; needs tmux and a Docker engine. Ids and hashes are those of that run.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

SCREENS: Final = Path(__file__).parent.parent / "docs" / "screens"
_COLUMNS, _ROWS = 116, 48
# More than this of a screen nobody reads.
_LINES_MAX = 44
_TIMEOUT_S = 120
_MARKET = "/tmp/market"
_JOB = "neurogrid/job:1 --cpu 1 --ram 0.5 --max-price 0.10"

# What is typed, in this order; a line whose name begins with `-` is typed and not shown.
TYPED: Final[tuple[tuple[str, str], ...]] = (
    ("devnet-up", f"neurogrid devnet up --nodes 2 --detach --data {_MARKET}"),
    ("devnet-status", f"neurogrid devnet status --data {_MARKET}"),
    (
        "-",
        f"key=$(python3 -c \"import json; print(json.load(open('{_MARKET}/network.json'))['api_key'])\")",
    ),
    (
        "-",
        f"url=$(python3 -c \"import json; print(json.load(open('{_MARKET}/network.json'))['api_url'])\")",
    ),
    ("configure", "neurogrid configure --api-key=$key --api-url=$url"),
    ("-", "neurogrid configure --profile work --api-key=$key --api-url=$url --no-check"),
    ("configure-list", "neurogrid configure list"),
    ("configure-show", "neurogrid configure show"),
    ("configure-use", "neurogrid configure use work"),
    ("configure-delete", "neurogrid configure delete work"),
    ("-", f"export NEUROGRID_NETWORK={_MARKET}/network.json"),
    ("help", "neurogrid"),
    ("completion", "neurogrid completion bash | head -6"),
    ("dashboard", "neurogrid dashboard --no-open"),
    ("nodes", "neurogrid nodes"),
    (
        "-",
        "node=$(neurogrid nodes --json | python3 -c \"import json, sys; print(json.load(sys.stdin)['nodes'][0]['id'])\")",
    ),
    ("explain", "neurogrid explain --cpu 64 --ram 1 --max-price 0.10"),
    ("estimate", "neurogrid estimate --cpu 1 --ram 1 --max-price 0.10"),
    ("submit", f"neurogrid submit {_JOB} --name hello --follow -- python3 -c 'print(\"hello\")'"),
    (
        "-",
        f'task=$(neurogrid submit {_JOB} --name squares --wait --json -- python3 -c \'open("/outputs/squares.txt", "w").write("0 1 4 9")\' | python3 -c "import json, sys; print(json.load(sys.stdin)[\'id\'])")',
    ),
    ("task-submit", 'neurogrid task submit --model=gpt-4 --input="Hello, world!"'),
    (
        "task-monitor",
        f"neurogrid task monitor $(neurogrid submit {_JOB} -- sh -c 'for n in 25 50 75 100; do echo NEUROGRID_PROGRESS 0.$n; sleep 1; done' 2>/dev/null)",
    ),
    ("list", "neurogrid list"),
    ("status", "neurogrid status $task"),
    (
        "logs",
        "neurogrid logs $(neurogrid list --name hello --json | python3 -c \"import json, sys; print(json.load(sys.stdin)['tasks'][0]['id'])\")",
    ),
    ("outputs", "neurogrid outputs $task -o results"),
    ("task-metrics", "neurogrid task metrics $task"),
    ("task-execute", "neurogrid task execute $task"),
    (
        "-",
        "long=$(neurogrid submit neurogrid/job:1 --cpu 1 --ram 0.5 --max-price 0.10 --interactive -- sleep 300)",
    ),
    ("exec", "neurogrid exec $long -- cat /proc/loadavg"),
    ("cancel", "neurogrid cancel $long"),
    ("operation-list", "neurogrid operation list"),
    ("events", "neurogrid events | tail -12"),
    ("receipt", "neurogrid receipt $task -o receipt.json --wait 60"),
    ("verify", "neurogrid verify receipt.json"),
    ("receipts-list", "neurogrid receipts list"),
    ("receipts-download", "neurogrid receipts download $task"),
    ("generate", 'neurogrid generate bard-1m "To be, or not" --max-tokens 40'),
    ("models-list", "neurogrid models list"),
    ("models-show", "neurogrid models show bard-1m"),
    ("providers-search", "neurogrid providers search"),
    ("reputation", "neurogrid reputation $node"),
    ("evidence", "neurogrid evidence $node"),
    ("prices", "neurogrid prices"),
    ("constraints", "neurogrid constraints | head -24"),
    ("account", "neurogrid account"),
    ("funds-balance", "neurogrid funds balance"),
    ("billing-balance", "neurogrid billing balance"),
    ("billing-history", "neurogrid billing history"),
    ("billing-invoices", "neurogrid billing invoices"),
    ("usage", "neurogrid usage"),
    ("limits-set", "neurogrid limits set --monthly-budget 100"),
    ("limits-show", "neurogrid limits show"),
    ("stats", "neurogrid stats"),
    ("resources-gpu", "neurogrid resources gpu"),
    ("audit", "neurogrid audit | tail -8"),
    ("errors-list", "neurogrid errors list"),
    ("api-keys-list", "neurogrid api-keys list"),
    ("api-keys-create", "neurogrid api-keys create --name nightly --expires-in 90d"),
    ("webhooks-events", "neurogrid webhooks events"),
    (
        "webhooks-create",
        "neurogrid webhooks create https://your-app.com/webhook --event task.completed",
    ),
    ("webhooks-list", "neurogrid webhooks list"),
    (
        "webhooks-test",
        "neurogrid webhook test --url=https://your-app.com/webhook --event=task.complete",
    ),
    ("apps-list", "neurogrid apps list"),
    ("workflow-list", "neurogrid workflow list"),
    ("batch-list", "neurogrid batch list"),
    ("schedule-list", "neurogrid schedule list"),
    ("keys-list", "neurogrid keys list"),
    ("provider-earnings", "neurogrid provider earnings"),
    ("provider-resources", "neurogrid provider resources"),
    ("provider-stake", "neurogrid provider stake"),
    ("error-id", "neurogrid status task_00000000000000000000000000000000"),
    ("error-word", "neurogrid recepits"),
    ("devnet-logs", f"neurogrid devnet logs --data {_MARKET} | tail -6"),
    ("devnet-down", f"neurogrid devnet down --data {_MARKET}"),
)


def main(wanted: list[str]) -> None:
    SCREENS.mkdir(exist_ok=True)
    shutil.rmtree(_MARKET, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="ng-") as home:
        terminal = Terminal(home)
        try:
            for name, line in TYPED:
                shown = terminal.types(line)
                if not name.startswith("-") and (not wanted or name in wanted):
                    (SCREENS / f"{name}.svg").write_text(picture(shown, line.split(" | ")[0][:60]))
        finally:
            terminal.close()


class Terminal:
    """A shell in tmux, which says when it is ready for the next line."""

    def __init__(self, home: str) -> None:
        self._socket = ("tmux", "-L", "screens", "-f", os.devnull)
        environment = {
            "HOME": home,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PS1": "$ ",
            "TERM": "screen-256color",
            "PROMPT_COMMAND": "tmux -L screens wait-for -S ready",
        }
        shell = ("env", "-i", *(f"{name}={value}" for name, value in environment.items()))
        size = ("-x", str(_COLUMNS), "-y", str(_ROWS))
        self._tmux("new-session", "-d", *size, "-c", home, *shell, "bash", "--norc", "--noprofile")
        self._wait()

    def types(self, line: str) -> str:
        """Type a line on an empty screen; what stands there when the next one may come, with its colours."""
        self._tmux("send-keys", "-l", "clear")
        self._tmux("send-keys", "Enter")
        self._wait()
        self._tmux("clear-history")
        self._tmux("send-keys", "-l", line)
        self._tmux("send-keys", "Enter")
        self._wait()
        return self._tmux("capture-pane", "-e", "-p", "-S", "-400")

    def close(self) -> None:
        self._tmux("kill-server")

    def _wait(self) -> None:
        self._tmux("wait-for", "ready")

    def _tmux(self, *words: str) -> str:
        done = subprocess.run(
            [*self._socket, *words], check=True, capture_output=True, text=True, timeout=_TIMEOUT_S
        )
        return done.stdout


def picture(shown: str, title: str) -> str:
    """The screen as SVG, without the prompt that follows."""
    lines = shown.rstrip().splitlines()
    while lines and lines[-1].strip() in {"$", ""}:
        lines.pop()
    if len(lines) > _LINES_MAX:
        lines = [*lines[:_LINES_MAX], "…"]
    # What is drawn is kept, and printed nowhere.
    with open(os.devnull, "w") as nowhere:
        console = Console(
            record=True, width=_COLUMNS, file=nowhere, force_terminal=True, color_system="truecolor"
        )
        console.print(Text.from_ansi("\n".join(lines)), soft_wrap=True)
    # Its fonts would come from another host.
    svg = console.export_svg(title=title, unique_id="screen")
    return "\n".join(part for part in svg.splitlines() if "cdnjs" not in part) + "\n"


if __name__ == "__main__":
    main(sys.argv[1:])
