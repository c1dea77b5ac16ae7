"""Options of qdiscs for the fake kernel: from the words of ``tc``, as it shows them, and in the kernel's own form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fedsim_runner.agent.links.netem.bucket import DISCIPLINES, decode_discipline, encode_discipline
from fedsim_runner.agent.links.netem.kernel_form import NetemOptions
from fedsim_runner.agent.links.userspace.qdisc import Tbf
from fedsim_runner.contract.gilbert_elliott import GilbertElliott
from fedsim_runner.contract.link import CODEL_TARGET_US


def options(kind: str, words: Sequence[str]) -> dict[str, Any]:
    """What is shown of a qdisc of this kind that was set so."""
    kinds = {"netem": _netem, "tbf": _tbf, "codel": _queue, "fq_codel": _queue}
    return kinds[kind](words) if kind in kinds else {"words": words}


def from_kernel_form(kind: str, form: bytes) -> tuple[list[str], dict[str, Any]]:
    """The words for options in the kernel's own form, and what is then shown."""
    if kind == "tbf":
        words = Tbf.parse_kernel_form(form).arguments()
        return words, _tbf(words)
    if kind in DISCIPLINES:
        packets, target_us = decode_discipline(form)
        words = ["limit", f"{packets}", "target", f"{target_us}us"]
        return words, _queue(words)
    found = NetemOptions.decode(form)
    words = ["limit", f"{found.limit}", "delay", f"{found.delay_us}us", "loss"]
    model = found.bursts
    if model is None:
        words += ["random", f"{found.loss:%}"]
    else:
        chances = (model.p, model.r, model.bad_loss, model.good_loss)
        words += ["gemodel", *(f"{chance:%}" for chance in chances)]
    words += [word for key in ("duplicate", "corrupt") for word in (key, f"{getattr(found, key):%}")]
    return words, _netem([*words, "rate", f"{found.rate_bps}bit"])


def to_kernel_form(kind: str, shown: Mapping[str, Any]) -> bytes:
    """The reverse of the second that :func:`from_kernel_form` returns."""
    if kind == "tbf":
        return Tbf(shown["rate"] * 8, shown["limit"], shown["burst"]).kernel_form()
    if kind in DISCIPLINES:
        return encode_discipline(shown["limit"], shown.get("target", CODEL_TARGET_US))
    delay, loss = shown.get("delay", {}).get("delay", 0.0), shown.get("loss-random", {}).get("loss", 0.0)
    model = shown.get("loss-gemodel")
    return NetemOptions(
        shown["limit"],
        round(delay * 1e6),
        loss,
        shown.get("rate", {}).get("rate", 0) * 8,
        None if model is None else GilbertElliott(*model.values()),
        *(shown.get(key, {}).get(key, 0.0) for key in ("duplicate", "corrupt")),
    ).encode()


def number(text: str) -> float:
    """The number without its unit; the back ends use us, bit, b and %."""
    return float(text.rstrip("abcdefghijklmnopqrstuvwxyz%"))


def _netem(words: Sequence[str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    rest = list(words)
    while rest:
        key = rest.pop(0)
        if key == "limit":
            options["limit"] = int(rest.pop(0))
        elif key == "delay":
            options["delay"] = {"delay": number(rest.pop(0)) / 1e6, "jitter": 0.0}
            if rest and rest[0].endswith("us"):
                options["delay"]["jitter"] = number(rest.pop(0)) / 1e6
        elif key == "loss":
            if rest.pop(0) == "random":
                options["loss-random"] = {"loss": number(rest.pop(0)) / 100}
            else:
                options["loss-gemodel"] = {key: number(rest.pop(0)) / 100 for key in ("p", "r", "1-h", "1-k")}
        elif key in ("duplicate", "corrupt"):
            if chance := number(rest.pop(0)) / 100:
                options[key] = {key: chance}
        else:
            assert key == "rate", key
            options["rate"] = {"rate": int(number(rest.pop(0)) / 8)}
    return options


def _tbf(words: Sequence[str]) -> dict[str, Any]:
    options = dict(zip(words[::2], words[1::2], strict=True))
    return {
        "rate": int(number(options["rate"]) / 8),
        "burst": int(number(options["burst"])),
        "limit": int(number(options["limit"])),
    }


def _queue(words: Sequence[str]) -> dict[str, Any]:
    found = {"limit": int(words[words.index("limit") + 1])}
    if "target" in words:  # the kernel keeps it in units of 1024 ns
        target_us = int(words[words.index("target") + 1].removesuffix("us"))
        found["target"] = (target_us * 1000 // 1024) * 1024 // 1000
    return found
