"""Orders as strings and trees: the core's trees are the oracle's."""

import pytest

from fpdet import order, reference
from fpdet._tree import Tree

TREES = [
    order.sequential,
    order.reverse,
    order.blocked(3),
    order.pairwise(),
    order.split(4),
    order.strided(3),
    order.shuffled(5),
    order.split(4).shuffled(7),
]


@pytest.mark.parametrize("each", TREES)
def test_trees_are_the_oracle_s(each):
    for n in (*range(1, 66), 1000):
        assert str(each.tree(n)) == reference.tree_text(reference.tree(str(each), n))


@pytest.mark.parametrize("each", TREES)
def test_every_term_once(each):
    assert sorted(each.tree(100).leaves()) == list(range(100))


def test_text():
    assert str(order.sequential.tree(4)) == "(((0 1) 2) 3)"
    assert str(order.reverse.tree(4)) == "(((3 2) 1) 0)"
    assert str(order.pairwise().tree(5)) == "(((0 1) (2 3)) 4)"
    assert str(order.split(2).tree(5)) == "((0 1) ((2 3) 4))"
    assert str(order.strided(2).tree(5)) == "(((0 2) 4) (1 3))"


def test_equal_up_to_swapped_children():
    assert Tree.from_nested(((0, 1), 2)) == Tree.from_nested((2, (1, 0)))
    assert Tree.from_nested(((0, 1), 2)) != Tree.from_nested((0, (1, 2)))
    assert order.sequential.tree(9) != order.pairwise().tree(9)


def test_orders_are_their_text():
    assert order.blocked(64) == "blocked(64)"
    assert order.parse("split(4) . shuffled(7)") == order.split(4).shuffled(7)
    assert order.shuffled(3, vary="call") == "shuffled(3,vary=call)"


@pytest.mark.parametrize("word", ["kahan", "neumaier", "exact", "shuffled(3,vary=call)"])
def test_what_is_no_tree_raises(word):
    with pytest.raises(ValueError, match="one tree"):
        order.parse(word).tree(4)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: order.blocked(0), ValueError, "blocked"),
        (lambda: order.blocked(2.0), TypeError, "float"),
        (lambda: order.split(True), TypeError, "bool"),
        (lambda: order.blocked(4).shuffled(1), ValueError, "split"),
        (lambda: order.shuffled(2**64), ValueError, "seed"),
        (lambda: order.sequential.tree(0), ValueError, "n"),
    ],
)
def test_refusals(make, error, words):
    with pytest.raises(error, match=words):
        make()


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_draws(tmp_path, suffix):
    pytest.importorskip("matplotlib")
    path = tmp_path / f"tree.{suffix}"
    order.blocked(4).tree(30).draw(path)
    head = path.read_bytes()[:8]
    assert head.startswith(b"\x89PNG" if suffix == "png" else b"<?xml")
