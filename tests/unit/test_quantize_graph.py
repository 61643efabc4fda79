"""Quantised graphs: where Q and DQ nodes stand, and how far each layer may stray by them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge.errors import ModelError
from edge.model.quantizing.effect import session
from edge.model.quantizing.fp16 import to_float16
from edge.model.quantizing.graph import points, quantized
from edge.model.quantizing.layers import Network

SIDE = 8


def conv(name: str, source: str, bias: bool = True) -> Any:
    inputs = [source, f"{name}_w", *([f"{name}_b"] if bias else [])]
    return helper.make_node("Conv", inputs, [name], name=name, pads=[1, 1, 1, 1])


def graph(nodes: Sequence[Any], weights: dict[str, NDArray[np.float32]], outputs: Sequence[str]) -> bytes:
    """A graph from ``frame``, (1, 2, SIDE, SIDE) float32, handed on as ``images``; ONNX bytes with inferred shapes."""
    made = helper.make_graph(
        [helper.make_node("Identity", ["frame"], ["images"], name="edge_in"), *nodes],
        "test",
        [helper.make_tensor_value_info("frame", TensorProto.FLOAT, [1, 2, SIDE, SIDE])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    content: bytes = onnx.shape_inference.infer_shapes(model).SerializeToString()
    return content


def weights_of(*shapes: tuple[str, int, int], seed: int = 0, kernel: int = 3) -> dict[str, NDArray[np.float32]]:
    """Weights and biases of convolutions given as (name, outputs, inputs)."""
    random = np.random.default_rng(seed)
    found: dict[str, NDArray[np.float32]] = {}
    for name, outputs, inputs in shapes:
        found[f"{name}_w"] = random.normal(size=(outputs, inputs, kernel, kernel)).astype(np.float32)
        found[f"{name}_b"] = random.normal(size=outputs).astype(np.float32)
    return found


def chain() -> bytes:
    """a -> Relu -> b, and a branch of b that is resized and joined with a's -> c; then an ``edge_`` node."""
    scales = {"scales": np.array([1, 1, 1, 1], np.float32)}
    nodes = [
        conv("a", "images"),
        helper.make_node("Relu", ["a"], ["positive"], name="relu"),
        conv("b", "positive"),
        helper.make_node("Resize", ["b", "", "scales"], ["resized"], name="resize", mode="nearest"),
        helper.make_node("Concat", ["resized", "positive"], ["joined"], name="join", axis=1),
        conv("c", "joined"),
        helper.make_node("Sigmoid", ["c"], ["score"], name="score"),
        helper.make_node("Identity", ["score"], ["out"], name="edge_out"),
    ]
    return graph(nodes, {**weights_of(("a", 3, 2), ("b", 4, 3), ("c", 2, 7)), **scales}, ["out"])


def nodes_of(content: bytes) -> dict[str, Any]:
    return {node.name: node for node in onnx.load_from_string(content).graph.node}


def constants_of(content: bytes) -> dict[str, NDArray[Any]]:
    return {i.name: numpy_helper.to_array(i) for i in onnx.load_from_string(content).graph.initializer}


def layer(network: Network, name: str) -> int:
    return next(at for at in network.layers if network.nodes[at].name == name)


RANGES = {"images": 4.0, "positive": 8.0, "resized": 1.0, "b": 16.0, "joined": 1.0}


def test_layers_and_body_are_told_from_decoding() -> None:
    network = Network(chain())
    assert [network.nodes[at].name for at in network.layers] == ["a", "b", "c"]
    assert {network.nodes[at].name for at in network.body} == {"a", "relu", "b", "resize", "join", "c"}


def test_what_only_moves_bytes_shares_one_scale() -> None:
    network = Network(chain())
    where = points(network, network.layers)
    groups = where.tensors
    assert groups["positive"] == groups["b"] == groups["resized"] == groups["joined"] != groups["images"]
    assert {network.nodes[at].name for at in where.readers} == {"a", "b", "c", "resize", "join"}
    content = quantized(chain(), network.layers, RANGES)
    steps = {name: value for name, value in constants_of(content).items() if name in {"b_step", "positive_step"}}
    assert steps == {"b_step": np.float32(16 / 127), "positive_step": np.float32(16 / 127)}


def test_a_layer_alone_quantises_its_own_input_alone() -> None:
    network = Network(chain())
    content = quantized(chain(), [layer(network, "b")], RANGES)
    nodes = nodes_of(content)
    assert [name for name, node in nodes.items() if node.op_type == "QuantizeLinear"] == ["positive/Q"]
    assert list(nodes["b"].input) == ["positive_dq", "b_weights_dq", "b_b"]
    assert list(nodes["join"].input) == ["resized", "positive"], "the float reader keeps the float value"
    before, after = constants_of(chain()), constants_of(content)
    assert all(np.array_equal(after[name], before[name]) for name in ("a_w", "c_w", "a_b", "b_b", "c_b"))
    assert "b_w" not in after


