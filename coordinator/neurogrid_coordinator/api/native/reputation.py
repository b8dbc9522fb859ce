"""``/nodes/{id}/reputation``: what a node's score is made of."""

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, FastAPI, Query
from starlette.responses import Response

from neurogrid_marketplace.money import format_usdc
from neurogrid_marketplace.reputation import HALF_LIFE_MS, Line
from neurogrid_marketplace.standing import NEUTRAL_SCORE_PERMILLE

from ...services.nodes import NodeReputation, Nodes
from ...trust.spot_checks import Commitment
from ..auth import Caller, Gate
from ..envelope import iso, success
from ..openapi import Schemas, errors
from ..paths import API
from .node_schemas import (
    CommitmentListView,
    CommitmentView,
    EvidenceListView,
    EvidenceView,
    FindingView,
    ReputationView,
)

_DAY_MS = 24 * 3_600_000
_LINES_MAX = 200


def add_reputation_route(app: FastAPI, nodes: Nodes, gate: Gate, schemas: Schemas) -> None:
    """Add the route."""

    @app.get(
        f"{API}/nodes/{{node_id}}/reputation",
        tags=["Nodes"],
        summary="Explain a node's score",
        response_class=Response,
        responses={
            200: schemas.answer(ReputationView, "With what each finding does to it."),
            **errors("INVALID_REQUEST", "UNAUTHORIZED", "NOT_FOUND"),
        },
    )
    async def get_reputation(
        node_id: str,
        _: Annotated[Caller, Depends(gate.for_everybody)],
        limit: Annotated[int, Query(ge=1, le=_LINES_MAX)] = 50,
    ) -> Response:
        """Also of a node that is not connected, if anything was ever found out about it. The score
        moves only by what this coordinator has verified itself; docs/verification.md has the rules.
        """
        return success(_view(node_id, await nodes.reputation(node_id), limit))


def add_evidence_route(app: FastAPI, nodes: Nodes, gate: Gate, schemas: Schemas) -> None:
    """Add the route."""

    @app.get(
        f"{API}/nodes/{{node_id}}/evidence",
        tags=["Nodes"],
        summary="What was found out about a node's hardware",
        response_class=Response,
        responses={
            200: schemas.answer(EvidenceListView, "Newest first; empty if there is nothing."),
            **errors("INVALID_REQUEST"),
        },
    )
    async def get_evidence(
        node_id: str,
        _: Annotated[None, Depends(gate.anybody)],
        limit: Annotated[int, Query(ge=1, le=_LINES_MAX)] = 50,
    ) -> Response:
        """Without a key. Facts such as a challenge that it passed or failed, or a GPU that another
        node offers too. Whether they count in its score says the node's reputation."""
        found = await nodes.evidence(node_id, limit)
        views = [
            EvidenceView(iso(item.finding.at_ms), item.finding.kind.value, dict(item.details))
            for item in found
        ]
        return success(EvidenceListView(node_id, views))


def add_challenge_evidence_route(app: FastAPI, nodes: Nodes, gate: Gate, schemas: Schemas) -> None:
    """Add the route."""

    @app.get(
        f"{API}/challenges/{{challenge_id}}/evidence",
        tags=["Nodes"],
        summary="Get the signed evidence of a challenge",
        response_class=Response,
        responses={
            200: {
                "description": "The file, byte for byte; check it with `neurogrid verify-evidence`."
            },
            **errors("NOT_FOUND"),
        },
    )
    async def get_challenge_evidence(
        challenge_id: str, _: Annotated[None, Depends(gate.anybody)]
    ) -> Response:
        """Without a key. What a node was asked, its answer, and what both sides signed; the newest
        of each node are kept. Which challenges there were says the node's evidence."""
        data = await nodes.challenge_evidence(challenge_id)
        name = f'attachment; filename="evidence-{challenge_id}.json"'
        return Response(data, media_type="application/json", headers={"Content-Disposition": name})


def add_commitment_route(
    app: FastAPI, commitments: Callable[[], list[Commitment]], schemas: Schemas
) -> None:
    """Add the route."""

    @app.get(
        f"{API}/verification/commitments",
        tags=["Status"],
        summary="What spot checks are drawn with",
        response_class=Response,
        responses={200: schemas.answer(CommitmentListView, "Oldest day first.")},
    )
    async def get_commitments() -> Response:
        """Without a key. A day's commitment is public a week ahead, its secret two days after; with
        it anybody can repeat the draw of a task that ended on that day (UTC)."""
        days = [
            CommitmentView(iso(item.day * _DAY_MS)[:10], item.commitment, item.secret)
            for item in commitments()
        ]
        return success(CommitmentListView(days))


def _view(node_id: str, found: NodeReputation, limit: int) -> ReputationView:
    tally = found.reputation.tally
    lines = found.reputation.lines
    stake = found.stake_micro_usdc
    return ReputationView(
        node_id=node_id,
        score=tally.score_permille,
        neutral_score=NEUTRAL_SCORE_PERMILLE,
        performance_score=tally.score_permille / 10,
        suspended=tally.suspended,
        stake=None if stake is None else format_usdc(stake),
        half_life_days=HALF_LIFE_MS // _DAY_MS,
        tasks_completed=found.completed,
        verified_share=found.verified_share,
        counts={kind.value: number for kind, number in found.counts.items()},
        findings=[_finding_view(line) for line in lines[:limit]],
        total=sum(found.counts.values()),
    )


def _finding_view(line: Line) -> FindingView:
    finding = line.finding
    return FindingView(
        at=iso(finding.at_ms),
        kind=finding.kind.value,
        outcome=finding.outcome.value if finding.outcome else None,
        reason=line.reason,
        remembered=line.remembered_permille / 1000,
        effect=line.effect_permille,
        scored=line.scored,
    )
