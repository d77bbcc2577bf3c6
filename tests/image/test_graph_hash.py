"""One hash for what a node depends on: the same however the graph is written down."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fvg_core.image.graph import graph_hash, upstream_texts

GRAPH = {
    "1": {"class_type": "Loader", "inputs": {"name": "a.safetensors", "strength": 1.0}},
    "2": {"class_type": "Text", "inputs": {"text": "a red circle"}},
    "3": {"class_type": "Draw", "inputs": {"model": ["1", 0], "text": ["2", 0], "seed": 7}},
    "4": {"class_type": "Pick", "inputs": {"images": ["3", 0], "choice": ""}},
    "5": {"class_type": "Save", "inputs": {"images": ["4", 0]}},
}


def changed(**inputs) -> dict:
    """The graph with other inputs, named as node_input."""
    graph = copy.deepcopy(GRAPH)
    for name, value in inputs.items():
        node, _, key = name.removeprefix("n").partition("_")
        graph[node]["inputs"][key] = value
    return graph


@given(names=st.permutations(["9", "1:2:3", "12", "a", "2"]), order=st.permutations(list(GRAPH)))
def test_names_titles_and_order_do_not_count(names, order):
    new = dict(zip(GRAPH, names, strict=True))

    def link(value):
        return [new[value[0]], value[1]] if isinstance(value, list) else value

    graph = {
        new[name]: {
            "_meta": {"title": "moved"},
            "inputs": {k: link(v) for k, v in reversed(GRAPH[name]["inputs"].items())},
            "class_type": GRAPH[name]["class_type"],
        }
        for name in order
    }
    assert graph_hash(graph, new["4"], of="images") == graph_hash(GRAPH, "4", of="images")
    assert graph_hash(graph, new["5"]) == graph_hash(GRAPH, "5")


@pytest.mark.parametrize(
    "graph",
    [
        changed(n1_name="b.safetensors"),
        changed(n1_strength=0.5),
        changed(n2_text="a blue circle"),
        changed(n3_seed=8),
        changed(n3_model=["1", 1]),
        changed(n3_more="x"),
        {**GRAPH, "2": {"class_type": "OtherText", "inputs": {"text": "a red circle"}}},
    ],
)
def test_what_lies_upstream_counts(graph):
    assert graph_hash(graph, "4", of="images") != graph_hash(GRAPH, "4", of="images")


def test_the_nodes_own_widgets_and_what_follows_do_not_count_for_an_input():
    graph = changed(n4_choice="abc: 1", n5_more=1)
    assert graph_hash(graph, "4", of="images") == graph_hash(GRAPH, "4", of="images")
    assert graph_hash(graph, "4") != graph_hash(GRAPH, "4")


def test_a_whole_number_is_the_same_with_and_without_its_point():
    assert graph_hash(changed(n1_strength=1), "5") == graph_hash(GRAPH, "5")
    assert graph_hash(changed(n3_seed=True), "5") != graph_hash(changed(n3_seed=2), "5")


def test_a_widget_that_looks_like_a_link_is_none():
    """Two numbers are a value; a link is the name of a node and a slot."""
    a, b = changed(n3_seed=[1, 0]), changed(n3_seed=[2, 0])
    assert graph_hash(a, "5") != graph_hash(b, "5")


def test_duplicates_of_a_node_are_the_same():
    twice = {**GRAPH, "6": GRAPH["1"], "7": changed(n3_model=["6", 0])["3"]}
    twice["4"] = {"class_type": "Pick", "inputs": {"images": ["7", 0], "choice": ""}}
    assert graph_hash(twice, "4", of="images") == graph_hash(GRAPH, "4", of="images")


def test_stamps_of_texts_and_classes_count_wherever_they_stand():
    plain = graph_hash(GRAPH, "5")
    assert graph_hash(GRAPH, "5", stamp=lambda text: "") == plain
    for kind in ("a.safetensors", "a red circle"):
        assert graph_hash(GRAPH, "5", stamp=lambda text, kind=kind: "new" * (text == kind)) != plain
    assert graph_hash(GRAPH, "5", files_of=lambda kind: "new" * (kind == "Loader")) != plain
    nested = changed(n1_name={"lora": ["x", {"file": "deep"}]})
    stamped = graph_hash(nested, "5", stamp=lambda text: "new" * (text == "deep"))
    assert stamped != graph_hash(nested, "5")


def test_ignored_inputs_do_not_count():
    ignored = {"Draw": frozenset({"seed"})}
    a, b = (graph_hash(g, "5", ignored=ignored) for g in (GRAPH, changed(n3_seed=8)))
    assert a == b


def test_cycles_missing_nodes_and_inputs_come_to_an_end():
    cycle = changed(n2_text=["4", 0])
    assert graph_hash(cycle, "5") != graph_hash(GRAPH, "5")
    missing = changed(n2_text=["99", 0])
    assert graph_hash(missing, "5") != graph_hash(GRAPH, "5")
    assert graph_hash(GRAPH, "4", of="nothing") == graph_hash({}, "4", of="nothing")


def test_a_long_chain():
    def chain(first: int) -> dict:
        nodes = {"0": {"class_type": "A", "inputs": {"seed": first}}}
        for i in range(1, 3000):
            nodes[str(i)] = {"class_type": "A", "inputs": {"x": [str(i - 1), 0]}}
        return nodes

    assert graph_hash(chain(1), "2999") == graph_hash(chain(1), "2999")
    assert graph_hash(chain(1), "2999") != graph_hash(chain(2), "2999")


def test_a_source_that_is_reached_on_two_ways():
    """The short way is looked at first, then last; both times all of it counts."""
    graph = changed(n4_text=["2", 0], n3_text=["6", 0])
    graph["6"] = {"class_type": "Join", "inputs": {"text": ["2", 0]}}
    other = copy.deepcopy(graph)
    other["2"]["inputs"]["text"] = "blue"
    turned = {k: {**v, "inputs": dict(reversed(v["inputs"].items()))} for k, v in graph.items()}
    assert graph_hash(graph, "5") == graph_hash(turned, "5") != graph_hash(other, "5")
    assert graph_hash(graph, "3") != graph_hash(other, "3")


def test_the_texts_upstream():
    assert set(upstream_texts(GRAPH, "4", of="images")) == {"a.safetensors", "a red circle"}
    assert not set(upstream_texts(changed(n2_text=["4", 0]), "2", of="nothing"))