def test_weights_have_a_scale_a_channel_and_zero_points_are_zero() -> None:
    network = Network(chain())
    content = quantized(chain(), network.layers, RANGES, unsigned=("positive",))
    constants = constants_of(content)
    for name in ("a", "b", "c"):
        weights, step = constants[f"{name}_weights_q"], constants[f"{name}_weights_step"]
        assert weights.dtype == np.int8
        assert (np.abs(weights).reshape(len(weights), -1).max(axis=1) == 127).all()
        original = constants_of(chain())[f"{name}_w"]
        assert np.abs(weights * step.reshape(-1, 1, 1, 1) - original).max() <= step.max() / 2 * 1.001
    assert all(not value.any() for name, value in constants.items() if name.endswith("_zero"))
    assert not any(value.dtype == np.int32 for value in constants.values()), "biases stay float"


@pytest.mark.parametrize(
    ("unsigned", "dtype", "step"),
    [
        ((), np.int8, 16 / 127),
        (("positive",), np.int8, 16 / 127),
        (("positive", "b", "resized", "joined"), np.uint8, 16 / 255),
    ],
)
def test_uint8_needs_a_whole_group_without_negative_values(
    unsigned: tuple[str, ...], dtype: type[np.generic], step: float
) -> None:
    constants = constants_of(quantized(chain(), Network(chain()).layers, RANGES, unsigned))
    assert constants["positive_zero"].dtype == dtype
    assert constants["positive_step"] == np.float32(step)


def test_decoding_stays_as_it_was() -> None:
    before, after = nodes_of(chain()), nodes_of(quantized(chain(), Network(chain()).layers, RANGES))
    for name in ("score", "edge_out"):
        assert before[name] == after[name]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.1, 100.0))
def test_a_layer_strays_by_its_rounding_and_no_more(seed: int, scale: float) -> None:
    """|y' - y| <= sum |w'| step_x / 2 + sum |x| step_w / 2, for inputs within the range."""
    random = np.random.default_rng(seed)
    frame = random.uniform(-scale, scale, (1, 2, SIDE, SIDE)).astype(np.float32)
    weights = weights_of(("a", 3, 2), seed=seed)
    content = graph([conv("a", "images")], weights, ["a"])
    quantised = quantized(content, Network(content).layers, {"images": scale})
    exact, found = (session(c).run(["a"], {"frame": frame})[0] for c in (content, quantised))
    step_w = np.abs(weights["a_w"]).reshape(3, -1).max(axis=1) / 127
    share_x = np.abs(weights["a_w"]).reshape(3, -1).sum(axis=1) * (1 + 1 / 127) * scale / 127 / 2
    bound = share_x + 18 * scale * step_w / 2
    assert (np.abs(found - exact).max(axis=(0, 2, 3)) <= bound * 1.01).all()
    assert np.abs(found - exact).max() > 0, "something was quantised"


def test_a_graph_without_layers_is_refused() -> None:
    content = graph([helper.make_node("Relu", ["images"], ["out"], name="relu")], {}, ["out"])
    with pytest.raises(ModelError, match="no convolution"):
        Network(content)


def test_float16_ends_where_decoding_begins() -> None:
    content = to_float16(chain())
    network = Network(content)
    types = {v.name: v.type.tensor_type.elem_type for v in network.model.graph.value_info}
    halves = {name for name, kind in types.items() if kind == TensorProto.FLOAT16}
    assert halves == {f"{name}_fp16" for name in ("images", "a", "positive", "b", "resized", "joined", "c")}
    assert types["c"] == types["score"] == TensorProto.FLOAT
    assert constants_of(content)["scales"].dtype == np.float32, "ONNX wants the scales of Resize in float32"
    frame = np.random.default_rng(0).normal(size=(1, 2, SIDE, SIDE)).astype(np.float32)
    exact, found = (session(c).run(["out"], {"frame": frame})[0] for c in (chain(), content))
    assert 0 < np.abs(exact - found).max() < 0.01


def test_a_weight_beyond_float16_is_refused() -> None:
    weights = weights_of(("a", 3, 2))
    weights["a_w"][0, 0, 0, 0] = 65_520
    nodes = [conv("a", "images")]
    with pytest.raises(ModelError, match=r"'a_w' reaches 65520, beyond float16's 65504"):
        to_float16(graph(nodes, weights, ["a"]))
    weights["a_w"][0, 0, 0, 0] = 65_504
    to_float16(graph(nodes, weights, ["a"]))
