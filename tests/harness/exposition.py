"""Prometheus' text format, read strictly."""

import math
import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
HELP = re.compile(rf"# HELP ({NAME}) ((?:[^\\\n]|\\\\|\\n)+)")
TYPE = re.compile(rf"# TYPE ({NAME}) (counter|gauge|histogram)")
SAMPLE = re.compile(rf"({NAME})(?:\{{(.+)\}})? (-?[0-9]+(?:\.[0-9]+)?|\+Inf|NaN)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(,|$)')


def read_labels(text):
    labels, position = {}, 0
    while position < len(text):
        match = LABEL.match(text, position)
        assert match, f"labels {text!r} at {position}"
        assert match[1] not in labels, f"label {match[1]} twice in {text!r}"
        labels[match[1]] = re.sub(r"\\(.)", lambda escape: {"n": "\n"}.get(escape[1], escape[1]), match[2])
        position = match.end()
    return frozenset(labels.items())


def read_exposition(text):
    """{name: {labels: value}} with names and samples as they are written. Everything that the format forbids fails."""
    assert text.endswith("\n")
    types, samples, family = {}, {}, None
    lines = iter(text.split("\n")[:-1])
    for line in lines:
        if line.startswith("#"):
            described = HELP.fullmatch(line)
            assert described, line
            typed = TYPE.fullmatch(next(lines))
            assert typed and typed[1] == described[1], line
            family = described[1]
            assert family not in types, f"family {family} twice"
            assert family.startswith("post365_"), family
            types[family] = typed[2]
            continue
        match = SAMPLE.fullmatch(line)
        assert match, f"no sample: {line!r}"
        name, labels = match[1], read_labels(match[2] or "")
        suffixes = ("_bucket", "_sum", "_count") if types[family] == "histogram" else ("",)
        assert name in [family + suffix for suffix in suffixes], f"{name} in family {family}"
        assert labels not in samples.setdefault(name, {}), f"{line} twice"
        samples[name][labels] = float(match[3])
    for family, kind in types.items():
        check_family(family, kind, samples)
    return samples


def check_family(family, kind, samples):
    if kind == "counter":
        assert family.endswith("_total"), family
        assert all(value >= 0 for value in samples[family].values())
    elif kind == "gauge":
        assert not family.endswith("_total"), family
    else:
        buckets = [(float(dict(labels)["le"].replace("+Inf", "inf")), value)
                   for labels, value in samples[family + "_bucket"].items()]
        assert buckets == sorted(buckets) and buckets[-1][0] == math.inf, family
        assert [value for _, value in buckets] == sorted(value for _, value in buckets), family
        assert samples[family + "_count"][frozenset()] == buckets[-1][1], family
        assert samples[family + "_sum"][frozenset()] >= 0
