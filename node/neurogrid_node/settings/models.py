"""Models that stay, and what their use costs: [models] of node.toml."""

from dataclasses import dataclass, field
from typing import Annotated

from msgspec import Meta

from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.fields import Permille, Word
from neurogrid_marketplace.serving import MAX_MODELS, ServingTerms
from neurogrid_marketplace.units import MILLION, UnitPrices

from ..market.model_terms import ModelTerms
from .amounts import PRICE_MAX_MICRO_USDC, Usdc, amount


@dataclass(frozen=True, slots=True)
class ModelPriceConfig:
    """What the use of one model costs, decimal USDC.

    Attributes:
        input, cached_input, output: for a million tokens; cached ones: read that the server still knew.
        image, audio_second, request: for each.
    """

    input: Usdc = "0.00"
    cached_input: Usdc = "0.00"
    output: Usdc = "0.00"
    image: Usdc = "0.00"
    audio_second: Usdc = "0.00"
    request: Usdc = "0.00"

    def prices(self, model: str) -> UnitPrices:
        """As micro-USDC for a million units.

        Raises:
            InvalidValue: one is no amount, or absurd.
        """

        def read(key: str, text: str) -> int:
            return amount(f"[models.prices.{model!r}] {key}", text)

        return UnitPrices(
            input_tokens=read("input", self.input),
            cached_input_tokens=read("cached_input", self.cached_input),
            output_tokens=read("output", self.output),
            images=read("image", self.image) * MILLION,
            # A million milliseconds are a thousand seconds.
            audio_ms=read("audio_second", self.audio_second) * 1000,
            requests=read("request", self.request) * MILLION,
        )


@dataclass(frozen=True, slots=True)
class ModelsConfig:
    """Models that stay here and are paid by what is asked of them (docs/provider-operations.md).

    Attributes:
        serve: whether we take any.
        allow: ids of those that we take; empty: any that a coordinator asks for.
        retainer: USDC an hour for keeping one, used or not, whatever its size; not nothing, as each lease has an escrow.
        share_permille: how much of the most that a coordinator offers for units we ask, in thousandths.
        max_unpaid_usdc: what one client's use may come to beyond what it has signed for.
        ahead_usdc: what the use by one coordinator's clients may come to before their escrows are seen, at a time, and in a day
            where none comes.
        requests: that one replica answers at a time.
        weights_gib: how much of models' weights that no replica has is kept, those unused longest go first; 0: 30 % of the disk.
        prices: by model id, what its use costs, in place of that share.
    """

    serve: bool = False
    allow: Annotated[tuple[Word, ...], Meta(max_length=MAX_MODELS)] = ()
    retainer: Usdc = "0.001"
    share_permille: Permille = 1000
    max_unpaid_usdc: Usdc = "0.05"
    ahead_usdc: Usdc = "0.05"
    requests: Annotated[int, Meta(ge=1, le=256)] = 16
    weights_gib: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    prices: Annotated[dict[Word, ModelPriceConfig], Meta(max_length=MAX_MODELS)] = field(
        default_factory=dict
    )

    def terms(self) -> ModelTerms | None:
        """As they are bid.

        Raises:
            InvalidValue: an amount is none, or absurd.
        """
        retainer = amount("[models] retainer", self.retainer)
        if retainer > PRICE_MAX_MICRO_USDC:
            raise InvalidValue(
                f"[models] retainer: {self.retainer} USDC per hour; at most a million"
            )
        if not retainer:
            raise InvalidValue(
                "[models] retainer: at least 0.000001 USDC per hour: no escrow is opened over nothing"
            )
        prices = {model: config.prices(model) for model, config in self.prices.items()}
        terms = ModelTerms(
            offered=ServingTerms(retainer, self.allow),
            prices=prices,
            share_permille=self.share_permille,
            max_unpaid_micro_usdc=amount("[models] max_unpaid_usdc", self.max_unpaid_usdc),
            ahead_micro_usdc=amount("[models] ahead_usdc", self.ahead_usdc),
            requests=self.requests,
        )
        return terms if self.serve else None
