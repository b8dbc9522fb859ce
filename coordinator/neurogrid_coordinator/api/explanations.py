"""How an `Explanation` of the market is shown."""

from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.explain import Explanation
from neurogrid_marketplace.money import format_usdc


def explanation_view(explanation: Explanation) -> dict[str, Json]:
    """The explanation as JSON, with its one-line summary."""
    price = explanation.clearing_price_micro_usdc_per_hour
    relaxation = explanation.relaxation
    return {
        "summary": explanation.sentence(),
        "nodes": explanation.nodes,
        "matching": explanation.matching,
        "survivors": [
            {"constraint": item.constraint, "left": item.left} for item in explanation.survivors
        ],
        "nearest": [
            {"node_id": miss.node_id, "reasons": list(miss.reasons)} for miss in explanation.nearest
        ],
        "clearing_price_per_hour": None if price is None else format_usdc(price),
        "relaxation": (
            None
            if relaxation is None
            else {
                "constraint": relaxation.constraint,
                "nodes": relaxation.nodes,
                "steps": [
                    {"constraint": step.constraint, "nodes": step.nodes}
                    for step in relaxation.steps
                ],
            }
        ),
        "declines": dict(explanation.declines),
    }
