"""The status page's HTML: from what ``status`` read to text. Pure; no scripts, no foreign assets."""

from collections.abc import Iterable
from pathlib import Path

from neurogrid_contracts.ledger.ledger import Commitment
from neurogrid_contracts.ledger.markup import Content, Html, element
from neurogrid_contracts.ledger.narration import (
    Detail,
    Names,
    Step,
    Story,
    address_detail,
    describe_holdings,
    sol,
    tell,
    time_text,
)
from neurogrid_contracts.ledger.status import AddressView, Listed, Overview

STYLE = (Path(__file__).parent / "status.css").read_text()
_SIGNATURE_CHARS_SHOWN = 16
_BRIEF_CHARS_MAX = 48
# Seconds between two loads of a page that was asked to follow the chain.
FOLLOW_S = 2


def overview_page(view: Overview, *, follow: bool) -> str:
    tiles = [
        *((f"{commitment.value} slot", f"{view.slots[commitment]:,}") for commitment in Commitment),
        ("transactions", f"{view.transactions:,}"),
        ("accounts", f"{view.accounts:,}"),
        ("length of a slot", f"{view.slot_ms} ms"),
    ]
    follow_link = (
        element("a", "stop following", href="/")
        if follow
        else element("a", f"follow, every {FOLLOW_S} s", href="/?follow=1")
    )
    programs = [address_detail("program", each, view.names) for each in view.programs]
    return _page(
        "NeuroGrid ledger",
        _faults(view.faults),
        element(
            "div",
            [
                element("div", element("b", value), element("span", label), class_="panel tile")
                for label, value in tiles
            ],
            class_="tiles",
        ),
        element("p", f"Its clock says {time_text(view.unix_time)}. ", follow_link, class_="soft"),
        element("h2", "Recent transactions"),
        _transactions(view.recent, view.names),
        element("h2", "Programs"),
        element("div", _details(programs), class_="panel"),
        element("h2", "How to reach it"),
        element(
            "div",
            _details([_reach(key, str(value)) for key, value in view.info.items()]),
            class_="panel",
        ),
        element("h2", "Test money"),
        element(
            "pre",
            f"solana airdrop 10 YOUR_ADDRESS --url {view.info.get('rpc_url', '')}\n"
            f"curl {view.info.get('rpc_url', '')} -H 'content-type: application/json' -d "
            '\'{"jsonrpc":"2.0","id":1,"method":"neurogrid_requestUsdc",'
            '"params":["YOUR_ADDRESS",1000000]}\'',
            class_="panel",
        ),
        follow=follow,
    )


def _faults(faults: dict[str, int]) -> Content:
    if not faults:
        return None
    shown = ", ".join(f"{name.replace('_', ' ')} {percent} %" for name, percent in faults.items())
    return element(
        "p",
        element("b", "Faults are on, on purpose: ", class_="mild"),
        shown,
        class_="panel warning",
    )


def _reach(key: str, value: str) -> Detail:
    label = key.replace("_", " ")
    if key in ("usdc_mint", "faucet", "program_id"):
        return Detail(label, value, value)
    return Detail(label, value)


def transaction_page(listed: Listed, names: Names) -> str:
    story = tell(listed.stored, names)
    facts = [
        Detail("signature", story.signature),
        Detail("slot", f"{story.slot:,}"),
        Detail("time", time_text(story.unix_time)),
        Detail("commitment", listed.commitment.value),
        Detail("fee", sol(story.fee_lamports)),
        Detail("compute units", f"{story.units:,}"),
    ]
    return _page(
        "Transaction",
        element("h1", "Transaction ", _outcome(story)),
        _error(story),
        element("div", _details(facts), class_="panel"),
        element("h2", "Instructions"),
        [_step(each) for each in story.steps],
        element("h2", "Who has more, who has less"),
        element("div", _details(story.changes) if story.changes else "Nobody.", class_="panel"),
        element("h2", "Log"),
        element("pre", "\n".join(story.logs), class_="panel"),
    )


