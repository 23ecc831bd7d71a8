"""Parsers of options, a value at a time, and that what `config` lists is complete and fits them."""

import dataclasses
import math
import re

import numpy as np
import pytest

from nst_manual import options
from nst_manual.config import LARGEST_SIZE, CommandConfig, ObjectiveConfig, command_config, objective_config
from nst_manual.errors import UsageError
from nst_manual.presets import PRESETS

HUGE = 10**400  # a whole number that no float can hold
NAN, INF = float("nan"), float("inf")
FIELDS = {field.name: field for field in dataclasses.fields(CommandConfig)}


def assert_refused(parse, value, expected):
    """The parser raises a `UsageError` about the flag that says what was expected."""
    with pytest.raises(UsageError) as caught:
        parse("--thing", value)
    assert caught.value.what.startswith("--thing")
    assert expected in caught.value.cause


# -- whole numbers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [8, "8", 8.0, np.int64(8), " 8 ", "+8", np.float32(8)])
def test_whole_numbers(value):
    found = options.whole(8, 20)("--thing", value)
    assert found == 8
    assert type(found) is int


def test_whole_numbers_include_both_ends():
    parse = options.whole(8, 20)
    assert (parse("--thing", 8), parse("--thing", 20)) == (8, 20)
    for value in (7, 21, "7", "21", -8, 0, HUGE, -HUGE):
        assert_refused(parse, value, "a whole number from 8 to 20, got")


@pytest.mark.parametrize(
    "value",
    [
        8.5,
        "8.5",
        "8.0",
        "",
        " ",
        "eight",
        "8px",
        "1e1",
        NAN,
        INF,
        -INF,
        "nan",
        "inf",
        None,
        [8],
        (8,),
        {},
        8j,
    ],
)
def test_what_is_no_whole_number(value):
    assert_refused(options.whole(1, 20), value, "a whole number from 1 to 20, got")


@pytest.mark.parametrize("value", [np.float32(8.5), np.float16(8.5), np.float64(8.5)])
def test_fractions_of_numpy_are_no_whole_numbers_either(value):
    assert_refused(options.whole(1, 20), value, "a whole number")


@pytest.mark.parametrize("value", [True, False])
def test_a_truth_value_is_no_whole_number(value):
    assert_refused(options.whole(0, 20), value, "a whole number")


def test_a_text_of_ten_thousand_digits_is_refused():
    assert_refused(options.whole(0, 20), "9" * 10_000, "a whole number")


# -- real numbers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0.5, "0.5", "5e-1", ".5", np.float32(0.5), np.float64(0.5), " 0.5 "])
def test_real_numbers(value):
    found = options.real(0)("--thing", value)
    assert found == 0.5
    assert type(found) is float


def test_a_bound_belongs_to_the_range_unless_above_is_said():
    assert options.real(0)("--thing", 0) == 0
    assert options.real(0)("--thing", "-0.0") == 0
    assert_refused(options.real(0, above=True), 0, "a number above 0, got 0")
    assert options.real(0, above=True)("--thing", 5e-324) == 5e-324
    assert options.real(-2)("--thing", -2) == -2
    for value in (-1e-300, "-1", -INF):
        assert_refused(options.real(0), value, "a number of at least 0, got")


@pytest.mark.parametrize("value", [NAN, INF, "nan", "inf", "1e999", "", "a", "1,5", None, [1.0], (), {}, 1j])
def test_what_is_no_finite_number(value):
    assert_refused(options.real(0), value, "a number of at least 0, got")


def test_a_whole_number_too_large_for_a_float_is_refused():
    assert_refused(options.real(0), HUGE, "a number of at least 0, got")


@pytest.mark.parametrize("value", [True, False])
def test_a_truth_value_is_no_number(value):
    assert_refused(options.real(0), value, "a number of at least 0")


# -- choices, switches, texts --------------------------------------------------------------------------------


def test_choices():
    parse = options.choice("max", "max-ceil", "average")
    assert parse("--thing", "max-ceil") == "max-ceil"
    assert_refused(parse, "averge", "'averge' is unknown, did you mean 'average'?")
    with pytest.raises(UsageError, match=r"valid: max, max-ceil, average"):
        parse("--thing", "zzz")
    for value in ("", "MAX", "max ", 3, True, NAN, ["max"], b"max"):
        assert_refused(parse, value, "unknown")


