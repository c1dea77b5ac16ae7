"""Synthetic run folders for tests: every file that a run leaves, with predictable times."""

from __future__ import annotations

import hashlib
import json
import math
import random
from pathlib import Path
from typing import Any

BEGAN = 1_800_000_000.0
TYPES = ("smartphone-high", "smartphone-low", "raspberry-pi", "iot-minimal")
NETWORKS = ("5g", "4g", "wifi", "3g")
MODEL_BYTES = 5_000


def write_run(
    folder: Path,
    *,
    clients: int = 4,
    rounds: int = 6,
    seed: int = 1,
    names: dict[int, str] | None = None,
    activity: bool = True,
    lost: bool = False,
    late: bool = False,
    experiment: str = "study",
    speed: float = 1.0,
    startup_s: int = 5,
) -> Path:
    """A run of a server and ``clients`` unequal clients; client k is named in ``names`` or ``<type>-k``.

    ``startup_s``: seconds that are sampled before the first round; about 200 where 500 devices join.
    """
    rng = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    named = {k: (names or {}).get(k, f"{TYPES[(k - 1) % 4]}-{k}") for k in range(1, clients + 1)}
    run = folder.name
    _device_file(folder, run, experiment, seed, rounds, named)
    notes: dict[str, list[dict[str, Any]]] = {"server": [], **{name: [] for name in named.values()}}
    events: list[dict[str, Any]] = [
        {"t": BEGAN - 8, "event": "agent_started", "backend": "netem", "kernel": "6.1", "version": 1},
        {"t": BEGAN - startup_s - 2.5, "event": "loading_started", "devices": clients + 1, "limit_s": 300},
        *({"t": BEGAN - 8 + k / clients, "event": "device_loading", "device": name} for k, name in named.items()),
        *({"t": BEGAN - 7.5 + k / clients, "event": "device_ready", "device": name} for k, name in named.items()),
        {"t": BEGAN - 6, "event": "gate_opened", "open_at": BEGAN - 6},
        *({"t": BEGAN - 1, "event": "device_joined", "device": name, "client_id": k} for k, name in named.items()),
    ]
    now = BEGAN
    gone: set[int] = set()
    for number in range(rounds):
        events.append({"t": now, "event": "round_started", "round": number + 1})
        if lost and number == rounds // 2:
            gone.add(clients)
            dead = {"event": "client_lost", "device": named[clients], "reason": "killed by the kernel: out of memory"}
            events.append({"t": now + 0.2, **dead, "oom_killed": True, "last_lines": ["Killed"]})
        arrivals = []
        for k, name in named.items():
            if k in gone:
                continue
            slow = 1 + (k - 1) % 4
            times = [0.05 * slow, 0.02, 0.3 * slow * speed, 0.03, 0.1 * slow]
            times = [value * rng.uniform(0.9, 1.2) for value in times]
            sent = now + 0.001 * k
            arrived, train = sent + times[0], sent + sum(times[:2])
            trained, answered, there = sent + sum(times[:3]), sent + sum(times[:4]), sent + sum(times)
            server, client = notes["server"], notes[name]
            server.append(_step(sent, "send", number, k))
            client.append(_step(arrived, "received", number, 0))
            client += [
                {"t": train, "what": "train", "round": number},
                {"t": trained, "what": "trained", "round": number},
            ]
            client.append(_step(answered, "send", number, 0))
            if late and k == clients and number == 1:
                server.append({"t": there, "what": "late", "round": number, "peer": k})
                events.append({"t": there, "event": "update_late", "device": name, "round": number + 1})
                continue
            server.append(_step(there, "received", number, k))
            arrivals.append(there)
        end = max(arrivals)
        notes["server"] += [
            {"t": end + 0.001, "what": "aggregate", "round": number},
            {"t": end + 0.011, "what": "aggregated", "round": number},
            {"t": end + 0.012, "what": "evaluate", "round": number},
            {"t": end + 0.112, "what": "evaluated", "round": number},
        ]
        accuracy = 0.95 - 0.6 * math.exp(-0.35 * (number + 1)) + rng.uniform(-0.01, 0.01)
        results = {"test_acc": round(accuracy, 4), "test_avg_loss": round(2.2 * math.exp(-0.2 * number), 4)}
        for k, name in named.items():
            if k not in gone:
                own = {"test_acc": round(results["test_acc"] - 0.02 * (k % 4), 4), "test_avg_loss": 0.1 * (1 + k % 4)}
                done = {"event": "client_result", "device": name, "round": number + 1, "results": own}
                events.append({"t": end + 0.1, **done})
        events.append({"t": end + 0.112, "event": "evaluated", "round": number + 1, "results": results})
        now = end + 0.12
    events += [{"t": now, "event": "device_finished", "device": name} for k, name in named.items() if k not in gone]
    events += [{"t": now, "event": "device_finished", "device": "server"}]
    events.append({"t": now + 0.1, "event": "course_finished", "rounds": rounds, "results": results})
    _lines(folder / "journal.jsonl", events)
    for name, steps in notes.items():
        out = folder / "collected" / name / "course"
        out.mkdir(parents=True, exist_ok=True)
        if activity:
            _lines(out / "activity.jsonl", steps)
        end_of = {
            "exit_code": 0,
            "gate_opened": BEGAN - 6,
            "ended": now,
            "cpu_seconds": 3.0,
            "startup_cpu_seconds": 0.4,
        }
        traffic = {"rx_bytes": 60_000, "tx_bytes": 50_000, "memory_peak_bytes": 40 << 20}
        (out.parent / "exit.json").write_text(json.dumps({**end_of, **traffic}), encoding="utf-8")
    _metrics(folder, ["server", *named.values()], startup_s, now, rng)
    _link_counters(folder, ["server", *named.values()], now)
    return folder


