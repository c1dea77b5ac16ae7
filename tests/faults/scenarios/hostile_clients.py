"""A client that keeps to no rule, and one that was lost and is started again: the course goes on for the others."""

from __future__ import annotations

from tests.faults.acts import inside, kill, start_again
from tests.faults.live_run import LiveRun
from tests.faults.scenario import Moment, Outcome, Scenario, Start, Step, round_ends

CONTINUE = {"on_client_failure": "continue", "silence_timeout": 60}
DEVICES = ("server", "mote-1", "mote-2", "mote-3")

# Besides the participant of its device: joins that are none, garbage, the end of the course for the others, and updates
# in everybody's name, of which its own is one that fills the memory of a server that unpickles it.
HOSTILE = r"""
import base64, grpc, ipaddress, json, re, time, yaml
from fedsim_runner.participant.light import wire
from fedsim_runner.participant.light.wire import Message
own = yaml.safe_load(open("/fedsim/in/config.yaml"))["distribute"]
server, port = f"{own['server_host']}:{own['server_port']}", own["client_port"]
hosts = {name: address for address, name in (line.split()[:2] for line in open("/etc/hosts") if len(line.split()) > 1)}
first = ipaddress.ip_address(hosts[own["server_host"]])
channels = {}
def send(to, message):
    if to not in channels:
        channels[to] = grpc.insecure_channel(to)
    try:
        data = message if isinstance(message, bytes) else wire.encode(message)
        channels[to].unary_unary(wire.METHOD)(data, timeout=10)
    except grpc.RpcError:
        pass
end = "\n2026-01-01 00:00:00,000 (server:1) INFO: Server: Final evaluation is finished! Starting merging results."
for content in ("x", {"host": own["client_host"] + end, "port": port}, {"host": "elsewhere", "port": port},
                {"host": own["client_host"], "port": 1}):
    send(server, Message("join_in", -1, [0], 0, content))
for _ in range(20):
    send(server, b"\xff" * 1000)
for number in range(1, 4):
    send(f"{first + number}:{port}", Message("finish", 0, [number], 1000, {}))
memo = base64.b64encode(b"\x80\x03]r\xff\xff\xff\x7f.").decode()
def update(number, state):
    return Message("model_para", number, [0], state, [1, {"fc.weight": memo}])
for number in range(1, 4):
    send(server, update(number, 0))
number = int(re.search(r"assigned with #(\d+)", open("/fedsim/out/course/exp_print.log").read())[1])
post = channels[server].unary_unary(wire.METHOD).future
while True:
    steps = open("/fedsim/out/course/activity.jsonl").read().splitlines()
    now = max(json.loads(step).get("round", 0) for step in steps[-20:-1])
    for state in (now + 1, now + 2):  # its turn is short: the participant of this device answers soon, too
        post(wire.encode(update(number, state)), timeout=10)
    time.sleep(0.03)
"""


def _story_is_the_servers(run: LiveRun) -> list[str]:
    log = (run.folder / "collected/server/course/exp_print.log").read_text(encoding="utf-8")
    refused = log.count("is refused")
    problems = [] if 0 < refused < 10 else [f"{refused} lines about messages that were refused"]
    return problems + (["the course ends twice"] if log.count("Final evaluation is finished") != 1 else [])


def _is_killed_again(run: LiveRun) -> list[str]:
    exits = [event for event in run.events("device_exited") if event["device"] == "mote-2"]
    starts = [event for event in run.events("device_started") if event["device"] == "mote-2"]
    return [] if len(starts) == 1 and exits else [f"{len(starts)} starts and {len(exits)} ends of mote-2"]


def _hostile(engine: str, rounds: int, lost: str, soak: bool) -> Scenario:
    return Scenario(
        f"hostile-client-{engine}",
        "A client that keeps to no rule is given up, disturbs no other and tells no story of the server's",
        Start(rounds=rounds, clients=3, course=CONTINUE, engine=engine),
        (Step(round_ends(2), inside("mote-2", "python3", "-c", HOSTILE)),),
        Outcome(
            0,
            within_s=240,
            lost={"mote-2": lost},
            finished=True,
            collected=DEVICES,
            checks=(_story_is_the_servers,),
        ),
        soak=soak,
    )


SCENARIOS = (
    _hostile("light", 200, r"given up by the server: the update of client #\d \(mote-2\) is not valid", False),
    _hostile("federatedscope", 100, "given up by the server: its model_para is not valid", True),
    Scenario(
        "lost-client-started-again",
        "A lost client that somebody starts again stays out, and the course goes on",
        Start(rounds=60, clients=3, course=CONTINUE),
        (Step(round_ends(2), kill("mote-2")), Step(Moment(delay_s=2), start_again("mote-2"))),
        Outcome(
            0,
            within_s=240,
            lost={"mote-2": "SIGKILL"},
            finished=True,
            collected=("server", "mote-1", "mote-3"),
            checks=(_is_killed_again,),
        ),
    ),
)