def test_switches():
    assert options.switch("--thing", True) is True
    assert options.switch("--thing", False) is False
    for value in (1, 0, "True", "yes", "", 1.0, [], NAN):
        assert_refused(options.switch, value, "True or False")


def test_texts():
    assert options.text("--thing", "a b/c.png") == "a b/c.png"
    for value in ("", "a\0b", "\0"):
        assert_refused(options.text, value, "a text")


# -- lists of numbers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1,2", (1.0, 2.0)),
        (" 1 , 0.5", (1.0, 0.5)),
        ("3", (3.0,)),
        (3, (3.0,)),
        (0.5, (0.5,)),
        ([1, "2"], (1.0, 2.0)),
        ((0, 1), (0.0, 1.0)),
        (np.array([2.0, 3.0]), (2.0, 3.0)),
        ((x for x in (1, 2)), (1.0, 2.0)),
    ],
)
def test_lists_of_numbers(value, expected):
    found = options.numbers("--thing", value)
    assert found == expected
    assert all(type(number) is float for number in found)


@pytest.mark.parametrize(
    "value", ["", ",", "1,", "1,,2", "1;2", "1,a", [], (), 0, "0,0", [0.0], [None], [[1]]]
)
def test_what_is_no_list_of_numbers(value):
    assert_refused(options.numbers, value, "expected")


@pytest.mark.parametrize("value", [-1, "1,-1", [NAN], "1,nan", "inf", [INF, 1]])
def test_numbers_of_a_list_are_finite_and_not_negative(value):
    assert_refused(options.numbers, value, "a number of at least 0, got")


@pytest.mark.parametrize("value", [[HUGE], [True, True]])
def test_numbers_of_a_list_are_numbers_that_a_float_can_hold(value):
    assert_refused(options.numbers, value, "a number of at least 0, got")


# -- layers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("relu1_1", (("relu1_1", None),)),
        ("relu1_1,relu2_1:0.5", (("relu1_1", None), ("relu2_1", 0.5))),
        (" relu1_1 , relu2_1 : 2 ", (("relu1_1", None), ("relu2_1", 2.0))),
        (["relu1_1", "relu2_1:0"], (("relu1_1", None), ("relu2_1", 0.0))),
        ([("relu1_1", None), ("relu2_1", "3")], (("relu1_1", None), ("relu2_1", 3.0))),
        ({"relu1_1": 1, "relu2_1": None}, (("relu1_1", 1.0), ("relu2_1", None))),
        (("relu1_1", ["relu2_1", 1e-3]), (("relu1_1", None), ("relu2_1", 1e-3))),
    ],
)
def test_layers(value, expected):
    assert options.layers("--thing", value) == expected
    assert options.layers("--thing", options.layers("--thing", value)) == expected


@pytest.mark.parametrize("value", ["", ",", "relu1_1,", ":1", "relu1_1,,relu2_1", [""], [("", 1)], {"": 1}])
def test_layers_without_a_name_are_refused(value):
    assert_refused(options.layers, value, "expected layer names")


@pytest.mark.parametrize(
    "value",
    [
        "relu1_1:",
        "relu1_1:a",
        "relu1_1:-1",
        "relu1_1:nan",
        "relu1_1:inf",
        "relu1_1:1:2",
        [("relu1_1", -1)],
        {"relu1_1": "x"},
    ],
)
def test_weights_of_layers_are_finite_and_not_negative(value):
    assert_refused(options.layers, value, "a number of at least 0, got")
    with pytest.raises(UsageError, match="^--thing relu1_1: "):  # which one
        options.layers("--thing", value)


@pytest.mark.parametrize("value", ["relu1_1,relu1_1", "relu1_1:1, relu1_1:2", [("relu1_1", 1), "relu1_1"]])
def test_a_layer_named_twice_is_refused(value):
    assert_refused(options.layers, value, "names a layer twice")


@pytest.mark.parametrize(
    "value", [5, True, 1.5, [5], [None], [("relu1_1",)], [("relu1_1", 1, 2)], [(5, 1.0)], [()]], ids=repr
)
def test_what_are_no_layers(value):
    assert_refused(options.layers, value, "expected")


@pytest.mark.parametrize("value", [[], (), {}], ids=repr)
def test_a_list_without_layers_is_refused(value):
    assert_refused(options.layers, value, "expected")


# -- all together --------------------------------------------------------------------------------------------


def test_flags_are_spelled_with_dashes():
    assert options.flag("style_weight") == "--style-weight"
    assert options.flag("size") == "--size"