def address_page(view: AddressView, names: Names) -> str:
    name = names.of(str(view.address))
    facts = [Detail("address", str(view.address))]
    kind = "address without an account"
    if view.account is not None:
        kind, holdings = describe_holdings(view.account, names)
        facts += [
            Detail("holds", sol(view.account.lamports)),
            address_detail("owner program", str(view.account.owner), names),
            Detail("data", f"{len(view.account.data):,} bytes"),
            *holdings,
        ]
    title = kind[0].upper() + kind[1:]
    return _page(
        title,
        element("h1", title, f": {name}" if name else None),
        element("div", _details(facts), class_="panel"),
        element("h2", "Recent transactions"),
        _transactions(view.recent, names),
    )


def missing_page(what: str) -> str:
    return _page("Not found", element("h1", "Not found"), element("p", what))


def _transactions(recent: Iterable[Listed], names: Names) -> Content:
    shown = [_transaction(each, names) for each in recent]
    return shown or element("p", "None yet.", class_="soft")


def _transaction(listed: Listed, names: Names) -> Html:
    story = tell(listed.stored, names)
    settled = "good" if listed.commitment is Commitment.FINALIZED else "mild"
    return element(
        "div",
        element(
            "div",
            element(
                "a",
                element("code", f"{story.signature[:_SIGNATURE_CHARS_SHOWN]}…"),
                href=f"/tx/{story.signature}",
            ),
            _outcome(story),
            element("span", listed.commitment.value, class_=settled),
            element("span", f"slot {story.slot:,}, {time_text(story.unix_time)}", class_="when"),
            class_="head",
        ),
        _error(story),
        [_brief(each) for each in story.steps if each.program.text != "Compute Budget"],
        class_="panel transaction",
    )


def _brief(step: Step) -> Html:
    """One line: the program, what it did, and the amounts."""
    amounts = [each for each in step.details if each.address is None and each.label != "data"]
    return element(
        "div",
        element("span", f"{step.program.text} ", class_="soft"),
        element("span", step.action.replace("_", " "), class_="does"),
        " ",
        ", ".join(f"{each.label} {_short(each.text)}" for each in amounts),
    )


def _short(text: str) -> str:
    return text if len(text) <= _BRIEF_CHARS_MAX else f"{text[:_BRIEF_CHARS_MAX]}…"


def _step(step: Step) -> Html:
    return element(
        "div",
        element(
            "div",
            _value(step.program),
            element("span", step.action.replace("_", " "), class_="does"),
            class_="head",
        ),
        _details(step.details),
        element("div", [_step(each) for each in step.inner], class_="inner")
        if step.inner
        else None,
        class_="panel step",
    )


def _outcome(story: Story) -> Html:
    if story.error is None:
        return element("span", "succeeded", class_="good")
    return element("span", "failed", class_="bad")


def _error(story: Story) -> Content:
    if story.error is None:
        return None
    return element("p", element("b", story.error, class_="bad"), " ", story.advice)


def _details(details: Iterable[Detail]) -> Html:
    return element(
        "dl", [(element("dt", each.label), element("dd", _value(each))) for each in details]
    )


def _value(detail: Detail) -> Content:
    if detail.address is None:
        return detail.text
    return element("a", detail.text, href=f"/address/{detail.address}", class_="address")


def _page(title: str, *content: Content, follow: bool = False) -> str:
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", http_equiv="refresh", content=str(FOLLOW_S)) if follow else None,
        element("title", title),
        element("link", rel="stylesheet", href="/status.css"),
    )
    header = element(
        "header",
        element("a", "NeuroGrid ledger", href="/"),
        element(
            "form",
            element("input", name="q", placeholder="signature or address", aria_label="Find"),
            element("button", "Find"),
            action="/find",
        ),
    )
    body = element("body", header, element("main", content))
    return "<!doctype html>" + element("html", head, body, lang="en")
