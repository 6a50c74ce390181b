#!/usr/bin/env python3
"""make bench: how fast cross-sign calls are, and what the agent needs of memory, on SoftHSM.

Every rate is compared with others of the same round, since a machine is never quiet for long: a round
runs each side once, and what is written is the median of the rounds' ratios. Into build/bench.json, and a
table for a person.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "world"))
from authority import authority  # noqa: E402
from enrolment import enrolment  # noqa: E402
from fetch import fetch  # noqa: E402
from library import library  # noqa: E402
from processes import WorldError, wait_idle  # noqa: E402
from sides import Agent, Direct, P11Kit, SshAgent  # noqa: E402
from world import BUILD, Failed, World, interruptible, say  # noqa: E402

ALGORITHMS = ("rsa2048", "p256")
CLIENTS = (1, 2, 16)
BUSY = 16
IDLE = 1000
KEY_PAIRS = 10000
KNOWN_KEYS = 100000
FETCHED_KEYS = 10000
PARTS = ("rates", "latency", "memory", "crowd", "large", "keyring", "keyinfos", "fetch", "authority", "enrolment")


def rates(sides, algorithm, clients, options):
    """What each side did, by round and side."""
    rounds = []
    for number in range(options.rounds):
        order = sides if number % 2 == 0 else sides[::-1]
        rounds.append({side.name: side.run(algorithm, clients, options.seconds) for side in order})
    return rounds


def compare(sides, options, out):
    """The rows of rates, each with its ratios to C_Sign."""
    for algorithm in ALGORITHMS:
        for clients in CLIENTS:
            rounds = rates(sides, algorithm, clients, options)
            row = {"algorithm": algorithm, "clients": clients}
            for name in rounds[0]:
                row[name] = round(median(r[name]["rate"] for r in rounds))
                if "cpu_us" in rounds[0][name]:
                    row[f"{name}_cpu_us"] = round(median(r[name]["cpu_us"] for r in rounds), 1)
                    row[f"{name}_p99_us"] = round(median(r[name]["p99_us"] for r in rounds))
                if name == "direct":
                    continue
                row[f"{name}_ratio"] = round(median(r[name]["rate"] / r["direct"]["rate"] for r in rounds), 3)
                prefix = "" if name == "signet" else f"{name}_"
                out[f"{prefix}{algorithm}_c{clients}_ratio"] = row[f"{name}_ratio"]
            out["rows"].append(row)
            say("bench: " + "  ".join(f"{k} {v}" for k, v in row.items()))


def latency(agent, direct, options, out):
    """What one call takes longer than C_Sign, when nothing else runs."""
    for algorithm in ALGORITHMS:
        added = {"p50": [], "p99": []}
        for _ in range(options.rounds):
            call = agent.run(algorithm, 1, options.seconds, depth=1)
            sign = direct.run(algorithm, 1, options.seconds)
            for which, found in added.items():
                found.append(call[f"{which}_us"] - agent.per_call(algorithm) * sign[f"{which}_us"])
        for which, found in added.items():
            out[f"{which}_added_us_{algorithm}"] = round(median(found), 1)
        say(f"bench: {algorithm} latency added {out[f'p50_added_us_{algorithm}']} us (p50), "
            f"{out[f'p99_added_us_{algorithm}']} us (p99)")


def memory(agent, options, out):
    """What the processes of the agent hold when nobody calls, with an account online, and when all do."""
    with agent.online("rsa2048"):
        wait_idle(*agent.pids(), seconds=1)
        out["idle_pss_kb"], out["idle_threads"], out["idle_fds"] = agent.usage()
        out["idle_pss_kb_each"] = {name: pss for name, pss, *_ in agent.usage_each()}
    with agent.busy("p256", BUSY, options.seconds + 1):
        time.sleep(1)
        out["load_pss_kb"], out["load_threads"], out["load_fds"] = agent.usage()
    say(f"bench: PSS {out['idle_pss_kb']} kB idle with an account online {out['idle_pss_kb_each']}, "
        f"{out['load_pss_kb']} kB under load")


def crowd(agent, options, out):
    """What connections that do nothing, or that behave badly, take from 16 that work."""
    kept = {"idle": [], "rude": []}
    for _ in range(options.rounds):
        alone = agent.run("p256", BUSY, options.seconds)["rate"]
        kept["idle"].append(agent.run("p256", BUSY, options.seconds, extra=(IDLE, 0, 0))["rate"] / alone)
        kept["rude"].append(agent.run("p256", BUSY, options.seconds, extra=(0, 1, 1))["rate"] / alone)
    out["idle_1000_kept"] = round(median(kept["idle"]), 3)
    out["rude_clients_kept"] = round(median(kept["rude"]), 3)
    say(f"bench: beside {IDLE} idle connections {out['idle_1000_kept']} of the rate; beside one that sends a byte a "
        f"second and one that never reads {out['rude_clients_kept']}")


def large_token(world, agent, direct, options, out):
    """A token with many keys: what naming one costs after its first use, and the way to the first signature."""
    few = [agent.run("p256", 1, options.seconds, depth=1)["p50_us"] for _ in range(options.rounds)]
    started = time.monotonic()
    direct.tool("fill", world.module, "juliet", world.dir / "pin", KEY_PAIRS)
    say(f"bench: {KEY_PAIRS} key pairs made in {time.monotonic() - started:.0f} s")
    first, plain = [], []
    for _ in range(options.rounds):
        said = direct.tool("first", world.module, "juliet", world.dir / "pin", agent.label("p256"))
        plain.append(json.loads(said)["ms"])
        first.append(agent.start_to_first("p256") * 1000)
    many = [agent.run("p256", 1, options.seconds, depth=1)["p50_us"] for _ in range(options.rounds)]
    out["token10k_named_call_ms"] = round(median(many) / 1000, 3)
    out["small_token_named_call_ms"] = round(median(few) / 1000, 3)
    out["token10k_first_signature_ms"] = round(median(first), 1)
    out["token10k_first_signature_direct_ms"] = round(median(plain), 1)
    say(f"bench: {KEY_PAIRS} key pairs: a call {out['token10k_named_call_ms']} ms (few: "
        f"{out['small_token_named_call_ms']}), start to first signature {out['token10k_first_signature_ms']} ms "
        f"(directly {out['token10k_first_signature_direct_ms']})")


def keyinfos(world, options, out):
    """How many keyinfos a second are parsed and verified on one core, beside the bare RSA verify of OpenSSL."""
    tool = world.install(BUILD / "bench/keyinfos", "bin/bench-keyinfos", 0o755)
    found = json.loads(world.run(tool, options.seconds, options.rounds, timeout=600))
    out["keyinfos_per_s"], out["rsa_verify_per_s"] = found["keyinfos"], found["bare"]
    out["keyinfos_ratio"] = found["ratio"]
    say(f"bench: {found['keyinfos']} keyinfos a second parsed and verified, {found['bare']} bare RSA verifies: "
        f"{found['ratio']}")


def machine():
    """What the figures were measured on."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return {"cpus": len(os.sched_getaffinity(0)), "model": model[1] if model else os.uname().machine,
            "load": os.getloadavg()[0]}


