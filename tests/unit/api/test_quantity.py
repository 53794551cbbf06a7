from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kybern.api import quantity
from kybern.api.quantity import Format, Quantity


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("0", "0"),
        ("0Ki", "0"),
        ("1000m", "1"),
        ("1500m", "1500m"),
        ("0.5", "500m"),
        ("1.1", "1100m"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("1023Ki", "1023Ki"),
        ("0.5Ki", "512"),
        ("0.001Ki", "1024m"),
        ("1000k", "1M"),
        ("1k", "1k"),
        ("1e3", "1e3"),
        ("12e7", "120e6"),
        ("1E3", "1e3"),
        ("100e-3", "100e-3"),
        ("0.1n", "1n"),
        ("1e-30", "1e-9"),
        ("-1.5", "-1500m"),
        ("+5", "5"),
        ("1.", "1"),
        (".5", "500m"),
        ("100E", "9223372036854775807"),
        ("9Ei", "9223372036854775807"),
        ("1e100000", "9223372036854775807"),
    ],
)
def test_one_way_to_write_each(text, canonical):
    assert quantity.canonical(text) == canonical
    assert quantity.canonical(canonical) == canonical


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", quantity.WRONG_FORMAT),
        ("x", quantity.WRONG_FORMAT),
        ("1abc", quantity.WRONG_FORMAT),
        ("1 ", quantity.WRONG_FORMAT),
        ("1.1.1", quantity.WRONG_FORMAT),
        ("1ki", quantity.WRONG_SUFFIX),
        ("1mm", quantity.WRONG_SUFFIX),
        ("1e", quantity.WRONG_SUFFIX),
        ("m", quantity.WRONG_NUMBER),
        (".", quantity.WRONG_NUMBER),
    ],
)
def test_what_is_none_is_refused_in_upstreams_words(text, message):
    with pytest.raises(ValueError) as caught:
        quantity.parse(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "milli", "value"),
    [("1", 1000, 1), ("1m", 1, 1), ("100u", 1, 1), ("1Ki", 1_024_000, 1024), ("-1m", -1, -1)],
)
def test_integers_are_rounded_away_from_zero(text, milli, value):
    assert quantity.to_milli(text) == milli
    assert quantity.to_value(text) == value


def test_sums_keep_the_family_of_the_first_that_is_not_zero():
    assert quantity.add("1Gi", "1G") == "2073741824"
    assert quantity.add("0", "1Gi") == "1Gi"
    assert quantity.add("1Gi", "1Gi") == "2Gi"
    assert quantity.subtract("1", "250m") == "750m"
    assert str(quantity.total(["100m", "200m", "700m"])) == "1"


def test_resource_lists_hold_nothing_finer_than_thousandths():
    assert quantity.canonical_resource("100n") == "1m"
    assert quantity.canonical_resource("1024Mi") == "1Gi"


def test_quantities_compare_by_amount():
    assert quantity.parse("1024") == quantity.parse("1Ki")
    assert quantity.compare("1", "999m") > 0
    assert max(quantity.parse("1k"), quantity.parse("1Ki")).format is Format.BINARY
    assert quantity.from_milli(1500) == "1500m"
    assert quantity.from_value(2048, Format.BINARY) == "2Ki"


@given(st.integers(-(10**18), 10**18), st.sampled_from(list(Format)))
def test_text_reads_back_as_the_same_amount(nanos, form):
    written = Quantity(nanos, form)
    assert quantity.parse(str(written)) == written
