"""A plan as plain data, for files and other programs."""

from __future__ import annotations

from typing import Any

from ..compute.values import Speed
from ..contract.typed_json import dump
from ..spec.experiment import Experiment
from .model import HostLoad, PlacedDevice, Plan, Traffic
from .server_paths import Way, server_paths
from .varying_links import varying_as_dict


def plan_as_dict(plan: Plan) -> dict[str, Any]:
    """The plan as JSON-able data, for the run folder and ``--json``."""
    return {
        "experiment": plan.experiment.name,
        "run": plan.run,
        "seed": plan.experiment.seed,
        "cpu_factor": plan.cpu_factor,
        "time": plan.experiment.time,
        "time_factor": plan.time_scale.factor,
        "network": {"subnet": plan.subnet},
        "link_backend": plan.experiment.link_backend,
        "congestion_control": plan.experiment.congestion_control,
        "lab_hosts": [
            {"name": host.name, "cpus": host.cpus, "memory_bytes": host.memory_bytes, "arch": host.arch}
            for host in plan.lab_hosts
        ],
        "expected_loads": [_load_as_dict(load) for load in plan.loads],
        "expected_traffic": None if plan.traffic is None else _traffic_as_dict(plan, plan.traffic),
        "server_paths": {
            path.client: {
                "round_trip_s": round(path.round_trip_s, 6),
                **({"sites": list(path.sites)} if path.sites else {}),
                "up": _way_as_dict(path.up, path.round_trip_s),
                "down": _way_as_dict(path.down, path.round_trip_s),
            }
            for path in server_paths(plan)
        },
        "devices": [_device_as_dict(item, plan.experiment) for item in plan.placed],
        "timeline": dump(plan.experiment.timeline),
        "notes": [*plan.course_notes, *plan.notes],
    }


def _load_as_dict(load: HostLoad) -> dict[str, Any]:
    return {
        "lab_host": load.lab_host.name,
        "devices": load.devices,
        "memory_bytes": load.memory_bytes,
        "cpus": load.cpus,
        "tasks": load.tasks,
        "start_s": round(load.start_s, 1),
        "load_s": round(load.load_s, 1),
    }


def _traffic_as_dict(plan: Plan, traffic: Traffic) -> dict[str, Any]:
    sizes = traffic.sizes
    return {
        "model_numbers": sizes.numbers,
        "to_client_bytes": sizes.to_client,
        "from_client_bytes": sizes.from_client,
        "evaluate_bytes": sizes.evaluate,
        "finish_bytes": sizes.finish,
        "round_s": round(traffic.round_s, 3),
        "course_s": round(traffic.course_s, 3),
        "slowest": traffic.slowest,
        "devices": {
            item.device.name: {"receive_s": round(one.receive_s, 3), "send_s": round(one.send_s, 3)}
            for item, one in zip(plan.placed, traffic.transfers, strict=True)
        },
    }


def _way_as_dict(way: Way, round_trip_s: float) -> dict[str, Any]:
    product = way.product_bytes(round_trip_s)
    return {
        "rate_bps": way.rate_bps,
        "bandwidth_delay_bytes": None if product is None else round(product),
        "queue_bytes": way.queue_bytes,
    }


def _device_as_dict(item: PlacedDevice, experiment: Experiment) -> dict[str, Any]:
    device = item.device
    varying = varying_as_dict(device, experiment)
    return {
        "name": device.name,
        "type": device.type.name,
        "role": device.role,
        **({} if device.region is None else {"region": device.region}),
        "engine": device.engine,
        "lab_host": item.lab_host,
        "address": item.address,
        "cpus": item.cpus,
        "nominal_cpus": device.type.cpus,
        **({} if item.speed is None else {"compute": _speed_as_dict(item.speed)}),
        "memory_bytes": device.type.memory_bytes,
        "disk_bytes": device.type.disk_bytes,
        **({"emulated": device.type.arch} if item.emulated else {}),
        "gpus": item.gpus,
        **({"gpu_ids": list(item.gpu_ids)} if item.gpu_ids else {}),
        "network": device.network.name,
        "link": {"up": device.network.up.as_dict(), "down": device.network.down.as_dict()},
        "federatedscope": dict(device.config),
        **({} if varying is None else {"varying": varying}),
    }


def _speed_as_dict(speed: Speed) -> dict[str, Any]:
    return {
        "reference": speed.reference,
        "seconds": round(speed.seconds, 6),
        "source": speed.compute.source,
        **({"derived_from": speed.compute.reference} if speed.derived else {}),
        **({} if speed.compute.accelerator is None else {"accelerator": speed.compute.accelerator}),
        "uncertainty": speed.uncertainty,
    }