def table(out):
    """The rates as a person reads them."""
    print("\nSignatures a second, their ratio to C_Sign's, processor time for one (us, all processes), and what 99 % of "
          "calls take\nat most (us; eight calls are under way on each connection)")
    names = [k for k in out["rows"][0] if f"{k}_ratio" in out["rows"][0]]
    print(f"{'':10}{'clients':>8}{'C_Sign/s':>10}{'us':>7}{'p99':>7}{'signet us':>11}{'p99':>8}" +
          "".join(f"{n + '/s':>11}{'ratio':>7}" for n in names))
    for row in out["rows"]:
        print(f"{row['algorithm']:10}{row['clients']:8}{row['direct']:10}{row['direct_cpu_us']:7.0f}"
              f"{row['direct_p99_us']:7}{row['signet_cpu_us']:11.0f}{row['signet_p99_us']:8}" +
              "".join(f"{row[n]:11}{row[n + '_ratio']:7.2f}" for n in names))


def bench(world, options):
    """All measurements."""
    out = {"machine": machine(), "rounds": options.rounds, "seconds": options.seconds, "rows": []}
    world.up()
    agent = Agent(world)
    try:
        measure_all(world, agent, options, out)
    finally:
        agent.stop()
    return out


def measure_all(world, agent, options, out):
    """The parts that were asked for, in an order in which none disturbs the next."""
    direct = Direct(world, agent)
    parts = options.only or PARTS
    for algorithm in ALGORITHMS:  # each key is used once before anything is timed
        agent.check(algorithm)
    if "memory" in parts:
        memory(agent, options, out)
    if "rates" in parts:
        others = [] if options.alone else [P11Kit(world, agent), SshAgent(world, agent)]
        compare([agent, direct, *others], options, out)
        for side in others:
            side.stop()
    if "latency" in parts:
        latency(agent, direct, options, out)
    if "crowd" in parts:
        crowd(agent, options, out)
    if "large" in parts:
        large_token(world, agent, direct, options, out)
    if "keyring" in parts:
        library(world, KNOWN_KEYS, out)
    if "keyinfos" in parts:
        keyinfos(world, options, out)
    if "fetch" in parts:
        fetch(world, FETCHED_KEYS, out)
    if "authority" in parts:
        authority(options, out)
    if "enrolment" in parts:
        enrolment(options, out)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of one run")
    parser.add_argument("--alone", action="store_true", help="not p11-kit and ssh-agent")
    parser.add_argument("only", nargs="*", help=" ".join(PARTS))
    options = parser.parse_args()
    interruptible()
    started = time.monotonic()
    try:
        with World(alone=True, ca="rsa3072") as world:
            out = bench(world, options)
    except (WorldError, Failed, OSError, AssertionError, subprocess.SubprocessError) as why:
        say(f"bench: {why}")
        return 1
    out["took_s"] = round(time.monotonic() - started)
    (BUILD / "bench.json").write_text(json.dumps(out, indent=1) + "\n")
    if out["rows"]:
        table(out)
    print(f"bench: {out['took_s']} s; figures in {os.path.relpath(BUILD / 'bench.json')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