@pytest.mark.parametrize("make", [objective_config, command_config])
def test_unknown_options_are_refused_and_the_nearest_suggested(make):
    with pytest.raises(UsageError, match="option: 'style_wieght' is unknown, did you mean 'style_weight'"):
        make({"style_wieght": 3})
    with pytest.raises(UsageError, match=r"valid: size, size_rule, style_size, .*style_layers"):
        make({"zzzzzz": None})


def test_options_of_a_run_are_none_of_an_objective():
    assert command_config({"iterations": 3}).iterations == 3
    with pytest.raises(UsageError, match="'iterations' is unknown"):
        objective_config({"iterations": 3})


def test_none_is_not_given():
    assert command_config(dict.fromkeys(FIELDS)) == CommandConfig()
    assert objective_config({}) == ObjectiveConfig()


def test_values_are_converted_and_errors_name_the_flag():
    config = command_config(
        {"size": "64", "content_weight": "1e-2", "style_layers": "relu1_1:2", "quiet": True}
    )
    assert (config.size, config.content_weight, config.style_layers, config.quiet) == (
        *(64, 0.01, (("relu1_1", 2.0),), True),
    )
    with pytest.raises(UsageError, match="^--content-weight: expected a number of at least 0, got 'x'"):
        command_config({"content_weight": "x"})


@pytest.mark.parametrize("name", FIELDS)
def test_defaults_fit_their_own_parser(name):
    default = FIELDS[name].default
    assert default is not dataclasses.MISSING
    if default is not None:
        assert FIELDS[name].metadata["parse"](options.flag(name), default) == default


@pytest.mark.parametrize("name", FIELDS)
def test_every_option_has_all_that_a_help_page_needs(name):
    known = FIELDS[name].metadata
    assert set(known) == {"parse", "help", "group", "metavar", "shown"}
    assert known["help"].endswith(".")
    assert known["help"][0].isupper() or name == "optimizer"  # begins with lbfgs, a name
    assert known["group"] in ("Images", "Control", "Network", "Losses", "Optimisation", "Output")
    # a switch takes no value; where nothing is the default, the help says what happens
    assert bool(known["metavar"]) == (FIELDS[name].default is not False)
    assert known["shown"] or FIELDS[name].default is not None


@pytest.mark.parametrize("name", FIELDS)
def test_every_option_refuses_nonsense_with_its_flag(name):
    """A text without meaning, or with a zero byte where any text goes, ends in a `UsageError`."""
    with pytest.raises(UsageError, match=f"^{re.escape(options.flag(name))}"):
        # any text may be the name of a layer: that the network has it is checked elsewhere
        command_config({name: "no such:\0thing"})


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("size", (8, LARGEST_SIZE), (7, LARGEST_SIZE + 1)),
        ("style_size", (8, LARGEST_SIZE), (7, LARGEST_SIZE + 1)),
        ("seed", (0, 2**32 - 1), (-1, 2**32)),
        ("iterations", (0, 1_000_000), (-1, 1_000_001)),
        ("history", (1,), (0,)),
        ("threads", (1,), (0, -1)),
        ("save_every", (1,), (0,)),
        ("learning_rate", (1e-9,), (0, -1)),
        ("content_weight", (0, 1e9), (-1,)),
        ("style_weight", (0, 1e9), (-1,)),
        ("tv_weight", (0, 1e9), (-1,)),
        ("noise_std", (0, 60), (-1,)),
        ("dtype", ("float32", "float64"), ("float16", "complex128", np.float32)),
        ("pooling", ("max", "max-ceil", "average"), ("mean",)),
        ("optimizer", ("lbfgs", "lbfgs-scipy", "adam", "gradient-descent"), ("sgd",)),
        ("preset", tuple(PRESETS), ("johnson",)),
        ("network", ("vgg16", "vgg19"), ("vgg18", "resnet50")),
    ],
)
def test_ranges(name, good, bad):
    for value in good:
        assert getattr(command_config({name: value}), name) == value
    for value in bad:
        with pytest.raises(UsageError, match=f"^{re.escape(options.flag(name))}: "):
            command_config({name: value})


# -- what the preset decides ---------------------------------------------------------------------------------


def test_an_option_not_given_is_the_presets():
    config = command_config({"preset": "neural-style"})
    assert config.settings is PRESETS["neural-style"]
    assert config.chosen("pooling") == "max-ceil"
    assert config.chosen("learning_rate") == 10
    given = command_config({"preset": "neural-style", "pooling": "average", "tv_weight": 0})
    assert given.chosen("pooling") == "average"
    assert given.chosen("tv_weight") == 0  # zero is a value, not nothing


