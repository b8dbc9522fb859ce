"""The catalogue of models: what it says of a mistake, and the one that is shipped."""

from pathlib import Path

import pytest

from neurogrid_coordinator.models_config import ModelsConfig, read_catalogue
from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.model_catalogue import parse_catalogue
from neurogrid_marketplace.model_server import Route

_ENTRY = """[[model]]
id = "one"
name = "One"
type = "text"
category = "generation"
image = "neurogrid/one:1"
needs = { memory_gb = 1 }
price = { max_usdc_per_hour = "1" }
"""
_SERVED = (
    _ENTRY
    + """[model.unit_price]
output_per_million = "0.1"
[model.server]
routes = ["/v1/completions"]
"""
)


def test_a_server_has_the_name_of_its_model_and_a_port_that_a_job_can_have() -> None:
    (model,) = parse_catalogue(_SERVED, "f.toml").models
    assert model.server is not None
    assert (model.name_at_server, model.server.routes) == ("one", (Route.COMPLETIONS,))
    service = model.server.service()
    assert (service.port, service.health, service.start_s) == (8000, "/health", 600)
    (named,) = parse_catalogue(_SERVED + 'name = "org/One"', "f.toml").models
    assert named.name_at_server == "org/One"


def test_the_shipped_catalogue_is_read_where_the_operator_names_none(tmp_path: Path) -> None:
    shipped = ModelsConfig().settings(tmp_path).catalogue
    assert "bard-1m" in shipped.ids
    # No name of somebody else's model stands for one of ours, unless an operator says so.
    assert not any(model.aliases for model in shipped.models)
    (tmp_path / "mine.toml").write_text(_ENTRY)
    assert read_catalogue("mine.toml", tmp_path).ids == ("one",)
    with pytest.raises(InvalidValue, match=r"nowhere\.toml"):
        read_catalogue("nowhere.toml", tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model = [", "f.toml: not TOML"),
        ("models = []", "f.toml: Object contains unknown field `models`"),
        (_ENTRY + _ENTRY, "f.toml: model[1]: one: one is also a name of one"),
        (
            _ENTRY + 'aliases = ["two"]\n'.join(["", _ENTRY.replace('"one"', '"two"')]),
            "f.toml: model[1]: two: two is also a name of one",
        ),
        (
            _ENTRY.replace("text", "smell"),
            "f.toml: model[0] (one): type: 'smell' is none of text, image, audio, embedding",
        ),
        (
            _ENTRY.replace("memory_gb = 1", "memory_gb = 0"),
            "f.toml: model[0] (one): needs.memory_gb: Expected `float` > 0",
        ),
        (_ENTRY.replace('"1"', '"-1"'), 'price.max_usdc_per_hour: is USDC in quotes, as "0.10"'),
        (_ENTRY.replace('"1"', "1"), 'price.max_usdc_per_hour: is USDC in quotes, as "0.10"'),
        (_ENTRY + "colour = 1", "f.toml: model[0] (one): there is no 'colour'"),
        (_ENTRY + "timeout = 1", "there is no 'timeout'; was 'timeout_s' meant?"),
        (_SERVED + "idle = 1", "server: there is no 'idle'; was 'idle_s' meant?"),
        (_SERVED + 'features = ["penalty"]', "was 'penalties' meant?"),
        (
            _SERVED + 'weights = { source = "x", size_gb = 1, cache_path = "/w" }',
            'server.weights.cache_path: is "/inputs" or a folder below it',
        ),
        (
            _ENTRY.replace("neurogrid/one:1", "One Image"),
            'image: is an image, as "registry/name:tag"',
        ),
        (_ENTRY.replace('"one"', '"one model"'), 'id: is a name such as "makers/model-7b"'),
        (_ENTRY + 'aliases = ["a b"]', 'aliases[0]: has names such as "makers/model-7b"'),
        (_ENTRY.replace('image = "neurogrid/one:1"', ""), "missing required field `image`"),
        ("model = [3]", "f.toml: model[0]: Expected `object`"),
        (_ENTRY.replace("price", "# price"), "price is missing: what a task with it costs"),
        (_ENTRY + "tasks = false", "server is missing"),
        (_ENTRY + 'server = { routes = ["/v1/completions"] }', "unit_price is missing"),
        (
            _SERVED.replace("/v1/completions", "/v1/images/generations"),
            "a model of type text serves",
        ),
        (
            _SERVED.replace("/v1/completions", "/v2/x"),
            "server.routes[0]: '/v2/x' is none of /v1/chat/completions,",
        ),
        (_SERVED.replace("output_per_million", "per_image"), "type text has no image to pay for"),
        (_SERVED + "replicas_max = 1\nreplicas_min = 2", "replicas_min is above replicas_max"),
        (_SERVED + "port = 3128", "port 3128 is the one of the node's proxy"),
        (_SERVED + 'features = ["seed", "seed"]', "features: one stands there twice"),
        (
            _ENTRY.replace("memory_gb = 1", 'memory_gb = 1, compute_capability = "8.0"'),
            "say vram_gb",
        ),
    ],
)
def test_a_mistake_is_told_with_file_entry_and_field(text: str, words: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        parse_catalogue(text, "f.toml")
    assert words in str(caught.value)
