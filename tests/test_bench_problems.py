"""Descriptors and shape lists of the benchmark."""

from dataclasses import replace

import pytest
import torch

from benchmarks import shapes
from benchmarks.problems import ProblemError, parse


def test_a_descriptor_says_what_it_says():
    problem = parse("n2c6h16w20k8r3s5u2v1p1q2d2e1g2 channels_last x3 layer.1")
    assert problem.shapes == ((2, 6, 16, 20), (8, 3, 3, 5), (2, 8, 7, 20))
    assert (problem.stride, problem.padding, problem.dilation, problem.groups) == ((2, 1), (1, 2), (2, 1), 2)
    assert (problem.channels_last, problem.count, problem.name) == (True, 3, "layer.1")


def test_defaults_are_square_dense_and_of_stride_one():
    problem = parse("n1c2h5k3r3")
    assert problem == parse("k3r3h5c2n1s3w5u1v1p0q0d1e1g1")
    assert problem.shapes == ((1, 2, 5, 5), (3, 2, 3, 3), (1, 3, 3, 3))


@pytest.mark.parametrize("name", shapes.names())
def test_every_problem_of_every_list(name):
    """Read, written and read again; its output has the size that torch gives it; so has that of its tiny version."""
    for problem in shapes.read(name):
        assert parse(str(problem)) == replace(problem, name="", count=1)
        for each in (problem, problem.tiny(), problem.small(1 << 18)):
            x, weight, output = (torch.empty(shape, device="meta") for shape in each.shapes)
            geometry = (each.stride, each.padding, each.dilation, each.groups)
            assert torch.nn.functional.conv2d(x, weight, None, *geometry).shape == output.shape
            assert each.kind == problem.kind and each.channels_last == problem.channels_last
        assert problem.tiny().multiply_adds < 200_000
        assert problem.small(1 << 18).multiply_adds <= problem.multiply_adds


def test_the_lists_are_there():
    assert {"resnet18", "resnet50", "cifar_resnet", "vgg", "depthwise", "odd", "smoke"} <= set(shapes.names())
    kinds = {problem.kind for problem in shapes.read("odd")}
    assert {"depthwise", "grouped", "1x1", "3x3", "1x7", "7x1"} <= kinds


@pytest.mark.parametrize(
    "line, message",
    [
        ("n4c64h56k64", r"list.txt:7: expected r in n<N>.*got 'n4c64h56k64'"),
        ("n4c64h56k64r3z1", "list.txt:7: expected letters of nchwkrsuvpqdeg, got 'z'"),
        ("n4c64h56k64r3r3", "expected each letter once, got 'r' again"),
        ("n4,c64", "expected n<N>c<C>.*got 'n4,c64'"),
        ("n4c64h56k64r3g5", "g: expected a divisor of c64, got g5"),
        ("n4c10h56k64r3g5", "g: expected a divisor of k64, got g5"),
        ("n4c64h2k64r3", "expected a kernel that fits"),
        ("n4c64h8k64r3u0", "expected numbers from 1 on"),
        ("n4c64h8k64r3 x2 a b", "expected channels_last, a count x<N> and one name, got 'x2 a b'"),
    ],
)
def test_errors_name_file_line_expected_and_got(line, message, tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("\n" * 6 + line + "  # comment\n")
    with pytest.raises(ProblemError, match=message):
        shapes.read(path)


def test_unknown_and_empty_lists(tmp_path):
    with pytest.raises(ProblemError, match=r"expected one of .*resnet18.* or a file, got 'resnet19'"):
        shapes.read("resnet19")
    (tmp_path / "empty.txt").write_text("# nothing\n")
    with pytest.raises(ProblemError, match="expected at least one problem"):
        shapes.read(tmp_path / "empty.txt")


def test_terms_are_those_of_the_definition():
    problem = parse("n2c6h9k4r3u2p1g2")
    assert (problem.terms("forward"), problem.terms("grad_weight")) == (27, 2 * 25)
    assert problem.terms("grad_input") == 2 * 4  # of the residue class that meets most taps
    assert problem.multiply_adds == 2 * 4 * 25 * 27
