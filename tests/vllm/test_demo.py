"""`byoi demo --engine vllm`, as a newcomer types it."""

from __future__ import annotations

import signal
import threading

START_SECONDS = 600


def test_one_answer_and_nothing_left(machine, installed):
    done = machine.run(
        *("demo", "--engine", "vllm", "--port", "0", "--once", "What is the capital of France?"),
        seconds=START_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    assert "Paris" in done.stdout
    assert "Starting 1 node with its engine" in done.stderr


def test_several_nodes_share_one_engine_which_drains_and_leaves_nothing(machine, start_demo):
    others = {process.pid for process in machine.processes()}
    demo = start_demo("--nodes", "2")
    engines = [node["engine"] for node in demo.ready["nodes"]]
    assert engines[0] == engines[1]
    assert engines[0]["kind"] == "vllm"
    assert len({node["pid"] for node in demo.ready["nodes"]}) == 2
    ours = {process.pid for process in machine.processes()} - others
    assert engines[0]["pid"] in ours

    heard, begun = [], threading.Event()

    def listen():
        for chunk in demo.client.chat.completions.create(
            model=demo.model,
            messages=[{"role": "user", "content": "Count from one to twenty."}],
            max_tokens=40,
            stream=True,
        ):
            heard.append(chunk)
            begun.set()

    listener = threading.Thread(target=listen)
    listener.start()
    assert begun.wait(START_SECONDS)
    assert demo.end(signal.SIGTERM) == 0
    listener.join(START_SECONDS)
    assert heard[-1].choices[0].finish_reason in {"length", "stop"}  # a stop lets answers end
    mine = {p.pid for p in machine.processes()} & ours
    machine.wait_until(
        lambda: not ({p.pid for p in machine.processes()} & ours),
        START_SECONDS,
        lambda: [p.cmdline() for p in machine.processes() if p.pid in mine],
    )
