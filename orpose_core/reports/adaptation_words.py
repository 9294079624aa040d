"""What is said of an adaptation, in the card, on the page and by the command: its outcome and its gain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NETWORKS = {"before": "before", "retuned": "before, with thresholds for the site", "after": "after"}
"""The networks that are scored, in the order of the tables, and what they are called there."""
LABELED_BY = {"teacher": "the teacher's labels", "truth": "labels by hand"}


def outcome_words(scores: Mapping[str, Any], start: str) -> str:
    """Return what the validation part chose, one or two sentences.

    Args:
        scores: ``kept``, and where it is known ``share``.
        start: name of the network before the training.
    """
    if scores.get("kept"):
        return (
            f"These are the weights and thresholds of {start}, unchanged: on the validation part, neither "
            "other thresholds nor weights of the training were better by more than one point of F1."
        )
    if scores.get("share") == 0:
        return (
            f"These are the weights of {start} with new thresholds for this site: on the validation part, no "
            "weights of the training were better than new thresholds alone by more than one point of F1."
        )
    if not scores.get("share"):
        return ""
    share = f"{100 * scores['share']:.0f} %"
    if scores["share"] == 1:
        return "The weights are those after the training, with thresholds for this site."
    return (
        f"The weights are a weighted mean of those after the training ({share}) and those before it, with "
        "thresholds for this site."
    )


def gain_words(scores: Mapping[str, Any], kind: str) -> str:
    """Return by how much PCK changed on the test part, and whether that is decided; "" = it is not known.

    Args:
        scores: ``gain``, by who labeled (:func:`orpose_core.adaptation.gain.gain_of`), and ``kept``.
        kind: who labeled: ``teacher`` or ``truth``.
    """
    gain = scores.get("gain", {}).get(kind)
    if not gain:
        return ""
    points = f"{gain['points']:+.1f} points of PCK against {LABELED_BY[kind]}"
    if scores.get("kept"):
        return f"{points}: the network is unchanged."
    if gain["interval"] is None:
        return f"{points}, without an interval: {_why_none(gain)} Whether the change is chance is not known."
    low, high = gain["interval"]
    verdict = (
        "The gain is decided: the interval is above zero."
        if low > 0
        else "The loss is decided: the interval is below zero."
        if high < 0
        else "The change is not decided: the interval contains zero."
    )
    return (
        f"{points}, 95 % interval {low:+.1f} to {high:+.1f} (paired bootstrap over {gain['blocks']} blocks "
        f"of about {gain['block_s']:.0f} s). {verdict}"
    )


def _why_none(gain: Mapping[str, Any]) -> str:
    if not gain["timed"]:
        return "the images have no times, so it is not known which of them are independent."
    blocks = "1 block" if gain["blocks"] == 1 else f"{gain['blocks']} blocks"
    return (
        f"the test part is too short. It has {blocks} of about {gain['block_s']:.0f} s with labeled people, "
        f"and an interval needs {gain['fewest_blocks']}."
    )