def _step(t: float, what: str, number: int, peer: int) -> dict[str, Any]:
    return {"t": t, "what": what, "kind": "model_para", "round": number, "peer": peer, "bytes": MODEL_BYTES}


def _device_file(folder: Path, run: str, experiment: str, seed: int, rounds: int, named: dict[int, str]) -> None:
    server = {"name": "server", "type": "edge-server", "role": "server", "index": 0, "network": "gigabit"}
    devices: list[dict[str, Any]] = [{**server, "engine": "light", "cpus": 1.0, "memory_bytes": 8 << 30}]
    for k, name in named.items():
        kind = (k - 1) % 4
        side = {"rate_bps": 50_000_000 // (kind + 1), "delay_us": 10_000 * (kind + 1), "jitter_us": 1000, "loss": 0.0}
        devices.append(
            {
                "name": name,
                "type": TYPES[kind],
                "role": "client",
                "engine": "light",
                "index": k,
                "network": NETWORKS[kind],
                "cpus": round(0.4 / (kind + 1), 3),
                "memory_bytes": (64 << 20) * (4 - kind),
                "link": {"up": side, "down": {**side, "rate_bps": side["rate_bps"] * 2}},
            }
        )
    content = {
        "run": run,
        "experiment": experiment,
        "seed": seed,
        "lab_host": "local",
        "cpu_factor": 0.05,
        "course": {"total_rounds": rounds},
        "devices": devices,
    }
    files = folder / "inventory" / "device_files"
    files.mkdir(parents=True, exist_ok=True)
    (files / "local.json").write_text(json.dumps(content), encoding="utf-8")
    (folder / "plan.json").write_text(json.dumps({"run": run, "experiment": experiment, "notes": []}), encoding="utf-8")
    manifest = {
        "run": run,
        "experiment": experiment,
        "mode": "docker",
        "fedsim_runner": "0.1.0",
        "spec_sha256": hashlib.sha256(f"{experiment} {seed} {len(named)}".encode()).hexdigest(),
        "seed": seed,
        "cpu_factor": 0.05,
        "link_backend": "netem",
        "control_node": {"python": "3.11.2", "kernel": "6.1", "packages": {"numpy": "1.26.4"}},
        "images": {"fedsim/iot:1": {"id": "sha256:" + "c" * 64, "digests": []}},
        "started_utc": "2027-01-15T08:00:00Z",
    }
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    spec = {"name": experiment, "seed": seed, "devices": [{"name": name, "network": "lan"} for name in named.values()]}
    (folder / "inputs").mkdir(exist_ok=True)
    resolved = json.dumps({"version": 1, "experiment": spec})
    (folder / "inputs" / "experiment.json").write_text(resolved, encoding="utf-8")
    rng = random.Random(3)
    classes = [str(label) for label in range(10)]
    labels = {name: {"train": {label: int(rng.gammavariate(0.5, 40)) for label in classes}} for name in named.values()}
    (folder / "participants").mkdir(exist_ok=True)
    text = json.dumps({"classes": classes, "devices": labels})
    (folder / "participants" / "labels.json").write_text(text, encoding="utf-8")


def _metrics(folder: Path, names: list[str], startup_s: int, end: float, rng: random.Random) -> None:
    header = (
        "t,device,memory_bytes,memory_peak_bytes,cpu_seconds,throttled_seconds,oom_kills,"
        "rx_bytes,rx_packets,rx_dropped,tx_bytes,tx_packets,tx_dropped"
    )
    lines = [header]
    cpu = dict.fromkeys(names, 0.0)
    moment = BEGAN - startup_s
    while moment < end + 1:
        age = moment - BEGAN + startup_s
        for index, name in enumerate(names):
            cpu[name] += rng.uniform(0.2, 1.0) * 0.4 / (1 + (index - 1) % 4)
            memory = int((25 + 8 * rng.random() + min(age, 6)) * (1 << 20))
            throttled, drops = (age * 0.1 if index % 4 == 0 else 0.0), (2 if index == 2 else 0)
            lines.append(
                f"{moment:.3f},{_quoted(name)},{memory},{memory},{cpu[name]:.3f},{throttled:.3f},0,"
                f"{int(age * 1000)},{int(age)},0,{int(age * 900)},{int(age)},{drops}"
            )
        moment += 1.0
    (folder / "metrics.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _link_counters(folder: Path, names: list[str], end: float) -> None:
    """Every other second each client sends 10 kB and receives 20; every tenth, its uplink's queue is full."""
    lines = ["t,device,direction,seconds,bytes,packets,lost,overflowed,backlog_bytes"]
    for second in range(0, int(end - BEGAN) + 1, 2):
        full = second % 10 == 0
        for name in names[1:]:
            begin = f"{BEGAN + second:.3f},{_quoted(name)}"
            lines.append(f"{begin},up,1.000,10000,12,0,{3 if full else 0},{2048 if full else 0}")
            lines.append(f"{begin},down,1.000,20000,20,0,0,0")
        lines.append(f"{BEGAN + second:.3f},{names[0]},up,1.000,{20000 * (len(names) - 1)},50,0,0,0")
    (folder / "link_counters.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _quoted(name: str) -> str:
    return f'"{name.replace(chr(34), chr(34) * 2)}"' if set(name) & set(',"\n') else name


def _lines(path: Path, entries: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