@pytest.mark.parametrize(
    ("preset", "content", "style"),
    [
        ("paper", {"conv4_2": 1}, dict.fromkeys([f"conv{b}_1" for b in range(1, 6)], 1000 / 5)),
        ("neural-style", {"relu4_2": 5}, dict.fromkeys([f"relu{b}_1" for b in range(1, 6)], 100)),
        ("neural-style-pt", {"relu4_2": 5}, dict.fromkeys([f"relu{b}_1" for b in range(1, 6)], 100)),
        ("gatys", {"relu4_2": 1}, dict.fromkeys([f"relu{b}_1" for b in range(1, 6)], 1000)),
    ],
)
def test_weights_of_layers_by_preset(preset, content, style):
    config = objective_config({"preset": preset})
    assert config.weighted_layers("content") == pytest.approx(content)
    assert config.weighted_layers("style") == pytest.approx(style)


@pytest.mark.parametrize(
    ("given", "kind", "expected"),
    [
        ({"style_layers": "relu1_1,relu2_1:0.5", "style_weight": 10}, "style", {"relu1_1": 10, "relu2_1": 5}),
        ({"style_layers": "relu1_1,relu2_1:0"}, "style", {"relu1_1": 1000}),
        ({"style_weight": 0}, "style", {}),
        (
            {"content_layers": {"conv4_2": 2, "relu4_2": None}, "content_weight": 3},
            "content",
            {"conv4_2": 6, "relu4_2": 3},
        ),
        ({"content_weight": 0}, "content", {}),
        # the paper's 1/n is the weight of a layer to which none is given
        ({"preset": "paper", "style_layers": "conv1_1,conv2_1"}, "style", {"conv1_1": 500, "conv2_1": 500}),
        (
            {"preset": "paper", "style_layers": "conv1_1:1,conv2_1"},
            "style",
            {"conv1_1": 1000, "conv2_1": 500},
        ),
        ({"preset": "paper", "content_layers": "conv2_1,conv4_2"}, "content", {"conv2_1": 1, "conv4_2": 1}),
    ],
)
def test_weights_of_layers_that_are_given(given, kind, expected):
    found = objective_config(given).weighted_layers(kind)
    assert found == pytest.approx(expected)
    assert list(found) == list(expected)
    assert all(math.isfinite(weight) and weight > 0 for weight in found.values())


def test_configurations_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        command_config({}).size = 3


def test_the_names_that_options_accept_are_those_of_the_tables():
    from nst_manual.nn.build import POOLINGS
    from nst_manual.run.optimizers import FIRST_ORDER, SECOND_ORDER

    for option, table in (("pooling", POOLINGS), ("optimizer", SECOND_ORDER | FIRST_ORDER)):
        for name in table:
            assert getattr(command_config({option: name}), option) == name
        with pytest.raises(UsageError) as error:
            command_config({option: "none such"})
        assert error.value.hint == f"valid: {', '.join(table)}"


@pytest.mark.parametrize("field", dataclasses.fields(CommandConfig), ids=lambda field: field.name)
def test_every_option_is_grouped_has_a_default_for_help_and_refuses_nonsense(field):
    about = field.metadata
    assert about["group"] in ("Images", "Network", "Losses", "Control", "Optimisation", "Output")
    assert about["help"].endswith(".")
    if field.default is None:
        assert about["shown"], "None is no default that help could show"
    if field.default is not False:
        assert about["metavar"], "a value has a unit or a kind"
    with pytest.raises(UsageError, match=f"{options.flag(field.name)}.*(expected|is unknown)"):
        about["parse"](options.flag(field.name), "")


def test_one_whole_number_or_several():
    parse = options.wholes(0, 9)
    assert parse("--x", "3,4") == (3, 4)
    assert parse("--x", [3, 4]) == (3, 4)
    assert parse("--x", 3) == (3,)
    for wrong in ("", "3,10", [], "1.5", [True]):
        with pytest.raises(UsageError, match="--x: expected"):
            parse("--x", wrong)


def test_a_picture_is_a_path_or_itself():
    array = np.zeros((2, 2, 3))
    assert options.picture("--x", array) is array
    assert options.picture("--x", "a.png") == "a.png"
    with pytest.raises(UsageError, match="--x: expected a text"):
        options.picture("--x", "")
